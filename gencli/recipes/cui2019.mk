# Class-balanced loss for long-tailed data (Cui et al. 2019).
#
# Cui, Jia, Lin, Song, Belongie, "Class-balanced loss based on effective number of samples", CVPR 2019,
# arXiv:1901.05555: cross-entropy and focal loss on long-tailed CIFAR-10, with and without class-balanced weights. Their
# beta is chosen for each imbalance and loss, by balanced accuracy on a fifth of the training rows; the chosen one is
# trained on all of them. The test set stays balanced. Gamma is 1, as in the authors' scripts; the paper tunes it too.
#
#   make -f "$(gencli recipe cui2019)" -j2 DATA=cifar10 OUT=cui2019 SCALE=cpu
#
# all        everything, and report.html with published figures beside ours
# ratio-100  one imbalance alone, class by class; ratio-10, ratio-20, ratio-50, ratio-200
#
# ARCH=NAME   another network
# SCALE=full  the authors' ResNet-32, 200 epochs
# SCALE=cpu   convnet-vanilla, 40 epochs
# SCALE=smoke 8x8 digits at ratio 10, convnet-vanilla, 4 epochs, beta 0 or 0.99

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Cui et al. 2019

RATIOS := 10 20 50 100 200
LOSSES := ce focal cb-ce cb-focal
BETAS := 0 0.9 0.99 0.999 0.9999
ARCH := resnet32-cui2019
T := $(OUT)/tuning

ifeq ($(SCALE),cpu)
  ARCH := convnet-vanilla
  SHRINK := --epochs 40 --lr 0.01 --warmup 1 --schedule step:32,36:0.01
  REDUCED := $(ARCH), 40 epochs
else ifeq ($(SCALE),smoke)
  ARCH := convnet-vanilla
  SHRINK := --epochs 4 --lr 0.01 --warmup 0 --schedule constant --augment crop:1
  RATIOS := 10
  LOSSES := ce cb-focal
  BETAS := 0 0.99
  REDUCED := 8x8 digits in place of CIFAR-10, ratio 10, $(ARCH), 4 epochs
endif

# a run is RATIO_LOSS, in tuning RATIO_LOSS_BETA
part = $(word $1,$(subst _, ,$2))
TRAIN = gencli train $< --preset cui2019 --arch $(ARCH) $(SHRINK) --loss $(call part,2,$*)

$D/tail-%.parquet: $D/train.parquet
	gencli corrupt long-tail --ratio $* $< -q -o $@
$D/fit-%.parquet: $D/tail-%.parquet
	gencli corrupt subsample --fold 0/5 --invert $< -q -o $@
$D/validation-%.parquet: $D/tail-%.parquet
	gencli corrupt subsample --fold 0/5 $< -q -o $@

$T/%.parquet $T/%.safetensors: $D/fit-$$(call part,1,$$*).parquet
	@mkdir -p $T
	$(TRAIN) --beta $(call part,3,$*) $(RUN)

$T/%.csv: $T/%.safetensors $D/validation-$$(call part,1,$$*).parquet
	gencli eval $^ -q -o $@

# the last row is over all classes; its sixth cell, recall, is their mean accuracy
tuned = $(BETAS:%=$T/$1_%.csv)
$T/%.beta: $$(call tuned,$$*)
	for beta in $(BETAS); do echo "$$(tail -n 1 $T/$*_$$beta.csv | cut -d, -f6) $$beta"; done \
	  | LC_ALL=C sort -s -k 1,1gr | sed -n '1s/.* //p' > $@

BETA = $(if $(findstring _cb-,$1),$T/$1.beta)
$R/%.parquet $R/%.safetensors: $D/tail-$$(call part,1,$$*).parquet $D/test.parquet $$(call BETA,$$*)
	$(TRAIN) $(patsubst %,--beta $$(cat %),$(call BETA,$*)) --eval-data $D/test.parquet $(RUN)

$R/%.classes.parquet: $R/%.safetensors $D/test.parquet
	gencli eval $^ -q -o $@

of = $(foreach loss,$(LOSSES),$R/$1_$(loss).parquet $R/$1_$(loss).classes.parquet)
$(OUT)/report.html: $(foreach ratio,$(RATIOS),$(call of,$(ratio)))
	$(REPORT) --against $(PUBLISHED) --format html -o $@
$(OUT)/ratio-%.html: $$(call of,$$*) $D/tail-%.parquet
	@sed -n '/^#/p; /^corruption/p; /ratio=$*,/p' $(PUBLISHED) > $(@:html=published.csv)
	$(REPORT) --against $(@:html=published.csv) --format html -o $@

.PHONY: $(RATIOS:%=ratio-%)
$(RATIOS:%=ratio-%): %: $(OUT)/%.html
