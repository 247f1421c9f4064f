#!/usr/bin/env bash
# Set up the Python environment from the lock files: `deploy/setup.sh run`, `embed` (with the encoder's
# libraries) or `dev` (with test tools, too).
# VENV: where (default .venv). PYTHON: which Python (default: the first of python3.11 … python3 that is new enough).
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:?run or dev}
venv=${VENV:-.venv}
log=$venv/setup.log
case $kind in
  run) lock=requirements.lock ;;
  embed) lock=requirements-embed.lock ;;
  dev) lock=requirements-dev.lock ;;
  *) echo "usage: deploy/setup.sh run|embed|dev" >&2; exit 2 ;;
esac

fail() {
  printf '\n%s\n' "$@" >&2
  exit 1
}

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    new_enough "$PYTHON" || fail "PYTHON=$PYTHON isn't a Python 3.11 or newer. Name another: make PYTHON=/path/to/python3"
    echo "$PYTHON"
    return
  fi
  for candidate in python3.11 python3.12 python3.13 python3 python3.14; do
    if new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "Signpost needs Python 3.11 or newer. On Debian 12:  apt-get install python3 python3-venv" \
    "If it is installed somewhere else:  make PYTHON=/path/to/python3"
}

make_venv() {
  local python=$1
  # Debian ships the module without the part that brings pip.
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    deploy/packages.sh python3-venv || fail "Python's venv module is missing. Install it, then run make again:  apt-get install python3-venv"
  fi
  "$python" -m venv "$venv" >"$venv.log" 2>&1 || { cat "$venv.log" >&2; rm -f "$venv.log"
    fail "The environment $venv can't be made. If a half-made one is in the way:  make clean"; }
  rm -f "$venv.log"
}

# Read pip's output, keep it in the log, and show how far it is.
show_progress() {
  local total=$1 n=0 line name
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in
      Collecting*)
        n=$((n + 1)) name=${line#Collecting } name=${name%% *}
        if [ -t 1 ]; then printf '\r  %d of %d  %-40.40s' "$n" "$total" "$name"
        elif [ $((n % 20)) -eq 0 ]; then echo "  $n of $total"; fi ;;
      Installing\ collected*)
        if [ -t 1 ]; then printf '\r  installing %d packages%-30s' "$total" ""; else echo "  installing $total packages"; fi ;;
    esac
  done
  if [ -t 1 ]; then printf '\r%-60s\r' ""; fi
}

mend() {
  echo >&2
  tail -n 15 "$log" >&2
  if grep -qE 'name resolution|NewConnectionError|Network is unreachable|Max retries|ConnectTimeout|ReadTimeout|ProxyError|Could not connect' "$log"; then
    fail "The package index can't be reached. Check the network (behind a proxy set HTTPS_PROXY, with a mirror PIP_INDEX_URL), then run make again."
  elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
    fail "A downloaded package isn't the one in $lock. Nothing of it was installed. Try again; if it stays so, don't trust that index."
  elif grep -q 'No space left' "$log"; then
    fail "The disk is full: about 700 MB are needed here ($venv)."
  elif grep -qE 'No matching distribution|from versions: none' "$log"; then
    fail "The package index can't be reached, or it doesn't offer a package of $lock for this Python and machine (see above)." \
      "Check the network (behind a proxy set HTTPS_PROXY, with a mirror PIP_INDEX_URL), then run make again."
  fi
  fail "The packages could not be installed (see above; everything in $log)."
}

install() {
  local total
  total=$(grep -c '==' "$lock")
  : >"$log"
  # The virtual environment's own pip; bytecode is compiled below, all at once.
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-compile --require-hashes \
    -r "$lock" 2>&1 | show_progress "$total" || mend
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-build-isolation --no-deps \
    -e . >>"$log" 2>&1 || mend
}

# Also where PYTHONDONTWRITEBYTECODE is set: without bytecode every start would take seconds longer.
compile() {
  echo "Compiling…"
  env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" router channels classifiers config \
    >>"$log" 2>&1 || true # some packages carry files for other versions of Python
}

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  echo "Setting up the Python environment in $venv (about a minute, once)…"
  make_venv "$python"
else
  new_enough "$venv/bin/python" || fail "$venv holds an older Python. Start afresh:  make clean"
  echo "Bringing the Python environment in $venv up to date…"
fi
install
compile
touch "$venv/.ready-run"
if [ "$kind" = dev ]; then touch "$venv/.ready-dev"; fi
echo "Ready."
