# What networks memorize and whom it helps (Feldman, Zhang 2020).
#
# Feldman, Zhang, "What neural networks memorize and why: discovering the long tail via influence estimation", NeurIPS
# 2020, arXiv:2008.03703: many networks, each on its own random 70 % of the rows, say how much each row is memorized and
# which test rows it helps. Then networks without the most memorized rows, beside networks without as many drawn at
# random, each network its own: does it cost more test accuracy?
#
#   make -f "$(gencli recipe memorization)" -j2 DATA=mnist OUT=memorization SCALE=cpu
#
# all      everything, and report.html: the answer in words, the curve, the most memorized images and whom they help,
#          when rows are learned, confidence against variability; memorized.png, the images alone
# scores   scores.parquet, a row an example, and pairs.parquet, who helps whom
# removal  the networks without some of the rows, and the answer
#
# SCALE=full  CIFAR-10, 1,000 ResNet-32, each 40 epochs: for a GPU
# SCALE=cpu   MNIST (DATA: mnist-train*.parquet or train*.parquet), 200 MLPs, 12 epochs
# SCALE=smoke 200 8x8 digits, 30 MLPs, 15 epochs

DATASET = $(if $(filter full,$(SCALE)),cifar10,mnist)
include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := What networks memorize

ARCH := resnet32
SETTINGS_OF := --batch-size 128 --lr 0.1 --schedule one-cycle --weight-decay 5e-4 --epochs 40
EACH := 25
SEEDS := $(shell seq 0 25 975)
AGAIN := 10
REMOVED := 0.05 0.1 0.2 0.3
FITTED := 0.98

ifeq ($(SCALE),cpu)
  ARCH := mlp-1x64
  SETTINGS_OF := --batch-size 128 --lr 0.1 --schedule linear --epochs 12
  EACH := 50
  SEEDS := 0 50 100 150
  REMOVED := 0.005 0.01 0.02 0.05 0.1
  FITTED := 0.99
  REDUCED := MNIST, 200 $(ARCH)
else ifeq ($(SCALE),smoke)
  ARCH := mlp-1x32
  SETTINGS_OF := --batch-size 16 --lr 0.1 --schedule linear --epochs 15
  EACH := 30
  SEEDS := 0
  AGAIN := 4
  REMOVED := 0.1
  FITTED := 0.99
  ROWS := 200
  REDUCED := 200 8x8 digits, 30 $(ARCH)
endif

TRAIN = gencli train $< --arch $(ARCH) $(SETTINGS_OF)
MANY := $(OUT)/networks
MODELS := $(SEEDS:%=$(MANY)/%.safetensors)

# a file has the seeds from its name on; the first also says how its rows were learned
$(MANY)/%.safetensors: $D/train.parquet
	@mkdir -p $(MANY)
	$(TRAIN) --subset 0.7 --runs $(EACH) --seed $* \
	  $(if $(filter 0,$*),--dynamics $(MANY)/dynamics.parquet) $(OPTIONS) -o $@ \
	  --checkpoint $(MANY)/$*.checkpoint --checkpoint-every 1min --resume $(SAY); rm -f $(MANY)/$*.checkpoint

$(OUT)/scores.parquet $(OUT)/pairs.parquet &: $(MODELS) $D/train.parquet $D/test.parquet
	gencli score $(MODELS) $(MANY)/dynamics.parquet $D/train.parquet --test $D/test.parquet --pairs 10000 \
	  --fitted-at $(FITTED) --influence $(OUT)/pairs.parquet -o $(OUT)/scores.parquet $(SAY)

$D/without-%.parquet: $D/train.parquet $(OUT)/scores.parquet
	gencli corrupt prune -p $* --by memorization --scores $(OUT)/scores.parquet $< -q -o $@

# a run is all, memorized-P, without the most memorized rows, or random-P, without as many
$R/memorized-%.parquet $R/memorized-%.safetensors: $D/without-%.parquet $D/test.parquet
	$(TRAIN) --runs $(AGAIN) --eval-data $(word 2,$^) $(RUN)
$R/random-%.parquet $R/random-%.safetensors: $D/train.parquet $D/test.parquet
	$(TRAIN) --runs $(AGAIN) --subset $(shell LC_ALL=C awk 'BEGIN { print 1 - $* }') --eval-data $(word 2,$^) $(RUN)
$R/all.parquet $R/all.safetensors: $D/train.parquet $D/test.parquet
	$(TRAIN) --runs $(AGAIN) --eval-data $(word 2,$^) $(RUN)

RUNS := $R/all.parquet $(foreach way,memorized random,$(REMOVED:%=$R/$(way)-%.parquet))
SCORED := $(OUT)/scores.parquet $(OUT)/pairs.parquet $D/train.parquet $D/test.parquet

$(OUT)/report.html: $(RUNS) $(SCORED) | $(OUT)/memorized.png
	$(REPORT) --table removal --format html -o $@
$(OUT)/memorized.png: $(SCORED)
	$(REPORT) --plot memorization --figure $@
$(OUT)/removal.txt: $(RUNS)
	$(REPORT) --table removal --plot removal -o $@

.PHONY: scores removal
scores: $(OUT)/memorized.png
removal: $(OUT)/removal.txt
	@cat $<
