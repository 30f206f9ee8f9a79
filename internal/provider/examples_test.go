package provider_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

func TestEachExampleAppliesAndThenPlansNothing(t *testing.T) {
	const root = "../../examples"
	t.Setenv("TF_VAR_session_key", "secret")
	t.Setenv("TF_VAR_balancer_token", "secret")
	ran := 0
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
		if err != nil || len(files) == 0 {
			return err
		}
		ran++
		t.Run(strings.TrimPrefix(dir, root+"/"), func(t *testing.T) {
			f := newFakeJobd("web1", "web2")
			tf := newTerraform(t, provider.WithBackend(f))
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(tf.dir, filepath.Base(file)), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if ok, out := tf.apply(); !ok {
				t.Fatal(out)
			}
			if code, out := tf.plan(); code != 0 {
				t.Error(out)
			}
		})
		return nil
	})
	if err != nil || ran < 5 {
		t.Errorf("%d examples ran (%v)", ran, err)
	}
}
