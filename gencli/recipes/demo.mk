# The randomization test on real digits, in miniature.
# make -f demo.mk OUT=folder

include $(dir $(lastword $(MAKEFILE_LIST)))_folders.mk

SHELL := bash
.SHELLFLAGS := -o pipefail -c
OUT ?= demo
TRAIN := gencli train -q --arch mlp-1x512 --lr 0.1 --epochs 400 --until-train-accuracy 1
RUNS := true half random shuffled

.PHONY: demo
.DELETE_ON_ERROR:

demo: $(RUNS:%=$(OUT)/%.parquet)
	gencli report $^ --fitted-at 1 --plot curves --figure $(OUT)/curves.png
	gencli how $(OUT)/half.safetensors --tree
	gencli data digits | gencli corrupt random-labels -q -p 0.5 | gencli eval $(OUT)/half.safetensors --format table
	@echo 'The learning curves as a picture: $(OUT)/curves.png'

$(OUT)/test/test.parquet:
	mkdir -p $(@D)
	gencli data digits --split test -o $@

$(OUT)/test/shuffled.parquet: $(OUT)/test/test.parquet
	gencli corrupt shuffled-pixels $< -o $@

$(OUT)/true.parquet: | $(OUT)/test/test.parquet
	gencli data digits \
	  | $(TRAIN) --eval-data $(OUT)/test/test.parquet --history $@ -o $(OUT)/true.safetensors

$(OUT)/half.parquet: | $(OUT)/test/test.parquet
	gencli data digits | gencli corrupt random-labels -p 0.5 \
	  | $(TRAIN) --eval-data $(OUT)/test/test.parquet --history $@ -o $(OUT)/half.safetensors

$(OUT)/random.parquet: | $(OUT)/test/test.parquet
	gencli data digits | gencli corrupt random-labels -p 1 \
	  | $(TRAIN) --eval-data $(OUT)/test/test.parquet --history $@ -o $(OUT)/random.safetensors

# the images of train and test move alike: one permutation under one seed
$(OUT)/shuffled.parquet: | $(OUT)/test/shuffled.parquet
	gencli data digits | gencli corrupt shuffled-pixels \
	  | $(TRAIN) --eval-data $(OUT)/test/shuffled.parquet --history $@ -o $(OUT)/shuffled.safetensors
