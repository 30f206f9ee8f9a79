#!/bin/sh
# Makes all that is generated: what go:generate lines name (the OpenAPI document among it), the formatting of the
# examples, and the provider's documentation from its schema, templates/ and examples/.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
tools/need.sh go terraform
PATH=$(tools/go-tools.sh):$PATH
export PATH CHECKPOINT_DISABLE=1

go generate ./...
terraform fmt -recursive examples
tfplugindocs generate --provider-name gaea --rendered-provider-name Gaea
