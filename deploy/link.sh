#!/usr/bin/env bash
# Link a command into a folder of the search path: deploy/link.sh COMMAND FOLDER
set -euo pipefail

command=$(realpath -s "$1")
folder=$2
if ! mkdir -p "$folder" 2>/dev/null || ! ln -sf "$command" "$folder/" 2>/dev/null; then
  echo "$folder can't be written. Either:  sudo make install     or:  make install PREFIX=\$HOME/.local" >&2
  exit 1
fi
echo "Installed: $folder/$(basename "$command")"
case ":$PATH:" in
  *":$folder:"*) ;;
  *) echo "$folder isn't in your PATH yet." ;;
esac
