package direct

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// secrets is a [gaea.SecretStore]: the secret pillar that this process was given. Nobody else keeps it, so a process that was
// given none cannot look at the states that need it.
type secrets struct {
	mu     sync.Mutex
	pillar map[[2]string]json.RawMessage // by assignment and secret version
}

func newSecrets() *secrets { return &secrets{pillar: map[[2]string]json.RawMessage{}} }

// PutSecretPillar implements [gaea.SecretStore].
func (s *secrets) PutSecretPillar(_ context.Context, assignment, version string, pillar json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pillar == nil {
		delete(s.pillar, [2]string{assignment, version})
		return nil
	}
	s.pillar[[2]string{assignment, version}] = pillar
	return nil
}

// SecretPillar implements [gaea.SecretStore]. CodeInvalid where this process was not given it.
func (s *secrets) SecretPillar(_ context.Context, assignment, version string) (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pillar, ok := s.pillar[[2]string{assignment, version}]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeInvalid, "the secret pillar of %q is in no state, and without a jobd nobody keeps it between applies, so a plan cannot make the test run that needs it; an apply that changes the assignment has it", assignment)
	}
	return pillar, nil
}
