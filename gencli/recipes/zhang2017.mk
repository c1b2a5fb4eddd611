# Networks fit random labels, too (Zhang et al. 2017).
#
# Zhang, Bengio, Hardt, Recht, Vinyals, "Understanding deep learning requires rethinking generalization", ICLR 2017,
# arXiv:1611.03530: every cell of Table 1, Figures 1a to 1c and 2, and the kernel learner on true and on random labels.
#
#   make -f "$(gencli recipe zhang2017)" -j2 DATA=cifar10 OUT=zhang2017 SCALE=cpu
#
# all        everything, and report.html with the paper's figures beside ours
# table1     Table 1 alone; mlp, alexnet, inception: a network's rows of it
# figure1a   training loss on true and random labels and on three kinds of random pixels
# figure1b   epochs to fit 0.95 of labels of which a part is random; figure1c: test error there
# figure2    with and without batch norm, epoch by epoch
# kernel     the kernel learner
#
# SCALE=full  all 50,000 images, 100 epochs; the paper states neither batch size nor epochs nor weight decay
# SCALE=cpu   convolutional networks on 5,000 images, 30 epochs (AlexNet 80), 5 levels of corruption, the kernel on
#             20,000 images; MLPs as in full
# SCALE=smoke 200 8x8 digits, 3 epochs (MLP 20), 10 of the runs

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Zhang et al. 2017

NETWORKS := inception-small inception-small-no-bn alexnet-small mlp-3x512 mlp-1x512
LEVELS := 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1
LEVELED := inception-small alexnet-small mlp-1x512
KERNEL := gaussian:0.005
SHRINK =

ifeq ($(SCALE),cpu)
  LEVELS := 0.25 0.5 0.75 1
  REDUCED := convolutional networks on 5,000 images, 30 epochs (AlexNet 80), kernel on 20,000 images
  SMALL := -5000
  KERNEL_ROWS := -20000
  SHRINK = $(if $(filter alexnet%,$(NETWORK)),--epochs 80,$(if $(filter inception%,$(NETWORK)),--epochs 30))
else ifeq ($(SCALE),smoke)
  LEVELS := 0.5 1
  LEVELED := mlp-1x512
  REDUCED := 200 8x8 digits in place of CIFAR-10, some of the cells
  KERNEL := gaussian:0.5
  ROWS := 200
  SHRINK = --crop 7 $(if $(filter mlp%,$(NETWORK)),--epochs 20 --batch-size 16 --lr 0.1,--epochs 3)
endif

# a run is NETWORK_REGULARIZERS_DATA, DATA being true, random-labels-P, or a kind of pixels
part = $(word $1,$(subst _, ,$*))
NETWORK = $(call part,1)
CORRUPTION = $(filter-out true,$(call part,3))
TRAIN_TABLE = $D/train$(if $(filter mlp%,$1),,$(SMALL)).parquet
TEST_TABLE = $D/test$(patsubst %,-%,$(filter %-pixels,$(subst _, ,$1))).parquet
WEIGHT_DECAY = --weight-decay $(if $(filter mlp%,$(NETWORK)),1e-4,5e-4)
REGULARIZERS = $(if $(findstring crop,$(call part,2)),--augment crop) \
  $(if $(findstring wd,$(call part,2)),$(WEIGHT_DECAY))

$R/%.parquet $R/%.safetensors: $$(call TRAIN_TABLE,$$*) $$(call TEST_TABLE,$$*)
	$(if $(CORRUPTION),gencli corrupt $(CORRUPTION:random-labels-%=random-labels -p %) -q,cat) $< \
	  | gencli train --preset zhang2017 --arch $(NETWORK:-no-bn=) $(if $(filter %-no-bn,$(NETWORK)),--no-batch-norm) \
	  $(REGULARIZERS) $(SHRINK) --eval-data $(word 2,$^) $(RUN)

$D/test-gaussian-pixels.parquet: $D/test.parquet $D/train.parquet
	gencli corrupt gaussian-pixels --statistics $D/train.parquet $< -q -o $@

$D/test-%.parquet: $D/test.parquet
	gencli corrupt $* $< -q -o $@

# Table 1
ifeq ($(SCALE),smoke)
  CELLS := inception-small_none_true inception-small-no-bn_none_true alexnet-small_crop+wd_true \
    alexnet-small_none_random-labels-1 mlp-1x512_none_true mlp-1x512_none_random-labels-1
else
  CELLS := $(foreach regularizers,crop+wd crop,$(addsuffix _$(regularizers)_true,inception-small alexnet-small)) \
    $(foreach regularizers,wd none,$(addsuffix _$(regularizers)_true,$(NETWORKS))) \
    $(addsuffix _none_random-labels-1,$(NETWORKS))
endif
TABLE1 := $(CELLS:%=$R/%.parquet)
MLP := $(filter $R/mlp%,$(TABLE1))
ALEXNET := $(filter $R/alexnet%,$(TABLE1))
INCEPTION := $(filter $R/inception%,$(TABLE1))

# Figures 1a to 1c and 2
FIRST := $(firstword $(LEVELED))_none
FIGURE1A := $(foreach data,true random-labels-1 shuffled-pixels random-pixels gaussian-pixels, \
  $R/$(FIRST)_$(data).parquet)
FIGURE1BC := $(foreach net,$(LEVELED),$(foreach data,true $(LEVELS:%=random-labels-%),$R/$(net)_none_$(data).parquet))
FIGURE2 := $(filter $R/inception%,$(filter-out %labels-1.parquet,$(TABLE1)))

# section 5: a learner that interpolates, without a network
K := $(OUT)/kernel
RELABEL = $(if $(filter true,$*),cat,gencli corrupt random-labels -p 1 -q)
KERNELS := $(foreach labels,true random-labels,$K/kernel-$(labels)-train.parquet $K/kernel-$(labels)-test.parquet)

$K/kernel-%.safetensors: $D/train$(KERNEL_ROWS).parquet
	@mkdir -p $K
	$(RELABEL) $< | gencli fit kernel --kernel $(KERNEL) -q -o $@

$K/kernel-%-test.parquet: $K/kernel-%.safetensors $D/test.parquet
	gencli eval $^ -q -o $@

$K/kernel-%-train.parquet: $K/kernel-%.safetensors $D/train$(KERNEL_ROWS).parquet
	$(RELABEL) $(word 2,$^) | gencli eval $< - -q -o $@

# what is shown
$(OUT)/report.html: $(TABLE1) $(FIGURE1A) $(FIGURE1BC) $(KERNELS) \
  | $(addprefix $(OUT)/figure,1a.svg 1b.svg 1c.svg 2.svg)
$(OUT)/table1.html: $(TABLE1)
$(OUT)/mlp.html: $(MLP)
$(OUT)/alexnet.html: $(ALEXNET)
$(OUT)/inception.html: $(INCEPTION)
$(OUT)/kernel.html: $(KERNELS)
$(OUT)/report.html:
	$(REPORT) --against $(PUBLISHED) --format html -o $@

# what is published of these rows, without the columns that they lack
$(OUT)/%.html: KEEP = s/^kernel,//p; s/^,\($*\)/\1/p
$(OUT)/table1.html: KEEP = s/^kernel,//p; s/^,//p
$(OUT)/kernel.html: KEEP = s/^[kg][^,]*,\([^,]*\),.*,\([^,]*\),[^,]*,\([^,]*\)$$/\1,\2,\3/p
$(OUT)/%.html:
	@sed -n '/^#/p; $(KEEP)' $(PUBLISHED) > $(@:html=csv)
	$(REPORT) --against $(@:html=csv) --format html -o $@

$(OUT)/figure1a.svg: $(FIGURE1A)
	$(REPORT) --plot curves --metric train_loss --figure $@ -o $(@:svg=txt)
# where no network fits labels of which a part is random there is nothing to draw, and the rest goes on
$(OUT)/figure1b.svg: $(FIGURE1BC)
	$(REPORT) --plot overfit-time --fitted-at 0.95 --figure $@ -o $(@:svg=txt) || true
$(OUT)/figure1c.svg: $(FIGURE1BC)
	$(REPORT) --plot test-error --figure $@ -o $(@:svg=txt)
$(OUT)/figure2.svg: $(FIGURE2)
	$(REPORT) --plot regularizers --figure $@ -o $(@:svg=txt)

.PHONY: table1 mlp alexnet inception kernel figure1a figure1b figure1c figure2
table1 mlp alexnet inception kernel: %: $(OUT)/%.html
figure1a figure1b figure1c figure2: %: $(OUT)/%.svg
