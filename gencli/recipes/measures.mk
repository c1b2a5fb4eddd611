# Measures of capacity: which predict generalization, on a grid.
#
# Jiang, Neyshabur, Mobahi, Krishnan, Bengio 2020, arXiv:1912.02178, and Dziugaite et al. 2020, arXiv:2010.11924: networks
# of two widths, depths, learning rates, batch sizes, weight decays and shares of random labels are trained to the same
# training loss, two seeds each, 128 networks; which measure orders them as their gaps do?
#
#   make -f "$(gencli recipe measures)" -j2 DATA=cifar10 OUT=measures SCALE=cpu
#
# all     everything, and report.html: every measure's rank correlations, mutual information and sign errors, in words
#         which predict, which say nothing, and which point the wrong way, and each against the gap; rank.txt, rank.svg
#
# The gap is train less test accuracy on the test rows' own labels, which are not redrawn.
#
# SCALE=full  MLPs on 50,000 images
# SCALE=cpu   MLPs on 2,000 images shrunk to 8x8
# SCALE=smoke MLPs on 200 8x8 digits

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Which measures predict generalization

DEPTHS := 1 2
WIDTHS := 256 1024
BATCHES := 64 256
NOISES := 0 0.2
SEEDS := 2
VARIED := --vary lr=0.01,0.03 --vary weight-decay=0,0.0005
FITTED := --until-train-loss 0.05 --epochs 400
TRAIN := $D/train.parquet
TEST := $D/test.parquet

ifeq ($(SCALE),cpu)
  ROWS := 2000
  TRAIN := $D/small.parquet
  TEST := $D/small-test.parquet
  WIDTHS := 64 128
  BATCHES := 32 128
  REDUCED := $(ROWS) images of 8x8
else ifeq ($(SCALE),smoke)
  ROWS := 200
  WIDTHS := 32 64
  BATCHES := 16 64
  REDUCED := $(ROWS) 8x8 digits in place of CIFAR-10
endif

# a run is ARCH_BATCH_NOISE
WORDS = $(subst _, ,$*)
$D/small.parquet: $D/train.parquet
$D/small-test.parquet: $D/test.parquet
$D/small.parquet $D/small-test.parquet:
	gencli data export --encode png $< -q -o $(basename $@).png.parquet
	gencli data parquet $(basename $@).png.parquet --size 8 --name cifar10 --split $(basename $(<F)) -q -o $@
$D/noise-0.parquet: $(TRAIN)
	cp $< $@
$D/noise-%.parquet: $(TRAIN)
	gencli corrupt random-labels -p $* $< -q -o $@

RUNS := $(foreach d,$(DEPTHS),$(foreach w,$(WIDTHS),$(foreach b,$(BATCHES),$(NOISES:%=mlp-$(d)x$(w)_$(b)_%))))
DATA_OF = $D/noise-$$(lastword $$(subst _, ,$$*)).parquet
$R/%.parquet: $(DATA_OF) $(TEST)
	gencli train $< --arch $(firstword $(WORDS)) --batch-size $(word 2,$(WORDS)) $(VARIED) --runs $(SEEDS) $(FITTED) \
	  --eval-data $(TEST) $(RUN)
$R/%.measures.parquet: $R/%.parquet $(DATA_OF)
	gencli eval $R/$*.safetensors $(lastword $^) --measures --history $< --reached 0.1 -o $@ $(SAY)

FOUND := $(RUNS:%=$R/%.measures.parquet) $(RUNS:%=$R/%.parquet)
$(OUT)/report.html: $(FOUND) | $(OUT)/rank.txt $(OUT)/rank.svg
	$(REPORT) --table rank --format html -o $@
$(OUT)/rank.txt: $(FOUND)
	$(REPORT) --table rank -o $@
$(OUT)/rank.svg: $(FOUND)
	$(REPORT) --plot rank --figure $@ -o $(@:svg=svg.txt)
