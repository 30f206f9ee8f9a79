package engine_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// digestStore notes the digest that a run is created with.
type digestStore struct {
	gaea.RunStore
	digest string
}

func (s *digestStore) CreateRun(ctx context.Context, r *gaea.Run, key, digest string) (*gaea.Run, bool, error) {
	s.digest = digest
	return s.RunStore.CreateRun(ctx, r, key, digest)
}

// digestOf is the digest that a request is known by, with its key.
func digestOf(t *testing.T, req engine.Request) string {
	t.Helper()
	salt := enginetest.New("m")
	defer salt.Close()
	store := &digestStore{RunStore: enginetest.NewRuns()}
	e := engine.New(engine.Deps{
		Master: "m", Salt: salt, Cache: salt, Feed: salt, Returns: salt, Runs: store,
		Expect: func(expr string) (gaea.Expectation, error) { return expect.Compile(expr) },
		Digest: func(parts ...[]byte) string {
			sum := sha256.New()
			for _, part := range parts {
				sum.Write(part)
			}
			return hex.EncodeToString(sum.Sum(nil))
		},
	})
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	req.Key = "k"
	if _, _, err := e.Submit(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	return store.digest
}

// The digests are those of the releases that knew nothing of slices with thresholds, of actions and of locks: a key that
// was used before an upgrade must give the same run after it.
func TestTheDigestOfAnOldRequestStaysAsItWas(t *testing.T) {
	enforce := apply(gaea.ListTarget([]string{"web1", "web2"}))
	enforce.Kind, enforce.Assignment, enforce.Revision, enforce.AllowEmpty = gaea.RunEnforce, "nginx", "r1", true
	enforce.Timeouts = gaea.Timeouts{Job: gaea.Duration(60e9), Gather: gaea.Duration(1e9)}
	enforce.Call.Kwargs = map[string]any{"pillar": map[string]any{"workers": 4}}
	for name, c := range map[string]struct {
		req  engine.Request
		want string
	}{
		"a ping":           {ping(glob("*")), "10c6b19993b67fdc82d98f78c7054c2f53719d4fcb460af537efdc127a3e6ab8"},
		"a ping in slices": {inSlices(ping(grain("role:web")), "10%"), "b58d552aeb634c6b1b8f7948b5996d05046fe9a9bc5bbf3a907d9f5cba6d2621"},
		"a state run":      {enforce, "ab1878822d3c0a4ccb45b9a677fb17c08e211b30a500df1ed4daf2a0f9b4cb88"},
	} {
		if got := digestOf(t, c.req); got != c.want {
			t.Errorf("%s: %s, and it was %s", name, got, c.want)
		}
	}
}

func TestTheDigestCoversSlicesActionsAndLocks(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*engine.Request){
		"as it was":   func(*engine.Request) {},
		"canary":      func(r *engine.Request) { r.Batch.Canary = r.Batch.Size },
		"slice limit": func(r *engine.Request) { r.Timeouts.Slice = gaea.Duration(60e9) },
		"lock":        func(r *engine.Request) { r.Concurrency.Lock = "deploy" },
		"policy":      func(r *engine.Request) { r.Concurrency = gaea.Concurrency{Lock: "deploy", Policy: gaea.LockSkip} },
		"pre-action":  func(r *engine.Request) { r.Pre = []gaea.JobAction{action("cmd.run", "")} },
		"post-action": func(r *engine.Request) { r.Post = []gaea.JobAction{action("cmd.run", "")} },
		"arguments": func(r *engine.Request) {
			r.Post = []gaea.JobAction{action("cmd.run", "")}
			r.Post[0].Args = []any{"ls"}
		},
		"headers": func(r *engine.Request) {
			r.Post = []gaea.JobAction{{Name: "a", HTTP: &gaea.HTTPCall{URL: "http://lb/", Headers: map[string]string{"X-Token": "s3cret"}}}}
		},
		"no headers": func(r *engine.Request) {
			r.Post = []gaea.JobAction{{Name: "a", HTTP: &gaea.HTTPCall{URL: "http://lb/"}}}
		},
		"retry": func(r *engine.Request) { r.RetryOf = "run-1" },
	} {
		req := inSlices(ping(glob("*")), "1")
		change(&req)
		digest := digestOf(t, req)
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[digest] = name
	}
}

func TestTheDigestOfARequestDoesNotFollowTheVersionOfItsTemplate(t *testing.T) {
	req := ping(glob("*"))
	want := digestOf(t, req)
	req.Template = "rolling@abc"
	if got := digestOf(t, req); got != want {
		t.Error("a template that was described anew makes another request of the same one")
	}
}
