#!/bin/sh
# Prints the packages of one kind of tests.
#
#   tools/packages.sh unit|acceptance [PATTERN...]
#
# Tests that need a real Salt lie in directories named acctest (or below one), or in internal/saltlab. All others are unit
# tests: they run anywhere, those of internal/provider where there is a Terraform, and those of jobd/schedule and jobd/app where
# there is a PostgreSQL. So no test ever has to skip itself.
set -eu

kind=$1
shift
[ $# -gt 0 ] || set -- ./...
needs_lab='(/acctest(/|$)|/internal/saltlab$)'

packages=$(go list "$@")
case $kind in
unit) packages=$(printf '%s\n' "$packages" | grep -Ev "$needs_lab") || true ;;
acceptance) packages=$(printf '%s\n' "$packages" | grep -E "$needs_lab") || true ;;
*)
	echo "usage: packages.sh unit|acceptance [PATTERN...]" >&2
	exit 2
	;;
esac
if [ -z "$packages" ]; then
	echo "there are no packages with $kind tests in $*" >&2
	exit 1
fi
printf '%s\n' "$packages"
