# Double descent: random features and networks through interpolation.
#
# Test error, train error and norm against size, with and without 15 % of wrong labels, on MNIST and CIFAR-10: of
# least-norm least squares on random Fourier features, whose error peaks where there are as many features as rows
# (Belkin, Hsu, Ma, Mandal 2019, arXiv:1812.11118), and of networks against their width (Nakkiran, Kaplun, Bansal, Yang,
# Barak, Sutskever 2020, arXiv:1912.02292, from where the share of wrong labels is).
#
#   make -f "$(gencli recipe double-descent)" -j2 DATA=data OUT=descent SCALE=cpu
#
# all          everything; report.html with the peaks beside the published place, double-descent.svg
# features     random features alone; networks: networks alone
#
# DATA holds MNIST too, as mnist-train*.parquet and mnist-test*.parquet; SETS=cifar10 does without it.
#
# SCALE=full  10,000 rows, as published, 20 sizes up to 60,000 features, 5 networks of each of 10 widths
# SCALE=cpu   1,000 rows, tested on 2,000, 16 sizes up to 8,000 features, 3 networks of each of 8 widths
# SCALE=smoke 100 digits, 6 sizes, 2 networks of each of 4 widths, these with wrong labels alone

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Double descent

SETS := mnist cifar10
NOISES := 0 0.15
# of CIFAR-10's wider kernels do better
KERNEL_cifar10 := --scale 0.005
COUNT := 10000
SIZES := 500 1000 2000 4000 6000 8000 9000 9500 9800 10000 10200 10500 11000 12000 14000 16000 20000 30000 40000 60000
WIDTHS := 1 2 4 8 16 32 64 128 256 512
TRAINING := --runs 5 --epochs 200 --batch-size 64
ifeq ($(SCALE),cpu)
  COUNT := 1000
  TESTED := --sample 2000
  SIZES := 50 100 200 400 600 800 900 950 1000 1050 1100 1200 1500 2000 4000 8000
  WIDTHS := 2 4 8 16 32 64 128 256
  TRAINING := --runs 3 --epochs 100 --batch-size 32
  REDUCED := 1,000 rows
else ifeq ($(SCALE),smoke)
  SETS := digits
  COUNT := 100
  SIZES := 20 50 95 100 105 400
  WIDTHS := 2 4 16 64
  NETWORK_NOISES := 0.15
  TRAINING := --runs 2 --epochs 10 --batch-size 8
  REDUCED := 100 8x8 digits in place of MNIST and CIFAR-10
endif

$(if $(DATA),$(if $(filter mnist,$(SETS)),$(foreach split,train test, \
  $(if $(wildcard $(DATA)/mnist-$(split)*.parquet),, \
    $(error DATA=$(DATA): no mnist-$(split)*.parquet there; add it, or say SETS=cifar10 to leave MNIST out)))))
READ_mnist = gencli data $(if $(DATA),parquet $(DATA) --files 'mnist-$1*.parquet' --name) mnist --split $1
READ_cifar10 = $(call READ_$1,)
READ_digits = $(call READ_$1,)

COMMA := ,
SPACE := $(subst ,, )
CURVES = $(foreach set,$(SETS),$(foreach noise,$1,$(set)_$(noise)))
set = $(firstword $(subst _, ,$1))

$(SETS:%=$D/%.parquet): $D/%.parquet: $$(call CHANGED,$$@) | $(OUT)/settings
	$(call READ_$*,train) --sample $(COUNT) -o $@
$(SETS:%=$D/%-test.parquet): $D/%-test.parquet: $$(call CHANGED,$$@) | $(OUT)/settings
	$(call READ_$*,test) $(TESTED) -o $@
$(SETS:%=$D/%_0.parquet): $D/%_0.parquet: $D/%.parquet
	cp $< $@
$(SETS:%=$D/%_0.15.parquet): $D/%_0.15.parquet: $D/%.parquet
	gencli corrupt flip-labels -p 0.15 $< -q -o $@

$(foreach size,$(SIZES),$R/features_%_$(size).safetensors): $D/%.parquet
	gencli fit random-features $< --features $(subst $(SPACE),$(COMMA),$(SIZES)) $(KERNEL_$(call set,$*)) -q \
	  -o '$R/features_$*_{features}.safetensors'
$R/features_%.parquet: $$(foreach size,$(SIZES),$R/features_$$*_$$(size).safetensors) $D/%.parquet \
  $D/$$(call set,$$*)-test.parquet
	gencli eval $^ --norm -q -o $@

$R/network_%.parquet $R/network_%.safetensors &: $D/$$(basename $$*).parquet $D/$$(call set,$$*)-test.parquet
	gencli train $< --arch mlp-1x$(patsubst .w%,%,$(suffix $*)) $(TRAINING) --whiten none \
	  --lr $(if $(filter cifar10,$(call set,$*)),0.01,0.05) --eval-data $(word 2,$^) $(RUN)
$R/network_%.classes.parquet: $$(foreach width,$(WIDTHS),$R/network_$$*.w$$(width).safetensors) \
  $D/$$(call set,$$*)-test.parquet
	gencli eval $^ --norm -q -o $@

FEATURES := $(patsubst %,$R/features_%.parquet,$(call CURVES,$(NOISES)))
NETWORKS := $(foreach curve,$(call CURVES,$(or $(NETWORK_NOISES),$(NOISES))), \
  $(WIDTHS:%=$R/network_$(curve).w%.parquet) $R/network_$(curve).classes.parquet)

$(OUT)/report.html: $(FEATURES) $(NETWORKS) | $(OUT)/double-descent.svg
	$(REPORT) --table double-descent --against $(PUBLISHED) --format html -o $@
$(OUT)/double-descent.svg: $(FEATURES) $(NETWORKS)
	$(REPORT) --table double-descent --plot double-descent --figure $@ > $(OUT)/double-descent.txt

.PHONY: features networks
features: $(FEATURES)
	gencli report $^ --table double-descent
networks: $(NETWORKS)
	gencli report $^ --table double-descent
