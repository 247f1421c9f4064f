#!/usr/bin/env bash
# Install what the tests need beside Python, and only if those tests are there. The one list of such packages.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
if [ -d tests/browser ] && ! command -v chromium >/dev/null; then packages+=(chromium); fi
if [ -e tests/integration/dovecot.py ] && [ ! -x /usr/sbin/dovecot ]; then packages+=(dovecot-imapd); fi
if [ -e tests/deploy/test_unit.py ] && ! command -v systemd-analyze >/dev/null; then packages+=(systemd); fi
if [ -e tests/deploy/confined.py ] && [ ! -e "/usr/lib/$(uname -m)-linux-gnu/libseccomp.so.2" ] && [ ! -e "/lib/$(uname -m)-linux-gnu/libseccomp.so.2" ]; then
  packages+=(libseccomp2)
fi
clock_shim=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketime.so.1
if [ -e tests/torture/test_clock.py ] && [ ! -e "$clock_shim" ]; then packages+=(libfaketime); fi
if [ -e tests/torture/diskfault.c ] && ! command -v cc >/dev/null; then packages+=(gcc libc6-dev); fi
if [ -e tests/torture/machine.py ] && [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ] && ! command -v mkfs.xfs >/dev/null; then
  packages+=(xfsprogs)
fi
if ! command -v openssl >/dev/null; then packages+=(openssl); fi
# What looks for barriers in pages, pinned by its hash; without npm those tests say that they were left out.
if [ -e tests/browser/package-lock.json ] && [ ! -e tests/browser/node_modules/axe-core/axe.min.js ] && command -v npm >/dev/null; then
  npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund >/dev/null || echo "axe-core isn't there: its tests are left out." >&2
fi
if [ ${#packages[@]} -gt 0 ]; then exec deploy/packages.sh "${packages[@]}"; fi
