# Shared by the scripts: where the project is, and how they speak. Sourced, never run.
# shellcheck shell=bash

# shellcheck disable=SC2034  # used by the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 2
}

need_root() {
  [ "$(id -u)" -eq 0 ] || die "must run as root ($1); try: sudo $0"
}

# usage TEXT: prints the help of a script and ends it.
usage() {
  printf '%s\n' "$1"
  exit "${2:-0}"
}
