package authn_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
)

// memory is a token store that counts its look-ups.
type memory struct {
	mu      sync.Mutex
	tokens  []gaea.Token
	lookups int
	fail    error
}

func (m *memory) CreateToken(_ context.Context, t gaea.Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = append(m.tokens, t)
	return nil
}

func (m *memory) TokenByHash(_ context.Context, hash []byte) (gaea.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	if m.fail != nil {
		return gaea.Token{}, m.fail
	}
	for _, t := range m.tokens {
		if bytes.Equal(t.Hash, hash) {
			return t, nil
		}
	}
	return gaea.Token{}, gaea.Errorf(gaea.CodeNotFound, "no such token")
}

func (m *memory) Tokens(context.Context) ([]gaea.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokens, nil
}

func (m *memory) DeleteToken(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range m.tokens {
		if t.ID == id {
			m.tokens = append(m.tokens[:i:i], m.tokens[i+1:]...)
			return nil
		}
	}
	return gaea.Errorf(gaea.CodeNotFound, "no such token")
}

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func setup(t *testing.T) (*authn.Authenticator, *memory, *clock) {
	t.Helper()
	store, c := &memory{}, &clock{now: time.Now()}
	return authn.New(store, c.Now), store, c
}

func create(t *testing.T, a *authn.Authenticator, req gaea.TokenRequest) *gaea.CreatedToken {
	t.Helper()
	tok, err := a.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestATokenTellsWhoseItIs(t *testing.T) {
	a, _, _ := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RolePlan})
	who, err := a.Authenticate(t.Context(), tok.Secret)
	if err != nil || who != (gaea.Principal{Name: "ci", Role: gaea.RolePlan}) {
		t.Errorf("got %+v, %v", who, err)
	}
}

func TestOnlyAHashOfATokenIsKept(t *testing.T) {
	a, store, _ := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	if !strings.HasPrefix(tok.Secret, "gaea_") || len(tok.Secret) != 54 {
		t.Errorf("the token looks like %d characters of %.5s…", len(tok.Secret), tok.Secret)
	}
	kept := store.tokens[0]
	if len(kept.Hash) != 32 || strings.Contains(kept.ID+kept.Name, tok.Secret[5:]) {
		t.Errorf("kept %+v", kept)
	}
}

func TestADamagedTokenIsRefusedWithoutTheStore(t *testing.T) {
	plain, _, err := authn.NewToken("ci", gaea.RoleRead, 0)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		store := &memory{}
		a := authn.New(store, nil)
		b := []byte(plain)
		i := rapid.IntRange(0, len(b)-1).Draw(rt, "place")
		c := rapid.ByteRange('!', '~').Filter(func(c byte) bool { return c != b[i] }).Draw(rt, "character")
		b[i] = c
		_, err := a.Authenticate(context.Background(), string(b))
		if gaea.CodeOf(err) != gaea.CodeUnauthenticated {
			rt.Fatalf("got %v", err)
		}
		if store.lookups != 0 {
			rt.Fatal("the store was asked")
		}
		if strings.Contains(err.Error(), plain[5:20]) {
			rt.Fatalf("the error shows the token: %v", err)
		}
	})
	a, store, _ := setup(t)
	for _, bad := range []string{"", "gaea_", "hunter2", plain + "x", plain[:len(plain)-1]} {
		if _, err := a.Authenticate(t.Context(), bad); gaea.CodeOf(err) != gaea.CodeUnauthenticated {
			t.Errorf("%d characters: got %v", len(bad), err)
		}
	}
	if store.lookups != 0 {
		t.Error("the store was asked")
	}
}

func TestAnExpiredTokenIsRefusedAndSaysWhatToDo(t *testing.T) {
	a, _, c := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RolePlan, TTL: gaea.Duration(time.Hour)})
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil {
		t.Fatal(err)
	}
	c.now = tok.Expires
	_, err := a.Authenticate(t.Context(), tok.Secret)
	if gaea.CodeOf(err) != gaea.CodeUnauthenticated || !strings.Contains(err.Error(), "jobd token create --role plan --name ci") {
		t.Errorf("got %v", err)
	}
}

func TestTheStoreIsAskedOnceInAFewSeconds(t *testing.T) {
	a, store, c := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	for range 50 {
		if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil {
			t.Fatal(err)
		}
	}
	if store.lookups != 1 {
		t.Errorf("%d look-ups for 50 requests", store.lookups)
	}
	c.now = c.now.Add(3 * time.Second)
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil || store.lookups != 2 {
		t.Errorf("after a while: %v, %d look-ups", err, store.lookups)
	}
}

func TestARevokedTokenIsRefusedAtOnce(t *testing.T) {
	a, _, _ := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(t.Context(), tok.Secret); gaea.CodeOf(err) != gaea.CodeUnauthenticated {
		t.Errorf("got %v", err)
	}
	if err := a.Revoke(t.Context(), tok.ID); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("revoked twice: got %v", err)
	}
}

func TestATokenDeletedByAnotherProcessIsRefusedWithinSeconds(t *testing.T) {
	a, store, c := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil {
		t.Fatal(err)
	}
	if err := store.DeleteToken(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(5 * time.Second)
	if _, err := a.Authenticate(t.Context(), tok.Secret); gaea.CodeOf(err) != gaea.CodeUnauthenticated {
		t.Errorf("got %v", err)
	}
}

func TestAStoreThatIsDownIsNoUnknownToken(t *testing.T) {
	a, store, _ := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	store.fail = gaea.Wrap(errors.New("disk I/O error"), gaea.CodeUnavailable, "the database does not answer")
	if _, err := a.Authenticate(t.Context(), tok.Secret); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	store.fail = nil
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestManyUnknownTokensDoNotPushOutAKnownOne(t *testing.T) {
	a, store, _ := setup(t)
	tok := create(t, a, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		plain, _, err := authn.NewToken("other", gaea.RoleRead, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(t.Context(), plain); gaea.CodeOf(err) != gaea.CodeUnauthenticated {
			t.Fatalf("got %v", err)
		}
	}
	before := store.lookups
	if _, err := a.Authenticate(t.Context(), tok.Secret); err != nil || store.lookups != before {
		t.Errorf("got %v and %d more look-ups", err, store.lookups-before)
	}
}

func TestABadTokenRequestNamesItsField(t *testing.T) {
	for field, req := range map[string]gaea.TokenRequest{
		"name": {Name: "with space", Role: gaea.RoleRead},
		"role": {Name: "ci", Role: "root"},
		"ttl":  {Name: "ci", Role: gaea.RoleRead, TTL: -1},
	} {
		a, store, _ := setup(t)
		_, err := a.Create(t.Context(), req)
		var e *gaea.Error
		if !errors.As(err, &e) || e.Code != gaea.CodeInvalid || e.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
		if len(store.tokens) != 0 {
			t.Errorf("%s: a token was stored", field)
		}
	}
}
