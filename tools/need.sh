#!/bin/sh
# Checks that the programs a make target needs are there and new enough.
#
#   tools/need.sh PROGRAM...        for example: tools/need.sh go cc python3 'terraform|tofu'
#
# Each missing program is one line on stderr that names it and says how to get it; the exit status is then 1.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
missing=0

lack() {
	printf 'missing: %s\n' "$*" >&2
	missing=1
}

# at_least MAJOR.MINOR[...] MAJOR MINOR
at_least() {
	major=${1%%.*}
	minor=${1#*.}
	minor=${minor%%[!0-9]*}
	[ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "$minor" -ge "$3" ]; }
}

need_go() {
	want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$root/go.mod")
	how="install Go $want or newer from https://go.dev/dl/ and put its bin directory in PATH"
	if ! command -v go >/dev/null 2>&1; then
		lack "go: $how"
		return
	fi
	# Asked outside the module: inside it an old go fails, or fetches a new one.
	have=$(cd / && go env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9]*\.[0-9]*\).*/\1/p')
	[ -n "$have" ] || have=0.0
	if ! at_least "$have" "${want%%.*}" "${want#*.}" && [ "$(cd / && go env GOTOOLCHAIN)" = local ]; then
		lack "go $want: go is $have and may not fetch a newer one (GOTOOLCHAIN=local); $how"
	fi
}

# need_terraform [terraform] [tofu]: the first of them that is there and new enough is enough. Write-only attributes
# came with 1.11 in both.
need_terraform() {
	found=
	for program; do
		command -v "$program" >/dev/null 2>&1 || continue
		have=$(CHECKPOINT_DISABLE=1 "$program" version 2>/dev/null |
			sed -nE 's/^(Terraform|OpenTofu) v([0-9]*\.[0-9]*).*/\2/p')
		[ -n "$have" ] || have=0.0
		at_least "$have" 1 11 && return
		found="$found ($program is $have)"
	done
	case "$*" in
	*terraform*tofu* | *tofu*terraform*)
		lack "terraform or tofu 1.11 or newer$found: install Terraform from https://developer.hashicorp.com/terraform/install or OpenTofu from https://opentofu.org/docs/intro/install/"
		;;
	*terraform*)
		lack "terraform 1.11 or newer$found: install it from https://developer.hashicorp.com/terraform/install"
		;;
	*)
		lack "tofu 1.11 or newer$found: install it from https://opentofu.org/docs/intro/install/"
		;;
	esac
}

# The versions that Salt runs on; tools/salt-venv.sh looks for the same ones.
need_python() {
	for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
		"$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
			>/dev/null 2>&1 && return
	done
	lack "python3 3.10, 3.11 or 3.12 with its venv module, for Salt: install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.12) or name one in PYTHON"
}

need_cc() {
	cc=$(go env CC 2>/dev/null) || cc=cc
	command -v "${cc%% *}" >/dev/null 2>&1 ||
		lack "a C compiler ($cc), for Go's race detector: install one (Debian, Ubuntu: apt-get install gcc; macOS: xcode-select --install)"
}

for need; do
	case $need in
	go) need_go ;;
	postgres) "$root/tools/postgres.sh" >/dev/null || missing=1 ;;
	cc) need_cc ;;
	python3) need_python ;;
	'terraform|tofu' | 'tofu|terraform') need_terraform terraform tofu ;;
	terraform | tofu) need_terraform "$need" ;;
	*)
		command -v "$need" >/dev/null 2>&1 ||
			lack "$need: install it with the system's package manager (Debian, Ubuntu: apt-get install $need; macOS: brew install $need)"
		;;
	esac
done
exit "$missing"
