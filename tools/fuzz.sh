#!/bin/sh
# Runs every fuzz target for a while, one after the other.
#
#   tools/fuzz.sh [DURATION]        20s each by default
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
duration=${1:-20s}

files=$(grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' internal jobd | sort) || true
if [ -z "$files" ]; then
	echo "there are no fuzz targets" >&2
	exit 1
fi
ran=0
for file in $files; do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		printf '\n=== %s in %s, %s\n' "$target" "$(dirname "$file")" "$duration"
		# Minimizing what is merely interesting would take most of the time.
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" -fuzzminimizetime 1x "./$(dirname "$file")"
		ran=$((ran + 1))
	done
done
printf '\n%d fuzz targets ran %s each and found nothing\n' "$ran" "$duration"
