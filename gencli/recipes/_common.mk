# What all recipes share: their variables, the data, the cores of each job. A recipe includes it first; it sets by scale
# ROWS, the training rows that are drawn (none: all), and REDUCED, what the report says of it.

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
$(foreach name,OUT DATA,$(if $(word 2,$($(name))),$(error $(name)=$($(name)): make cannot work in folders with blanks)))
$(foreach sign,: % ; & * ? \ ' " < > |,$(if $(findstring $(sign),$(OUT)$(DATA)), \
  $(error OUT=$(OUT) DATA=$(DATA): make cannot work in folders with $(sign))))

# what was made at other settings would be taken for up to date
SETTINGS := $(strip SCALE=$(SCALE) $(filter-out SCALE=% OUT=% DATA=%,$(MAKEOVERRIDES)))
HELD := $(if $(wildcard $(OUT)/settings),$(file <$(OUT)/settings))
$(if $(HELD),$(if $(filter-out $(SETTINGS),$(HELD))$(filter-out $(HELD),$(SETTINGS)), \
  $(error $(OUT) holds what was made with $(HELD): name another folder with OUT=… for $(SETTINGS))))

ifeq ($(SCALE),smoke)
  $(if $(DATA),$(error DATA=$(DATA): SCALE=smoke takes digits that are built in; leave DATA out, or say SCALE=cpu))
  READ_train = gencli data digits $(if $1,--sample $1)
  READ_test = gencli data digits --split test
else ifeq ($(DATA),)
  READ_train = gencli data cifar10 $(if $1,--sample $1)
  READ_test = gencli data cifar10 --split test
else
  files = $(sort $(or $(wildcard $(DATA)/cifar10-$1*.parquet),$(wildcard $(DATA)/$1*.parquet), \
    $(error DATA=$(DATA): no $1*.parquet there; name a folder with train*.parquet and test*.parquet)))
  FILES_train := $(call files,train)
  FILES_test := $(call files,test)
  READ_train = gencli data parquet $(FILES_train) --name cifar10 --split train $(if $1,--sample $1)
  READ_test = gencli data parquet $(FILES_test) --name cifar10 --split test
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
	@echo '$(SETTINGS)' > $@

$D/train.parquet: $(FILES_train) | $(OUT)/settings
	$(call READ_train,$(ROWS)) -o $@

$D/train-%.parquet: $(FILES_train) | $(OUT)/settings
	$(call READ_train,$*) -o $@

$D/test.parquet: $(FILES_test) | $(OUT)/settings
	$(READ_test) -o $@
