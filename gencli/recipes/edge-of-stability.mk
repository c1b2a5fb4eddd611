# The edge of stability: full-batch descent sharpens up to 2/eta.
#
# Cohen, Kaur, Li, Kolter, Talwalkar 2021, arXiv:2103.00065: tanh networks, squared error, full batches. The Hessian's
# largest eigenvalue rises until it hovers at 2/eta, with momentum beta at (2 + 2 beta)/eta, with Nesterov's at that over
# 1 + 2 beta. Each method runs at the three rates whose limits are LIMITS.
#
#   make -f "$(gencli recipe edge-of-stability)" -j2 DATA=cifar10 OUT=edge SCALE=cpu
#
# all     everything, and report.html: sharpness and loss against steps with the limits, and how many runs settle there
#
# SCALE=full  mlp-2x200-tanh, 5,000 images, 6,000 steps
# SCALE=cpu   mlp-2x200-tanh, 1,000 images, 2,000 steps
# SCALE=smoke 8x8 digits, mlp-1x16-tanh, 50 images, 200 steps

include $(dir $(lastword $(MAKEFILE_LIST)))_common.mk
TITLE := The edge of stability

NETWORK := mlp-2x200-tanh
ROWS := 5000
BETA := 0.9
LIMITS := 20 40 60
STEPS := 6000 --track-every 50
BATCH := 1000

ifeq ($(SCALE),cpu)
  ROWS := 1000
  STEPS := 2000 --track-every 50
  REDUCED := 1,000 images in place of 5,000, 2,000 steps
else ifeq ($(SCALE),smoke)
  NETWORK := mlp-1x16-tanh
  ROWS := 50
  BETA := 0.5
  LIMITS := 12 16
  STEPS := 200 --track-every 10
  REDUCED := 8x8 digits in place of CIFAR-10, $(NETWORK), 50 images
endif

OPTIONS_descent := --momentum 0
OPTIONS_momentum := --momentum $(BETA)
OPTIONS_nesterov := --momentum $(BETA) --nesterov
OVER_descent := 2
OVER_momentum := (2 + 2 * $(BETA))
OVER_nesterov := (2 + 2 * $(BETA)) / (1 + 2 * $(BETA))
RATES = $(shell awk 'BEGIN { $(foreach limit,$(LIMITS),printf "%s%.6g", c, $(OVER_$1) / $(limit); c = ",";) }')

$R/%.parquet $R/%.safetensors: $D/train.parquet
	gencli train $< --arch $(NETWORK) --loss square --full-batch --batch-size $(BATCH) $(OPTIONS_$*) \
	  --vary lr=$(call RATES,$*) --epochs $(STEPS) --track sharpness,gradient-norm,distance $(RUN)

$(OUT)/report.html: $(foreach method,descent momentum nesterov,$R/$(method).parquet)
	$(REPORT) --table edge-of-stability --against $(PUBLISHED) --format html -o $@
