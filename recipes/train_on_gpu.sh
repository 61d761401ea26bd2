#!/usr/bin/env bash
# Train a large preset (default: `paper-size`; `paper` is the published schedule) from a bare clone, on a GPU machine
# that only accepts commands of a few minutes:
#
#   bash recipes/train_on_gpu.sh DATA RUN OUT [MINUTES] [PRESET] [SAMPLES]
#
# DATA: a training table (docs/datasets.md).
# RUN: a folder for the state of the run, on the machine's disk. Repeat the command with the same folder to resume.
# OUT: the results to copy from the machine: averaged weights in half precision, in pieces of 15 MB
# (`cat model.safetensors.* > model.safetensors`), log.csv, losses.csv and the last picture.
# Saves every minute and stops after MINUTES.
# Tested end to end on a CPU only, with MINUTES=0.2 and then 1, PRESET=tiny, SAMPLES=2000.
set -euo pipefail
data=$1 run=$2 out=$3 minutes=${4:-8.5} preset=${5:-paper-size} samples=${6:-}
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD/src" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE
workers=$(($(nproc) > 2 ? $(nproc) - 2 : 1))
mkdir -p "$run" "$out"
python3 -m jvcr.cli.app train --preset "$preset" --data "$data" --out "$run" --minutes "$minutes" \
  --workers "$workers" ${samples:+--samples "$samples"}
python3 - "$run" "$out" <<'PYTHON'
import sys
from pathlib import Path

from jvcr.model.checkpoint import load_weights, save_weights

run, out = map(Path, sys.argv[1:])
model, header = load_weights(run / "model.safetensors")
save_weights(out / "whole", model, header, half=True)
PYTHON
rm -f "$out"/model.safetensors.*
split -b 15M -d "$out/whole" "$out/model.safetensors."
rm "$out/whole"
cp "$run"/*.csv "$out/" 2>/dev/null || true
cp "$(ls "$run"/pictures/*.jpg 2>/dev/null | tail -1)" "$out/" 2>/dev/null || true
ls -l "$out"
