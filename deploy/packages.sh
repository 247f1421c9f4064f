#!/usr/bin/env bash
# Install Debian packages, those that are missing: deploy/packages.sh PACKAGE...
# As root directly, else with sudo; without either it says what to ask an administrator for.
set -euo pipefail

missing=()
for package in "$@"; do
  if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then missing+=("$package"); fi
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if ! command -v apt-get >/dev/null; then
  echo "These packages are needed and this isn't a Debian-like system; install them by its own means: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "Debian packages are missing and there is no way to become root here. Ask an administrator for:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing Debian packages: ${missing[*]}…"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}
# A fresh system has no package lists yet; one that has them needn't fetch them again.
if ! install >"$log" 2>&1; then
  if ! { "${as_root[@]}" apt-get update && install; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "The packages could not be installed. Check the network, then:  apt-get update && apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
