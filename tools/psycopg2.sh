#!/bin/sh
# Installs psycopg2 for a Salt of the lab, beside its virtual environment and not in it, and prints the path for PYTHONPATH. The
# benchmarks measure Salt's returner pgjsonb, which needs it; nothing else does.
#
#   tools/psycopg2.sh VENV        VENV as tools/salt-venv.sh prints it
#
# The directory is $GAEA_CACHE/psycopg2-VERSION-PYTHON (GAEA_CACHE defaults to gaea in the user's cache directory) and made once.
set -eu

version=2.9.13
[ $# -eq 1 ] || {
	echo "usage: psycopg2.sh VENV" >&2
	exit 1
}
venv=$1
cache=${GAEA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gaea}
mkdir -p "$cache"
target=$cache/psycopg2-$version-$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ ! -d "$target" ]; then
	# Made aside and moved, so that an installation that was interrupted is never taken for a whole one.
	partial=$(mktemp -d "$target.XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	echo "psycopg2: installing psycopg2-binary $version in $target (once)" >&2
	"$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --target "$partial/site" "psycopg2-binary==$version" >&2
	mv "$partial/site" "$target" || [ -d "$target" ]
fi
printf '%s\n' "$target"
