#!/usr/bin/env bash
# Install what the tests need beside Python, and only if those tests are there. The one list of such packages.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
if [ -d tests/browser ] && ! command -v chromium >/dev/null; then packages+=(chromium); fi
if [ ${#packages[@]} -gt 0 ]; then exec deploy/packages.sh "${packages[@]}"; fi
