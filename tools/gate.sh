#!/bin/sh
# The gate that every change passes: make test. Cheap checks come first and end it at once; tests all run, and the last
# line of a run says how many passed, failed and were skipped.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
SALT_VERSION=${SALT_VERSION:-3008.3}
export SALT_VERSION
rm -rf build/test
mkdir -p build/test

started=$(date +%s)
clock() {
	seconds=$(($(date +%s) - $1))
	printf '%dm%02ds' $((seconds / 60)) $((seconds % 60))
}

# section TITLE COMMAND...: its status is the command's.
section() {
	title=$1
	shift
	printf '\n=== %s\n' "$title"
	section_started=$(date +%s)
	section_status=0
	"$@" || section_status=$?
	if [ "$section_status" -eq 0 ]; then
		printf -- '--- %s: ok, %s\n' "$title" "$(clock "$section_started")"
	else
		printf -- '--- %s: FAILED, %s\n' "$title" "$(clock "$section_started")"
	fi
	return "$section_status"
}

tools/need.sh go cc python3 terraform git make postgres
section "tools" tools/go-tools.sh
# Salt mostly waits for the network, so it is installed beside the checks; the step below waits for it and tells what went
# wrong. Where a check fails first it is left to end: the next run finds it there.
tools/salt-venv.sh "$SALT_VERSION" >build/salt-venv.log 2>&1 &
section "vet" go vet ./...
section "format and lint" make lint
section "generated files" tools/generate-check.sh

# From here on a failure is counted, and the rest still runs. A step that is announced here and never ends has failed.
for step in tools race acceptance; do
	: >"build/test/$step.json"
done
section "tests of the tools" tools/test.sh tools || true
# All of it has been vetted above.
section "unit tests, with the race detector" tools/test.sh race -vet=off || true
if section "Salt $SALT_VERSION" tools/salt-venv.sh "$SALT_VERSION"; then
	section "acceptance tests, on Salt $SALT_VERSION and $(terraform version 2>/dev/null | sed -n 1p)" tools/test.sh acceptance -vet=off || true
fi

testcount=$root/build/testcount
(cd tools && GOWORK=off go build -o "$testcount" ./testcount)
printf '\n=== everything took %s\n' "$(clock "$started")"
exec "$testcount" build/test
