# What all recipes share: their variables, the data, the cores of each job. A recipe includes it first; it sets by scale
# ROWS, the training rows that are drawn (none: all), and REDUCED, what the report says of it; before it, if it is not
# cifar10, DATASET.

include $(dir $(lastword $(MAKEFILE_LIST)))_folders.mk

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.SECONDEXPANSION:

NAME := $(basename $(notdir $(firstword $(MAKEFILE_LIST))))
SCALE ?= smoke
OUT ?= $(NAME)-$(SCALE)
# more options for every gencli train, such as OPTIONS='--device cuda --precision bf16'
OPTIONS :=
PUBLISHED := $(dir $(firstword $(MAKEFILE_LIST)))$(NAME).csv
D := $(OUT)/data
R := $(OUT)/runs

$(if $(filter grouped-target,$(.FEATURES)),,$(error this is make $(MAKE_VERSION): GNU make 4.3 or newer is needed))
$(if $(filter full cpu smoke,$(SCALE)),,$(error SCALE=$(SCALE): choose full, cpu or smoke))

# what was made at other settings would be taken for up to date
SETTINGS := $(strip SCALE=$(SCALE) $(filter-out SCALE=% OUT=% DATA=%,$(MAKEOVERRIDES)))
HELD := $(if $(wildcard $(OUT)/settings),$(file <$(OUT)/settings))
$(if $(HELD),$(if $(filter-out $(SETTINGS),$(HELD))$(filter-out $(HELD),$(SETTINGS)), \
  $(error $(OUT) holds what was made with $(HELD): name another folder with OUT=… for $(SETTINGS))))

ifneq ($(origin DATASET),file)
  DATASET := cifar10
endif

ifeq ($(SCALE),smoke)
  $(if $(DATA),$(error DATA=$(DATA): SCALE=smoke takes digits that are built in; leave DATA out, or say SCALE=cpu))
  READ_train = gencli data digits $(if $1,--sample $1)
  READ_test = gencli data digits --split test
else ifeq ($(DATA),)
  READ_train = gencli data $(DATASET) $(if $1,--sample $1)
  READ_test = gencli data $(DATASET) --split test
else
  # files are found by gencli alone: their names are a stranger's, and no words of make's or the shell's
  PREFIX := $(if $(wildcard $(DATA)/$(DATASET)-train*.parquet),$(DATASET)-)
  $(foreach split,train test,$(if $(wildcard $(DATA)/$(PREFIX)$(split)*.parquet),, \
    $(error DATA=$(DATA): no $(split)*.parquet there; name a folder with train*.parquet and test*.parquet)))
  READ = gencli data parquet $(DATA) --files '$(PREFIX)$1*.parquet' --name $(DATASET) --split $1
  READ_train = $(call READ,train) $(if $1,--sample $1)
  READ_test = $(call READ,test)
  CHANGED = $(if $(shell find -H $(DATA) -maxdepth 1 -name '*.parquet' -newer $1 2>/dev/null | head -n 1),changed)
endif

# with -jN each job gets its part of the cores; nproc knows OMP_NUM_THREADS
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
JOBS = $(or $(patsubst -j%,%,$(firstword $(filter -j%,$(MAKEFLAGS)))),$(if $(filter -j,$(MAKEFLAGS)),$(CORES),1))
export OMP_NUM_THREADS = $(shell echo $$(( $(CORES) > $(JOBS) ? $(CORES) / $(JOBS) : 1 )))

# a job's lines begin with its name
SAY = 2> >(trap '' INT TERM; sed -u 's/^/$(basename $(@F)): /' >&2)

# a run's model and history; it goes on from its checkpoint if it was stopped
RUN = $(OPTIONS) --history $(basename $@).parquet -o $(basename $@).safetensors \
  --checkpoint $(basename $@).checkpoint --checkpoint-every 1min --resume $(SAY); rm -f $(basename $@).checkpoint

REPORT = gencli report $(filter %.parquet,$^) --title "$(TITLE), SCALE=$(SCALE)$(if $(REDUCED),: $(REDUCED))"

.PHONY: all help
all: $(OUT)/report.html

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

$(OUT)/settings:
	@mkdir -p $D $R
	@printf '%s\n' '$(subst ','\'',$(SETTINGS))' > $@

.PHONY: changed
$D/train.parquet: $$(call CHANGED,$$@) | $(OUT)/settings
	$(call READ_train,$(ROWS)) -o $@

$D/train-%.parquet: $$(call CHANGED,$$@) | $(OUT)/settings
	$(call READ_train,$*) -o $@

$D/test.parquet: $$(call CHANGED,$$@) | $(OUT)/settings
	$(READ_test) -o $@
