package acctest_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// elsewhere makes the client believe that the job cache is not on disk, so that it asks runners.
const elsewhere = "hash_type: none"

func TestTheJobCacheTellsTheSameOnDiskAndThroughARunner(t *testing.T) {
	lab := saltlab.Get(t)
	disk := client(t, lab, native.Options{})
	runner := client(t, lab, native.Options{ConfigDir: withConfig(t, lab, elsewhere)})
	b := listen(t, disk)
	for name, p := range map[string]gaea.Publication{
		"a state run":       {Function: "state.apply", Args: []any{"motd"}, Kwargs: map[string]any{"test": true, "queue": true, "pillar": map[string]any{"greeting": "hi"}}, Metadata: map[string]any{gaea.MetadataRun: "run-3"}},
		"words":             {Function: "state.apply", Args: []any{"nosuch"}, Kwargs: map[string]any{"queue": true}},
		"a failed command":  {Function: "cmd.run", Args: []any{"echo out; exit 3"}, Target: gaea.ListTarget([]string{"web1", "db1"})},
		"odd text":          {Function: "cmd.run", Args: []any{`printf "\377\376bin"`}, Target: gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web"}},
		"an exception":      {Function: "test.exception", Args: []any{"boom"}},
		"keys and numbers":  {Function: "test.outputter", Args: []any{map[string]any{"a": 1.5, "b": nil, "c": []any{1.0}}}},
		"minions that miss": {Function: "test.ping", Target: gaea.ListTarget([]string{"web1", "nobody9"})},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now().Add(-time.Second)
			published := publish(t, disk, p)
			want := map[string]*gaea.Return{}
			for _, id := range published.Minions {
				want[id] = b.ret(published.JID, id)
			}
			onDisk := cached(t, disk, published.JID, len(want))
			byRunner, err := runner.CachedJob(t.Context(), published.JID)
			if err != nil {
				t.Fatal(err)
			}
			for i := range onDisk.Returns {
				got := &onDisk.Returns[i]
				if got.Stamp.Before(byRunner.Returns[i].Stamp) || got.Stamp.Before(begin) || got.Stamp.After(time.Now()) {
					t.Errorf("the return on disk is from %s", got.Stamp)
				}
				got.Stamp = byRunner.Returns[i].Stamp
				event := want[got.Minion]
				if got.Outcome != event.Outcome || got.Message != event.Message || got.RunID != event.RunID || got.Test != event.Test || !reflect.DeepEqual(got.States, event.States) || !reflect.DeepEqual(got.Retcode, event.Retcode) {
					t.Errorf("the cache has %+v, the bus told %+v", got, event)
				}
			}
			if onDisk.Job.Origin != gaea.OriginPublish || byRunner.Job.Origin != "" {
				t.Errorf("the origin is %q on disk, and %q by the runner, which does not tell it", onDisk.Job.Origin, byRunner.Job.Origin)
			}
			onDisk.Job.Origin = ""
			if !reflect.DeepEqual(plain(t, onDisk), plain(t, byRunner)) {
				t.Errorf("on disk: %+v\nby runner: %+v", onDisk, byRunner)
			}
			if since := onDisk.Job.Started.Sub(begin); since < 0 || since > time.Minute {
				t.Errorf("the job started %s", onDisk.Job.Started)
			}
		})
	}
}

// cached is a job of the job cache with n returns. A master tells a return on the bus before it writes it there.
func cached(t *testing.T, c *native.Client, jid string, n int) *gaea.CachedJob {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		job, err := c.CachedJob(t.Context(), jid)
		if err != nil {
			t.Fatal(err)
		}
		if len(job.Returns) == n {
			return job
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the job cache has %d returns of job %s, want %d", len(job.Returns), jid, n)
		}
	}
}

// plain is a value as JSON reads it, so that the order of keys does not count.
func plain(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	unmarshal(t, b, &out)
	return out
}

func TestTheJobCacheListsTheSameJobsOnDiskAndThroughARunner(t *testing.T) {
	lab := saltlab.Get(t)
	disk := client(t, lab, native.Options{})
	runner := client(t, lab, native.Options{ConfigDir: withConfig(t, lab, elsewhere)})
	b := listen(t, disk)
	before := publish(t, disk, gaea.Publication{Function: "test.ping"})
	cached(t, disk, before.JID, len(before.Minions))
	since := time.Now()
	first := publish(t, disk, gaea.Publication{Function: "test.ping"})
	second := publish(t, disk, gaea.Publication{Function: "test.ping"})
	for _, id := range second.Minions {
		b.ret(second.JID, id)
	}
	onDisk, err := disk.CachedJIDs(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	byRunner, err := runner.CachedJIDs(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{first.JID, second.JID}; !slices.Equal(onDisk, want) || !slices.Equal(byRunner, want) {
		t.Errorf("on disk %q, by runner %q, want %q", onDisk, byRunner, want)
	}
	everything, err := disk.CachedJIDs(t.Context(), time.Time{})
	if err != nil || !slices.Contains(everything, before.JID) || !slices.IsSorted(everything) {
		t.Errorf("everything is %q, error %v", everything, err)
	}
	for _, c := range []*native.Client{disk, runner} {
		if _, err := c.CachedJob(t.Context(), "20200101000000000000"); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("a job that never was: got %v", err)
		}
	}
}

func TestAUserOfThePublisherACLLooksIntoTheJobCacheThroughRunners(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{User: publisher, ConfigDir: withConfig(t, lab, elsewhere)})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "test.ping", Target: gaea.ListTarget([]string{"db1"})})
	b.ret(p.JID, "db1")
	if job := cached(t, c, p.JID, 1); job.Job.User != publisher || string(job.Returns[0].Body) != "true" {
		t.Errorf("got %+v", job)
	}
}

func TestASaltCallIsInTheBusAndInTheCache(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	if _, err := lab.SaltCall(t.Context(), "web2", "state.apply", "motd", "test=True", "queue=True"); err != nil {
		t.Fatal(err)
	}
	r := b.decoded("the return of salt-call", func(d saltclient.Decoded) bool {
		return d.Return != nil && d.Return.Minion == "web2" && d.Return.Success == nil
	}).Return
	if !r.Test || len(r.States) != 2 || r.Function != "state.apply" {
		t.Errorf("got %+v", r)
	}
	job := cached(t, c, r.JID, 1)
	if job.Returns[0].Outcome != r.Outcome || !job.Returns[0].Test || job.Job.Function != "state.apply" {
		t.Errorf("the cache has %+v", job)
	}
}

// A master replaces values of events that are larger than its max_event_size, which is smaller than the minions' here. The whole
// return is in its job cache on disk alone.
func TestAReturnThatIsTooLargeForTheBusIsWholeOnDisk(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "cmd.run", Args: []any{`head -c 1500000 /dev/zero | tr "\0" x`}, Target: gaea.ListTarget([]string{"web1"})})
	d := b.decoded("the large return", func(d saltclient.Decoded) bool { return d.Return != nil && d.Return.JID == p.JID })
	if !d.Trimmed || d.Return.Outcome != gaea.OutcomeSucceeded || string(d.Return.Body) != `"`+saltclient.Trimmed+`"` {
		t.Errorf("the bus told %.200s, trimmed %t", d.Return.Body, d.Trimmed)
	}
	job := cached(t, c, p.JID, 1)
	if string(job.Returns[0].Body) != `"`+strings.Repeat("x", 1500000)+`"` {
		t.Errorf("the cache has %.200s", job.Returns[0].Body)
	}
	runner := client(t, lab, native.Options{ConfigDir: withConfig(t, lab, elsewhere)})
	if _, err := runner.CachedJob(t.Context(), p.JID); gaea.CodeOf(err) != gaea.CodeTooLarge || !strings.Contains(err.Error(), "web1") {
		t.Errorf("the runner: got %v", err)
	}
}

func TestRunnersReturnAndFail(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	got, err := c.Runner(t.Context(), "test.arg", []any{"a", 1.0}, map[string]any{"k": true})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Args   []any
		Kwargs map[string]any
	}
	unmarshal(t, got, &answer)
	if !reflect.DeepEqual(answer.Args, []any{"a", 1.0}) || answer.Kwargs["k"] != true {
		t.Errorf("got %s", got)
	}
	if _, err := c.Runner(t.Context(), "error.error", nil, map[string]any{"name": "ValueError", "message": "it broke"}); gaea.CodeOf(err) != gaea.CodeSalt || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("got %v", err)
	}
}

func TestARunnerThatUsersAskForIsToldWithItsJobAndHowItEnded(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := c.Run(ctx, "test.arg", []any{"a"}, map[string]any{"k": 5})
	if err != nil || !got.Success || !gaea.ValidJID(got.JID) {
		t.Fatalf("%+v, %v", got, err)
	}
	var answer struct{ Args []any }
	unmarshal(t, got.Return, &answer)
	if !reflect.DeepEqual(answer.Args, []any{"a"}) {
		t.Errorf("got %s", got.Return)
	}
	got, err = c.Run(ctx, "error.error", nil, map[string]any{"name": "ValueError", "message": "it broke"})
	if err != nil || got.Success || !strings.Contains(string(got.Return), "it broke") {
		t.Errorf("the runner that fails: %+v, %v", got, err)
	}
}
