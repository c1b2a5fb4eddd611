# A course's assignment: network, imbalance, derivatives.
#
# A convolutional network to 0.91 on CIFAR-10; losses on long-tailed data, class by class; derivatives by three
# methods, and the course's theorems against computations.
#
#   make -f "$(gencli recipe course)" -j2 DATA=cifar10 OUT=course SCALE=cpu
#
# all          everything, and report.html with the figures a student reached beside ours
# network      the convolutional network
# imbalance    the table class by class, imbalance.html
# derivatives  jacobian.md, hessian.md, trace.txt, graph.svg, claims.md; a failed check stops make
#
# SCALE=full  all 50,000 images, 30 epochs
# SCALE=cpu   the network on 10,000 images, 15 epochs
# SCALE=smoke digits enlarged to 16x16, 2 epochs, on the long tail 10; one claim

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := A course's assignment

LOSSES := ce cb-focal balanced-softmax
RATIO := 100
CLAIMS := all
TAIL_SETTINGS := --epochs 40 --weight-decay 2e-4
AGAINST := --against $(dir $(PUBLISHED))course-imbalance.csv

ifeq ($(SCALE),cpu)
  SMALL := -10000
  EPOCHS := --epochs 15
  REDUCED := network on 10,000 images, 15 epochs
else ifeq ($(SCALE),smoke)
  LOSSES := ce cb-focal
  RATIO := 10
  CLAIMS := hvp-limit
  SMALL := -128
  EPOCHS := --epochs 2
  TAIL_SETTINGS := --epochs 10 --batch-size 32
  AGAINST :=
  REDUCED := digits enlarged to 16x16 in place of CIFAR-10, 2 epochs
  READ_train = gencli data digits --sample $(or $1,400) | $(ENLARGE)
  READ_test = gencli data digits --split test --sample 200 | $(ENLARGE)
  ENLARGE := gencli data export --encode png | gencli data parquet --size 16
endif

$R/network.parquet $R/network.safetensors &: $D/train$(SMALL).parquet $D/test.parquet
	gencli train $< --preset course $(EPOCHS) --eval-data $(word 2,$^) $(RUN)

$D/tail.parquet: $D/train.parquet
	gencli corrupt long-tail --ratio $(RATIO) $< -q -o $@
$R/tail_%.parquet $R/tail_%.safetensors: $D/tail.parquet $D/test.parquet
	gencli train $< --arch convnet-vanilla --loss $* --whiten dataset --augment crop,flip --lr 0.01 --schedule cosine \
	  $(TAIL_SETTINGS) --eval-data $(word 2,$^) $(RUN)
$R/%.classes.parquet: $R/%.safetensors $D/test.parquet
	gencli eval $^ -q -o $@

F := -f "cos(w1)*cos(w2) + sigmoid(w2)" -f "ln(w1+w2) + w1^2*w2" --at 1,2
$(OUT)/jacobian.md: | $(OUT)/settings
	gencli jacobian $F -o $@
$(OUT)/hessian.md: | $(OUT)/settings
	gencli jacobian $F --hessian -o $@
$(OUT)/trace.txt: | $(OUT)/settings
	gencli jacobian $F --trace reverse --graph $(OUT)/graph.svg -o $@
$(OUT)/claims.md: | $(OUT)/settings
	gencli check $(CLAIMS) -q -o $@

TAIL := $(LOSSES:%=$R/tail_%.parquet) $(LOSSES:%=$R/tail_%.classes.parquet)
DERIVATIVES := $(addprefix $(OUT)/,jacobian.md hessian.md trace.txt claims.md)
$(OUT)/report.html: $R/network.parquet $(TAIL) | $(OUT)/imbalance.html $(DERIVATIVES)
	$(REPORT) --against $(PUBLISHED) --format html -o $@
$(OUT)/imbalance.html: $(TAIL) $D/tail.parquet
	$(REPORT) --table long-tail $(AGAINST) --format html -o $@

.PHONY: network imbalance derivatives
network: $R/network.parquet
	gencli report $<
imbalance: $(OUT)/imbalance.html
derivatives: $(DERIVATIVES)
