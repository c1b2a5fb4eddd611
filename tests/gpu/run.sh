#!/usr/bin/env bash
# All that only a GPU can show, in at most 8 minutes: tests/gpu/run.sh [--device cuda|cpu] [--tiny] [--parts A,B] [-o FOLDER]
# It needs CUDA, Python 3.12, torch 2.11 and what pack.sh puts into build/gpu; nothing is fetched. It leaves gpu.json and
# gpu.html in the folder (build/gpu/report), of every part that came to its end and of those that did not.
set -eu
cd "$(dirname "$0")/../.."
pack="${GENCLI_GPU_PACK:-$PWD/build/gpu}"
made="$(mktemp -d)"
trap 'rm -rf "$made"' EXIT
# before the machine's own packages; they are of that Python. Unpacked is all that they need: pip may be missing
if ls "$pack"/wheels/*.whl >/dev/null 2>&1 && python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))'; then
  for wheel in "$pack"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$made/wheels"; done
  export PYTHONPATH="$made/wheels${PYTHONPATH:+:$PYTHONPATH}"
fi
# the home folder may not be writable; and nothing compiled is left from before
export TORCHINDUCTOR_CACHE_DIR="$made/inductor" TRITON_CACHE_DIR="$made/triton" MPLCONFIGDIR="$made/matplotlib"
export GENCLI_GPU_PACK="$pack" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
unset PYTHONUNBUFFERED
python3 -m tests.gpu "$@"
