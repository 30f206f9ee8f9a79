#!/bin/sh
# Fails when something generated is stale: generates anew and compares with what was there, committed or not.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
generated="docs examples"

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for path in $generated; do
	mkdir -p "$path"
	cp -R "$path" "$before/$path"
done

log=$before/.log
tools/generate.sh >"$log" 2>&1 || {
	status=$?
	cat "$log" >&2
	exit "$status"
}

stale=0
for path in $generated; do
	diff -ruN "$before/$path" "$path" || stale=1
done
if [ "$stale" -ne 0 ]; then
	echo "Generated files were stale (the difference is above). They are fresh now: look at them and commit them." >&2
	exit 1
fi
