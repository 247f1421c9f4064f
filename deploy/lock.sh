#!/usr/bin/env bash
# Renew requirements.lock, requirements-embed.lock and requirements-dev.lock from pyproject.toml, deploy/encoder.lock and deploy/fuzzer.lock: exact versions with SHA-256, no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v uv >/dev/null; then
  echo "uv is needed to renew the lock files (only for that):  python3 -m pip install uv" >&2
  exit 1
fi
options=(--generate-hashes --no-emit-index-url --no-header --python-version 3.11 -q)
compile=(uv pip compile "${options[@]}" pyproject.toml)
echo "Renewing requirements.lock…"
"${compile[@]}" --extra build -o requirements.lock "$@"
echo "Renewing requirements-embed.lock…"
"${compile[@]}" --extra build --extra embed -o requirements-embed.lock "$@"
echo "Renewing requirements-dev.lock…"
"${compile[@]}" --extra build --extra embed --extra dev -o requirements-dev.lock "$@"
echo "Renewing deploy/encoder.lock…" # what builds an encoder, in an environment of its own
printf 'onnx\nonnxruntime\n' | uv pip compile "${options[@]}" - -o deploy/encoder.lock "$@"
echo "Renewing deploy/fuzzer.lock…" # what `make torture` looks for crashing mails with
printf 'atheris\n' | uv pip compile "${options[@]}" - -o deploy/fuzzer.lock "$@"
