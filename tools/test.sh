#!/bin/sh
# Runs one kind of tests and keeps their results for tools/testcount in build/test.
#
#   tools/test.sh unit|race|acceptance|tools [FLAG...]
#
# FLAGs go to `go test` (-run, -v, ...). Environment:
#   PKG           the packages to choose from, ./... by default
#   SALT_VERSION  the Salt of the acceptance tests
#   STEP          the name of the results, the kind by default
set -eu

kind=$1
shift
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
results=$root/build/test/${STEP:-$kind}
mkdir -p build/test
# Results without a status are those of a step that was cut short, and count as failed.
: >"$results.json"
rm -f "$results.status"

gotestsum=$(tools/go-tools.sh)/gotestsum
# run DIRECTORY FORMAT FLAG...
run() {
	directory=$1 format=$2
	shift 2
	status=0
	(cd "$directory" && "$gotestsum" --format "$format" --format-hide-empty-pkg --jsonfile "$results.json" -- "$@") || status=$?
	echo "$status" >"$results.status"
	exit "$status"
}

# packages KIND sets $packages. PKG is a list of patterns, split at blanks.
packages() {
	# shellcheck disable=SC2086
	packages=$(tools/packages.sh "$1" ${PKG:-./...})
}

# name_terraform sets the Terraform that tests run, so that they never go and fetch one of their own.
name_terraform() {
	tools/need.sh terraform
	TF_ACC_TERRAFORM_PATH=${TF_ACC_TERRAFORM_PATH:-$(command -v terraform)}
	export TF_ACC_TERRAFORM_PATH CHECKPOINT_DISABLE=1
}

# The provider's unit tests run a real Terraform on a jobd in memory, and those of the queue, and of jobd with it, a
# real PostgreSQL; no other unit test needs one.
unit_packages() {
	packages unit
	case $packages in
	*/internal/provider*) name_terraform ;;
	esac
	case $packages in
	*/jobd/schedule* | */jobd/app* | */internal/pglab*)
		postgres=$(tools/postgres.sh)
		export PATH="$PATH:$postgres"
		;;
	esac
}

# Two packages at a time are what two cores carry; acceptance packages go one by one, each with a lab of its own.
case $kind in
unit)
	unit_packages
	# shellcheck disable=SC2086
	run . pkgname -p 2 -timeout 10m "$@" $packages
	;;
race)
	unit_packages
	# SQLite is C made into Go, with its own locks: watched for races it takes twice as long and tells nothing of Gaea.
	# shellcheck disable=SC2086
	run . pkgname -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false \
		-p 2 -timeout 15m "$@" $packages
	;;
acceptance)
	packages acceptance
	name_terraform
	export TF_ACC=1
	# shellcheck disable=SC2086
	run . testname -p 1 -count 1 -timeout 45m "$@" $packages
	;;
tools)
	export GOWORK=off
	run tools pkgname -timeout 5m "$@" ./testcount/...
	;;
*)
	echo "usage: test.sh unit|race|acceptance|tools [FLAG...]" >&2
	exit 2
	;;
esac
