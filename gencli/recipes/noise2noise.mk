# Denoising learned from noisy targets alone (Lehtinen et al. 2018).
#
# Lehtinen, Munkberg, Hasselgren, Laine, Karras, Aittala, Aila, "Noise2Noise: learning image restoration without clean
# data", ICML 2018, arXiv:1803.04189: a U-net fits clean targets, or as many noisy ones. L2 learns their mean, which
# Gaussian noise leaves where it is; impulse noise is skewed, towards gray: it moves the mean, and L1's median less.
#
#   make -f "$(gencli recipe noise2noise)" -j2 DATA=cifar10 OUT=noise2noise SCALE=cpu
#
# all       everything, and report.html with published figures beside ours
# gaussian  one noise alone; impulse
#
# SCALE=full  all 50,000 CIFAR-10 images, 100 epochs; the paper trained on photographs of ImageNet, a deeper U-net
# SCALE=cpu   5,000 images, 20 epochs
# SCALE=smoke 8x8 digits, 4 epochs

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Lehtinen et al. 2018 on small images

EPOCHS := 100
ifeq ($(SCALE),cpu)
  ROWS := 5000
  EPOCHS := 20
  REDUCED := 5,000 images, 20 epochs
else ifeq ($(SCALE),smoke)
  ROWS := 500
  EPOCHS := 4
  REDUCED := 8x8 digits in place of CIFAR-10, 4 epochs
endif

# inputs and noisy targets are independent draws of one noise, unclipped
train.gaussian := gaussian-noise --sigma 0:50
test.gaussian := gaussian-noise --sigma 25
train.impulse := impulse-noise -p 0:0.5
test.impulse := impulse-noise -p 0.25

$D/%_clean.parquet: $D/train.parquet
	gencli corrupt $(train.$*) --clean-target --dtype float32 $< -q -o $@
$D/%_noisy.parquet: $D/train.parquet
	gencli corrupt $(train.$*) --on both --dtype float32 $< -q -o $@
$D/%_test.parquet: $D/test.parquet
	gencli corrupt $(test.$*) --clean-target --dtype float32 $< -q -o $@

# a run is NOISE_TARGETS_LOSS
part = $(word $1,$(subst _, ,$2))
$R/%.parquet $R/%.safetensors: $D/$$(call part,1,$$*)_$$(call part,2,$$*).parquet $D/$$(call part,1,$$*)_test.parquet
	gencli train $< --arch unet-small --loss $(call part,3,$*) --optimizer adamw --lr 0.001 --schedule cosine \
	  --epochs $(EPOCHS) --eval-data $(word 2,$^) $(RUN)

of = $(foreach targets,clean noisy,$(foreach loss,l2 l1,$R/$1_$(targets)_$(loss).parquet))
$(OUT)/report.html: $(call of,gaussian) $(call of,impulse)
$(OUT)/gaussian.html: $(call of,gaussian)
$(OUT)/report.html $(OUT)/gaussian.html:
	$(REPORT) --against $(PUBLISHED) --format html -o $@
$(OUT)/impulse.html: $(call of,impulse)
	$(REPORT) --format html -o $@

.PHONY: gaussian impulse
gaussian impulse: %: $(OUT)/%.html
