#!/usr/bin/env bash
# Writes the lock files beside this script from pyproject.toml, or with --check compares them with it.
#
#   requirements/lock.sh            take what is locked now, change only what pyproject.toml asks for
#   requirements/lock.sh --upgrade  the newest versions that pyproject.toml allows
#   requirements/lock.sh --check    exit 1 if a lock file is not what pyproject.toml asks for; writes nothing
#
# The files hold for every Python and processor that pyproject.toml allows (--universal) and name no index: where the
# packages come from is the installer's business, the hashes see to it that they are the right ones.
set -euo pipefail
cd "$(dirname "$0")/.."

UV=${UV:-.venv/bin/uv}

# Which part of pyproject.toml goes into which file.
declare -A OF=(
  [worker]="pyproject.toml"
  [boto3]="pyproject.toml --extra boto3"
  [sandbox]="pyproject.toml --extra sandbox"
  [telemetry]="pyproject.toml --extra otel --extra sentry"
  [dev]="pyproject.toml --all-extras --group dev"
  [build]="--group build"
  [compose]="--group compose"
  [sbom]="--group sbom"
  [awscli]="--group awscli"
  [fuzz]="--group fuzz"
)

compile() { # NAME FILE [OPTION...]: FILE is read for the versions to keep, then written
  local name=$1 file=$2
  shift 2
  # shellcheck disable=SC2086 # the list of words is meant to be split
  UV_CUSTOM_COMPILE_COMMAND="make lock" "$UV" pip compile --quiet --universal --generate-hashes --no-emit-index-url \
    --no-emit-find-links "$@" --output-file "$file" ${OF[$name]} >/dev/null
}

in_step() { # NAME COPY [OPTION...]: whether compiling the present file once more leaves it as it is
  cp "requirements/$1.txt" "$2"
  compile "$@" 2>"$2.error" && cmp -s "requirements/$1.txt" "$2"
}

check() {
  local name copy failed=0
  for name in "${!OF[@]}"; do
    copy=$WORK/$name.txt
    # Offline first: where uv has stored the packages' metadata, no network is needed.
    in_step "$name" "$copy" --offline || in_step "$name" "$copy" && continue
    cat "$copy.error" >&2
    diff -u "requirements/$name.txt" "$copy" | head -n 20 >&2 || true
    echo "requirements/$name.txt is not what pyproject.toml asks for: run make lock" >&2
    failed=1
  done
  return $failed
}

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

case ${1-} in
  --check) check ;;
  "" | --upgrade)
    for name in "${!OF[@]}"; do compile "$name" "requirements/$name.txt" "$@"; done
    ;;
  *)
    echo "usage: $0 [--upgrade | --check]" >&2
    exit 2
    ;;
esac
