# The loss's curvature after training on true and random labels.
#
# Networks fit both (Zhang et al. 2017, arXiv:1611.03530): are the minima alike? Each is trained until it fits; then the
# Hessian's largest and smallest eigenvalues, its trace and its spectral density, as of Ghorbani, Krishnan, Xiao 2019,
# arXiv:1901.10159.
#
#   make -f "$(gencli recipe curvature)" -j2 DATA=cifar10 OUT=curvature SCALE=cpu
#
# all     everything, and report.html, the accuracies published for these networks beside ours; each model's spectrum
#         as NETWORK_LABELS.csv, density and losses along eigenvectors as NETWORK_LABELS.svg
#
# SCALE=full  MLPs and AlexNet, all 50,000 images, up to 200 epochs
# SCALE=cpu   an MLP, 5,000 images, up to 200 epochs
# SCALE=smoke 8x8 digits, an MLP of 32 units, up to 60 epochs, fewer products

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := Curvature at the minima

NETWORKS := mlp-1x512 mlp-3x512 alexnet-small
CROP := 28
EPOCHS := 200
RATE := --lr 0.02
SPECTRUM := --top 10 --bottom 3 --trace

ifeq ($(SCALE),cpu)
  NETWORKS := mlp-1x512
  ROWS := 5000
  REDUCED := $(NETWORKS) on 5,000 images
else ifeq ($(SCALE),smoke)
  NETWORKS := mlp-1x32
  ROWS := 100
  CROP := 8
  EPOCHS := 60
  RATE := --lr 0.1 --batch-size 32
  SPECTRUM := --top 3 --bottom 1 --trace --trace-products 20 --density-probes 2 --density-steps 20
  REDUCED := 8x8 digits in place of CIFAR-10, $(NETWORKS), few products
endif

# a run is NETWORK_LABELS; one schedule for all, slow enough for random labels
NETWORK = $(firstword $(subst _, ,$*))
$R/%.parquet $R/%.safetensors: $D/$$(lastword $$(subst _, ,$$*)).parquet $D/test.parquet
	gencli train $< --preset zhang2017 --arch $(NETWORK) --crop $(CROP) $(RATE) --schedule exp:0.98 \
	  --epochs $(EPOCHS) --until-train-accuracy 1 --eval-data $D/test.parquet $(RUN)

$D/true-labels.parquet: $D/train.parquet
	cp $< $@
$D/random-labels.parquet: $D/train.parquet
	gencli corrupt random-labels -p 1 $< -q -o $@

# status 1: some eigenvalues are known to their residuals only, which the table shows
$(OUT)/%.csv $R/%.density.parquet: $R/%.safetensors $D/$$(lastword $$(subst _, ,$$*)).parquet
	gencli spectrum $^ $(SPECTRUM) --max-products 3000 --density $R/$*.density.parquet --along $R/$*.along.parquet \
	  --figure $(OUT)/$*.svg --checkpoint $R/$*.spectrum --resume -o $(OUT)/$*.csv $(SAY) || test $$? = 1
	@rm -f $R/$*.spectrum

RUNS := $(foreach network,$(NETWORKS),$(network)_true-labels $(network)_random-labels)
$(OUT)/report.html: $(RUNS:%=$R/%.parquet) $(RUNS:%=$R/%.density.parquet) | $(RUNS:%=$(OUT)/%.csv)
	$(REPORT) --against $(PUBLISHED) --format html -o $@
