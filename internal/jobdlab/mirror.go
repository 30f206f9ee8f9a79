package jobdlab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// MirrorVersion is the version under which a mirror offers the provider.
const MirrorVersion = "0.0.1"

// Mirror builds the provider, lays it out as a filesystem mirror in dir, and returns the Terraform CLI configuration that
// makes terraform init take it from there: the value for TF_CLI_CONFIG_FILE.
func Mirror(ctx context.Context, dir string) (config string, err error) {
	mirror := filepath.Join(dir, "mirror")
	built := filepath.Join(dir, "terraform-provider-gaea")
	build := exec.CommandContext(ctx, "go", "build", "-o", built, "github.com/gaea-salt/terraform-provider-gaea")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the provider: %w\n%s", err, out)
	}
	// Terraform and OpenTofu each look below the name of their own registry.
	for _, registry := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		place := filepath.Join(mirror, registry, "gaea-salt", "gaea", MirrorVersion, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(place, 0o750); err != nil {
			return "", err
		}
		if err := os.Link(built, filepath.Join(place, "terraform-provider-gaea_v"+MirrorVersion)); err != nil {
			return "", err
		}
	}
	config = filepath.Join(dir, "cli.tfrc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	return config, os.WriteFile(config, []byte(text), 0o600)
}
