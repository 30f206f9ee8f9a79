package saltlab_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestEveryMinionAnswersWhenTheLabHasStarted(t *testing.T) {
	lab := saltlab.Get(t)
	out, err := lab.Salt(t.Context(), "*", "test.ping", "--out=json", "--static")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(string(out))
}
