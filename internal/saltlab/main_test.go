package saltlab_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(saltlab.NewSuite(m, saltlab.Config{}))
}
