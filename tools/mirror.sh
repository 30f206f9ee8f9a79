#!/bin/sh
# Lays a built provider out as a filesystem mirror, so that a real `terraform init` (or `tofu init`) installs it.
#
#   tools/mirror.sh DIRECTORY [VERSION]        VERSION is 0.0.1 by default (0.0.0 means "none" to Terraform)
#
# Takes bin/terraform-provider-gaea (make build). Writes the mirror and DIRECTORY/cli.tfrc, and prints the path of the
# latter, for TF_CLI_CONFIG_FILE:
#
#   TF_CLI_CONFIG_FILE=$(tools/mirror.sh build/mirror) terraform init
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -ge 1 ] || {
	echo "usage: mirror.sh DIRECTORY [VERSION]" >&2
	exit 2
}
mkdir -p "$1"
mirror=$(CDPATH='' cd -- "$1" && pwd)
version=${2:-0.0.1}
binary=$root/bin/terraform-provider-gaea
[ -x "$binary" ] || {
	echo "mirror.sh: there is no $binary; run make build first" >&2
	exit 1
}

# Each of the two programs looks below the name of its own registry.
for registry in registry.terraform.io registry.opentofu.org; do
	place=$mirror/$registry/gaea-salt/gaea/$version/$(go env GOOS)_$(go env GOARCH)
	mkdir -p "$place"
	# A new file, moved into place: the old one may be running.
	cp "$binary" "$place/.new"
	mv "$place/.new" "$place/terraform-provider-gaea_v$version"
done

# Without a host a source means each program's own registry.
cat >"$mirror/cli.tfrc" <<EOF
provider_installation {
  filesystem_mirror {
    path    = "$mirror"
    include = ["gaea-salt/gaea"]
  }
  direct {
    exclude = ["gaea-salt/gaea"]
  }
}
EOF
printf '%s\n' "$mirror/cli.tfrc"
