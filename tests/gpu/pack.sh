#!/usr/bin/env bash
# Puts beside run.sh what a machine with a GPU may lack and cannot fetch: wheels, and the real images, below 60 MB, in
# build/gpu, which git ignores. GENCLI_TEST_DATA names the folder with CIFAR-10 as published on hubs.
set -eu
cd "$(dirname "$0")/../.."
pack="${GENCLI_GPU_PACK:-$PWD/build/gpu}"
data="${GENCLI_TEST_DATA:-$PWD/../shared/data}"
rm -rf "$pack/wheels" "$pack/data"
mkdir -p "$pack/wheels" "$pack/data"
platforms=()
for version in 2_28 2_27 2_17; do platforms+=(--platform "manylinux_${version}_x86_64"); done
# curvlinops is the peer of products; the rest are gencli's own that the machine's image is not known to have
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" \
  --platform manylinux2014_x86_64 -d "$pack/wheels" \
  'typer>=0.28,<0.29' plotext mpmath threadpoolctl xxhash \
  'curvlinops-for-pytorch>=3.0' backpack-for-pytorch unfoldNd einops einconv
cp "$data"/cifar10-train.parquet "$data"/cifar10-test.parquet "$pack/data/"
chmod u+w "$pack"/data/*
size=$(du -sm "$pack/wheels" "$pack/data" | awk '{ total += $1 } END { print total }')
echo "$pack: $size MB"
[ "$size" -lt 60 ]
