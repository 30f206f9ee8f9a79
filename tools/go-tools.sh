#!/bin/sh
# Builds the Go programs that tools/go.mod pins (golangci-lint, gotestsum, tfplugindocs, benchstat) once, and prints the
# directory that holds them.
#
#   PATH="$(tools/go-tools.sh):$PATH"
#
# They lie in $GAEA_CACHE/tools-HASH/bin (GAEA_CACHE defaults to gaea in the user's cache directory); the hash is over the
# pins and the version of Go. Progress goes to stderr, stdout carries the path alone.
set -eu

say() { printf 'go-tools: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${GAEA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gaea}
mkdir -p "$cache" || die "cannot write in $cache; set GAEA_CACHE to a directory that you may write in"
cache=$(CDPATH='' cd -- "$cache" && pwd)

export GOWORK=off GOFLAGS=-buildvcs=false
cd "$here"
hash=$({ cat go.mod go.sum && go version; } | git hash-object --stdin | cut -c1-16)
bin=$cache/tools-$hash/bin

if [ ! -d "$bin" ]; then
	say "building golangci-lint, gotestsum, tfplugindocs and benchstat (once; two minutes on two cores)"
	# Built aside and moved, so that a build that was interrupted is never taken for a whole one.
	partial=$(mktemp -d "$cache/tools-$hash.XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	GOBIN=$partial/bin go install -trimpath tool >&2 || die "cannot build the tools"
	mkdir -p "$cache/tools-$hash"
	# Where another build was faster its result stays; it is the same.
	[ -d "$bin" ] || mv "$partial/bin" "$bin" || die "cannot write $bin"
fi
printf '%s\n' "$bin"
