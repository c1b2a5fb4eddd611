# Why random labels take longer to fit: what kernels explain of it.
#
# Networks fit true labels faster than shuffled pixels, gaussian ones, random ones, and random labels (Zhang et al. 2017,
# arXiv:1611.03530, Figure 1a). On a kernel, labels are fitted fast that lie along its large eigenvalues (Arora, Du, Hu,
# Li, Wang 2019, arXiv:1901.08584): is that the order? Networks of several seeds, at a constant learning rate, are
# trained until 99 % of the rows are right; beside their epochs is what the kernel predicts from the same tables.
#
#   make -f "$(gencli recipe why-random-labels)" -j2 DATA=cifar10 OUT=why SCALE=cpu
#
# all     everything, and report.html: epochs and predictions, how their orders agree and where they do not, in words
#         computed from the numbers, the published order, and figures of energy and gradient descent; speed.txt is its
#         table, energy.svg and descent.svg its figures
#
# SCALE=full  an MLP and AlexNet on 50,000 images, 5 seeds; the MLP's kernel at infinite width on 10,000 of them,
#             AlexNet's own at its initialization on 1,000
# SCALE=cpu   an MLP and its kernel on 4,000 images shrunk to 8x8, which is the paper's number of images a pixel; a
#             convolutional network on 1,000 whole images, its own kernel on 300 of them; 3 seeds
# SCALE=smoke 150 8x8 digits, an MLP of 32 units, 2 seeds

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Why random labels take longer

KINDS := true-labels shuffled-pixels gaussian-pixels random-pixels random-labels
DENSE := mlp-1x512
OWN := alexnet-small
KERNEL := ntk:1
SEEDS := 5
EPOCHS := 300
RATE := --lr 0.01
LIMIT := 10000
OWN_LIMIT := 1000
TRAIN := $D/train.parquet
OWN_TRAIN = $(TRAIN)
OWN_KINDS = $(KINDS)

ifeq ($(SCALE),cpu)
  ROWS := 4000
  TRAIN := $D/small.parquet
  OWN := convnet-vanilla
  OWN_TRAIN := $D/train-1000.parquet
  OWN_KINDS := $(KINDS:%=whole-%)
  OWN_LIMIT := 300
  SEEDS := 3
  RATE := --lr 0.01 --batch-size 64
  REDUCED := $(DENSE) on $(ROWS) images of 8x8, $(OWN) on 1,000 whole ones
else ifeq ($(SCALE),smoke)
  ROWS := 150
  DENSE := mlp-1x32
  OWN :=
  SEEDS := 2
  EPOCHS := 200
  RATE := --lr 0.05 --batch-size 32
  REDUCED := $(ROWS) 8x8 digits in place of CIFAR-10, $(DENSE)
endif

# a run is NETWORK_DATA
NETWORK = $(firstword $(subst _, ,$*))
CORRUPT_true-labels = cp $< $@
CORRUPT_random-labels = gencli corrupt random-labels -p 1 $< -q -o $@
CORRUPT = $(or $(CORRUPT_$1),gencli corrupt $1 $< -q -o $@)

$D/small.parquet: $D/train.parquet
	gencli data export --encode png $< -q -o $D/png.parquet
	gencli data parquet $D/png.parquet --size 8 --name cifar10 --split train -q -o $@
$(KINDS:%=$D/%.parquet): $D/%.parquet: $(TRAIN)
	$(call CORRUPT,$*)
$(KINDS:%=$D/whole-%.parquet): $D/whole-%.parquet: $(OWN_TRAIN)
	$(call CORRUPT,$*)

$R/%.parquet: $D/$$(lastword $$(subst _, ,$$*)).parquet
	gencli train $< --arch $(NETWORK) $(RATE) --epochs $(EPOCHS) --until-train-accuracy 0.99 --runs $(SEEDS) $(RUN)

# the network before its first step: the same for all kinds of data
$R/$(OWN)-0.safetensors: $(OWN_TRAIN)
	gencli train $< --arch $(OWN) --lr 1e-30 --epochs 1 $(OPTIONS) -o $@ $(SAY)

ALONG = --energy $(basename $@).energy.parquet --descent $(basename $@).descent.parquet -o $@ $(SAY)
$R/kernel-%.parquet: $D/%.parquet
	gencli spectrum --kernel $(KERNEL) --normalize whitened $< --limit $(LIMIT) $(ALONG)
$R/own-%.parquet: $R/$(OWN)-0.safetensors $D/%.parquet
	gencli spectrum --kernel empirical --outputs mean $^ --limit $(OWN_LIMIT) $(ALONG)

HISTORIES := $(KINDS:%=$R/$(DENSE)_%.parquet) $(if $(OWN),$(OWN_KINDS:%=$R/$(OWN)_%.parquet))
KERNELS := $(KINDS:%=$R/kernel-%.parquet) $(if $(OWN),$(OWN_KINDS:%=$R/own-%.parquet))
ENERGIES := $(KERNELS:%.parquet=%.energy.parquet)
DESCENTS := $(KERNELS:%.parquet=%.descent.parquet)
$(ENERGIES): %.energy.parquet: %.parquet ;
$(DESCENTS): %.descent.parquet: %.parquet ;

$(OUT)/report.html: $(HISTORIES) $(KERNELS) $(ENERGIES) $(DESCENTS) | $(OUT)/speed.txt $(OUT)/energy.svg $(OUT)/descent.svg
	$(REPORT) --table speed --against $(PUBLISHED) --format html -o $@
$(OUT)/speed.txt: $(HISTORIES) $(KERNELS)
	$(REPORT) --table speed --against $(PUBLISHED) -o $@
$(OUT)/energy.svg: $(ENERGIES)
	$(REPORT) --plot energy --figure $@ -o $(@:svg=txt)
$(OUT)/descent.svg: $(DESCENTS)
	$(REPORT) --plot descent --figure $@ -o $(@:svg=txt)
