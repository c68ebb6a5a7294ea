#!/bin/sh
# Makes the virtual environment DIR with $PYTHON, or with the first python on PATH that is new enough. Says what to do
# where there is none.
set -eu
dir=$1

suits() { # Debian splits venv and ensurepip off into a package of their own
  "$1" -c 'import sys; assert sys.version_info >= (3, 11); import ensurepip, venv' 2>/dev/null
}

for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if suits "$python"; then
    exec "$python" -m venv --clear "$dir"
  fi
done

echo "No Python for this project: it takes Python 3.11 or newer with the modules venv and ensurepip." >&2
echo "Looked for: ${PYTHON:-python3, python3.14, python3.13, python3.12, python3.11}." >&2
echo "On Debian and Ubuntu: apt-get install python3 python3-venv. Elsewhere: make install PYTHON=/path/to/python" >&2
exit 1
