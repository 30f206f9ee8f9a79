#!/bin/sh
# Runs the demo: tools/demo.sh [KEEP], where KEEP=1 leaves everything running until Ctrl-C. The work is done by
# internal/demo, which is built first so that a signal reaches it and not a go command in between.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
echo "==> Building terraform-provider-gaea and jobd (the first time takes some minutes)"
make build
go build -o build/demo ./internal/demo
TF_CLI_CONFIG_FILE=$(tools/mirror.sh build/mirror)
export TF_CLI_CONFIG_FILE
if [ "${1:-}" = 1 ]; then
	exec build/demo --keep
fi
exec build/demo
