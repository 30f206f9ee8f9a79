package direct

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
)

// PutAssignment checks an assignment and remembers it with its secret pillar.
func (b *Backend) PutAssignment(ctx context.Context, in gaea.AssignmentInput) (*gaea.Version[gaea.Assignment], error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	if _, err := intake.Definition(ctx, b.groups, "target_group", in.TargetGroup); err != nil {
		return nil, err
	}
	if in.JobTemplate != "" {
		if _, err := intake.Definition(ctx, b.templates, "job_template", in.JobTemplate); err != nil {
			return nil, err
		}
	}
	if in.SecretPillar != nil {
		secret, err := json.Marshal(in.SecretPillar)
		if err != nil {
			return nil, gaea.Invalid("secret_pillar", "the secret pillar holds a value that JSON cannot carry")
		}
		if err := b.secrets.PutSecretPillar(ctx, in.Name, in.SecretVersion, secret); err != nil {
			return nil, err
		}
	}
	return remember(ctx, b.assignments, in.Assignment, b.o.User)
}

// GetAssignment returns what is known, and remembers it.
func (b *Backend) GetAssignment(ctx context.Context, known gaea.Assignment) (*gaea.Version[gaea.Assignment], error) {
	return remember(ctx, b.assignments, known, b.o.User)
}

// DeleteAssignment has nothing to delete but the memory of this process.
func (b *Backend) DeleteAssignment(ctx context.Context, name string) error {
	return b.assignments.Delete(ctx, name, b.o.User)
}

// Drift reports how an assignment stands by what this process has seen.
func (b *Backend) Drift(ctx context.Context, assignment string) (*gaea.DriftReport, error) {
	return b.enforce.Drift(b.as(ctx), assignment)
}

// Check makes a test run on the minions that the request names, or on all, whatever its MaxAge, and reports when that has ended.
func (b *Backend) Check(ctx context.Context, assignment string, req gaea.CheckRequest) (*gaea.DriftReport, error) {
	ctx = b.as(ctx)
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	run, err := b.enforce.Check(ctx, assignment, gaea.CheckRequest{Minions: req.Minions})
	if err != nil {
		return nil, err
	}
	id := run.ID
	if run, err = b.WaitRun(ctx, id, nil); err != nil {
		_, _ = b.LeaveRun(context.WithoutCancel(ctx), id) // a look that nobody waits for tells no more minions
		return nil, err
	}
	if run.Status == gaea.RunFailed && len(run.Minions) == 0 && run.Message != "" {
		return nil, gaea.Errorf(gaea.CodeSalt, "the test run did not reach any minion: %s", run.Message)
	}
	report, err := b.enforce.Drift(ctx, assignment)
	if err != nil {
		return nil, err
	}
	report.CheckRun = run.ID
	return report, nil
}

// Enforce starts a real run of an assignment, or joins the one that has the key, here or in the master's job cache.
func (b *Backend) Enforce(ctx context.Context, assignment string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	ctx = b.as(ctx)
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	return b.enforce.Enforce(ctx, assignment, req, key)
}

// maxMemory bounds what is kept with a resource, in bytes.
const maxMemory = 1 << 20

// settled is a state that does not settle, on some minions: see [gaea.UnsettledState].
type settled struct {
	Label   string   `json:"label"`
	Digest  string   `json:"digest"`
	Minions []string `json:"minions"`
}

// Memory is what is to be kept with an assignment's resource, for [Backend.Recall]: which of its states never settle, and how that
// looks. JSON; nil where there is nothing.
func (b *Backend) Memory(ctx context.Context, assignment string) ([]byte, error) {
	key, err := b.stateKey(ctx, assignment)
	if err != nil {
		return nil, err
	}
	states, err := b.evidence.Unsettled(ctx, assignment, key)
	if err != nil || len(states) == 0 {
		return nil, err
	}
	together := map[[2]string][]string{}
	for _, st := range states {
		k := [2]string{st.Label, st.Digest}
		together[k] = append(together[k], st.Minion)
	}
	var kept []settled
	for _, k := range slices.SortedFunc(maps.Keys(together), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) }) {
		kept = append(kept, settled{Label: k[0], Digest: k[1], Minions: slices.Sorted(slices.Values(together[k]))})
	}
	memory, err := json.Marshal(kept)
	if err != nil || len(memory) > maxMemory {
		b.log.Warn("which states never settle is too much to be kept with the resource; the next plan shows them as drift", "bytes", len(memory))
		return nil, err
	}
	return memory, nil
}

// Recall takes what [Backend.Memory] told an earlier process. What cannot be read is taken for nothing.
func (b *Backend) Recall(ctx context.Context, assignment string, memory []byte) error {
	kept := readMemory(memory)
	if len(kept) == 0 {
		return nil
	}
	key, err := b.stateKey(ctx, assignment)
	if err != nil {
		return err
	}
	var minions []string
	var states []gaea.UnsettledState
	for _, k := range kept {
		for _, minion := range k.Minions {
			minions = append(minions, minion)
			states = append(states, gaea.UnsettledState{Minion: minion, Label: k.Label, Digest: k.Digest})
		}
	}
	return b.evidence.PutUnsettled(ctx, assignment, key, minions, states)
}

func readMemory(memory []byte) []settled {
	var kept []settled
	if err := json.Unmarshal(memory, &kept); err != nil {
		return nil
	}
	return kept
}

// stateKey is the key of what an assignment applies.
func (b *Backend) stateKey(ctx context.Context, assignment string) (string, error) {
	v, err := b.assignments.Get(ctx, gaea.Ref{Name: assignment})
	if err != nil {
		return "", err
	}
	var secret json.RawMessage
	if version := v.Definition.SecretVersion; version != "" {
		if secret, err = b.secrets.SecretPillar(ctx, assignment, version); err != nil {
			return "", err
		}
	}
	return b.keys.Assignment(v.Definition, secret), nil
}
