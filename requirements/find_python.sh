#!/bin/sh
# Prints the path of a Python of this version (3.12), or nothing and exit 1: on PATH, or where pyenv keeps them.
set -eu
for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
  if found=$(command -v "$python") && "$found" -c "import ensurepip, sys, venv; assert sys.version.startswith('$1.')" 2>/dev/null
  then
    echo "$found"
    exit
  fi
done
exit 1
