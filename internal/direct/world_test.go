package direct_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/direct"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// master is a scripted Salt as salt-api lets one reach it: with an event stream, and the runner that lists jobs.
type master struct {
	*enginetest.Salt

	mu       sync.Mutex
	events   chan gaea.BusMessage
	refused  bool // there is no event stream
	machines map[string]*machine
	metadata map[string]map[string]any // by jid
	returns  map[string][]gaea.Return  // by jid: as the job cache has them
	findErr  error
	silent   map[string]bool // no return of these minions comes by the stream
	asked    []string        // what the job cache was asked for
	cut      []string        // minions whose returns the job cache cannot tell
}

// machine is what a minion's states find.
type machine struct {
	drifted bool // a file that somebody has changed
	command bool // a command that runs each time
	failing bool // a state that fails in a real run
}

func newMaster() *master {
	m := &master{
		Salt: enginetest.New("master"), events: make(chan gaea.BusMessage, 100000), machines: map[string]*machine{},
		metadata: map[string]map[string]any{}, returns: map[string][]gaea.Return{}, silent: map[string]bool{},
	}
	m.OnStore(m.happened)
	return m
}

// Publish notes the job's metadata, which the job cache has too.
func (m *master) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	m.mu.Lock()
	m.metadata[p.JID] = p.Metadata
	m.mu.Unlock()
	return m.Salt.Publish(ctx, p)
}

// happened makes an event of a return.
func (m *master) happened(ret gaea.Return) {
	args, body := "[]", string(ret.Body)
	for _, p := range m.Published("") {
		if p.JID != ret.JID {
			continue
		}
		list := slices.Clone(p.Args)
		if len(p.Kwargs) > 0 {
			kwargs := maps.Clone(p.Kwargs)
			kwargs["__kwarg__"] = true
			list = append(list, kwargs)
		}
		raw, err := json.Marshal(list)
		if err != nil {
			panic(err)
		}
		args = string(raw)
		if p.Function == "state.apply" {
			body = m.apply(ret.Minion, p.Kwargs["test"] == true)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data := fmt.Sprintf(`{"jid":%q,"id":%q,"fun":%q,"fun_args":%s,"return":%s,"retcode":0,"success":true,"metadata":%s,"_stamp":%q}`,
		ret.JID, ret.Minion, ret.Function, args, body, mustJSON(m.metadata[ret.JID]), time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
	if m.silent[ret.Minion] {
		return
	}
	m.events <- gaea.BusMessage{Event: &gaea.Event{Tag: "salt/job/" + ret.JID + "/ret/" + ret.Minion, Stamp: time.Now(), Data: json.RawMessage(data)}}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// apply runs the states on a minion.
func (m *master) apply(minion string, test bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := m.machines[minion]
	if own == nil {
		own = &machine{}
	}
	result := func(changes bool) string {
		switch {
		case changes && test:
			return "null"
		default:
			return "true"
		}
	}
	changed := `{}`
	if own.drifted {
		changed = `{"diff":"--- \n+++ \n@@ -1 +1 @@\n-tampered\n+hello\n"}`
	}
	states := []string{fmt.Sprintf(`"file_|-motd_|-/etc/motd_|-managed":{"__id__":"motd","name":"/etc/motd","result":%s,"changes":%s,"comment":"","__run_num__":0}`, result(own.drifted), changed)}
	if own.command {
		states = append(states, fmt.Sprintf(`"cmd_|-deploy_|-deploy_|-run":{"__id__":"deploy","name":"deploy","result":%s,"changes":{"cmd":"run"},"comment":"would run","__run_num__":1}`, result(true)))
	}
	if own.failing && !test {
		states = append(states, `"service_|-nginx_|-nginx_|-running":{"__id__":"nginx","name":"nginx","result":false,"changes":{},"comment":"no such unit","__run_num__":2}`)
	}
	if !test {
		own.drifted = false
	}
	return "{" + strings.Join(states, ",") + "}"
}

// CachedJob is the scripted one's, with the job's metadata.
func (m *master) CachedJob(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	m.ask("a job")
	return m.cached(ctx, jid)
}

func (m *master) ask(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, what)
}

func (m *master) cached(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	job, err := m.Salt.CachedJob(ctx, jid)
	if job == nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	job.Job.Metadata = json.RawMessage(mustJSON(m.metadata[jid]))
	job.Job.RunID, _ = m.metadata[jid][gaea.MetadataRun].(string)
	if job.Cut = m.cut; len(m.cut) > 0 {
		job.Returns = slices.DeleteFunc(job.Returns, func(r gaea.Return) bool { return slices.Contains(m.cut, r.Minion) })
		return job, gaea.Errorf(gaea.CodeTooLarge, "the returns are larger than max_event_size")
	}
	return job, err
}

// Run runs no runner.
func (m *master) Run(context.Context, string, []any, map[string]any) (gaea.RunnerReturn, error) {
	return gaea.RunnerReturn{}, gaea.Errorf(gaea.CodeSalt, "there are no runners here")
}

// FindJIDs looks into the job cache.
func (m *master) FindJIDs(_ context.Context, want map[string]any, _ time.Time) ([]string, error) {
	m.ask("a list")
	return m.find(want)
}

func (m *master) find(want map[string]any) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	for jid, metadata := range m.metadata {
		for k, v := range want {
			if metadata[k] == v {
				found = append(found, jid)
			}
		}
	}
	slices.Sort(found)
	return found, m.findErr
}

// renumber has the jobs of runs in slices be later ones than they are, as if the first had left the job cache.
func (m *master) renumber() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, metadata := range m.metadata {
		if index, ok := metadata["gaea_slice"].(int); ok {
			metadata["gaea_slice"] = index + 1
		}
	}
}

// LastJob looks into the job cache.
func (m *master) LastJob(ctx context.Context, want map[string]any) (*gaea.CachedJob, error) {
	m.ask("the last job")
	found, err := m.find(want)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, gaea.Errorf(gaea.CodeNotFound, "no such job")
	}
	return m.cached(ctx, found[len(found)-1])
}

// Read is the event stream.
func (m *master) Read(ctx context.Context, sink func(gaea.BusMessage)) error {
	if m.refused {
		sink(gaea.BusMessage{Err: gaea.Errorf(gaea.CodeForbidden, "/events is refused")})
		<-ctx.Done()
		return nil
	}
	sink(gaea.BusMessage{Connected: true})
	for {
		select {
		case msg := <-m.events:
			sink(msg)
		case <-ctx.Done():
			return nil
		}
	}
}

// change changes a minion's machine.
func (m *master) change(minion string, f func(*machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.machines[minion] == nil {
		m.machines[minion] = &machine{}
	}
	f(m.machines[minion])
}

// count counts publications of a function.
func (m *master) count(function string) int { return len(m.Published(function)) }

// world is a backend on a scripted master, in a bubble in which time passes when all wait.
type world struct {
	t      *testing.T
	master *master
	*direct.Backend
}

var quick = enginetest.Minion{Takes: 200 * time.Millisecond, Answers: 100 * time.Millisecond}

func inWorld(t *testing.T, minions []string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, master: newMaster()}
		for _, name := range minions {
			w.master.Set(name, quick)
		}
		defer w.master.Close()
		w.restart()
		test(t, w)
		w.stop()
	})
}

// restart begins a process that knows nothing of the one before.
func (w *world) restart() {
	w.t.Helper()
	if w.Backend != nil {
		w.stop()
	}
	w.Backend = direct.New(direct.Options{Salt: w.master, User: "deploy"})
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// web is an assignment over all minions, whose references carry what they name.
func web(change ...func(*gaea.Assignment)) gaea.Assignment {
	a := gaea.Assignment{
		Name: "web", TargetGroup: gaea.Carry(gaea.TargetGroup{Name: "all", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}),
		States: []string{"nginx"}, Remediate: true,
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

// know gives the process the assignment, as a refresh does.
func (w *world) know(a gaea.Assignment) {
	w.t.Helper()
	if _, err := w.GetAssignment(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) check(name string) *gaea.DriftReport {
	w.t.Helper()
	report, err := w.Check(w.t.Context(), name, gaea.CheckRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// apply enforces the assignment and waits for the end.
func (w *world) apply(a gaea.Assignment, key string, minions ...string) (*gaea.Run, *gaea.DriftReport) {
	w.t.Helper()
	if _, err := w.PutAssignment(w.t.Context(), gaea.AssignmentInput{Assignment: a}); err != nil {
		w.t.Fatal(err)
	}
	run, err := w.Enforce(w.t.Context(), a.Name, gaea.EnforceRequest{Minions: minions, Ref: gaea.RefOf(a)}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.end(run.ID), w.drift(a.Name)
}

func (w *world) end(id string) *gaea.Run {
	w.t.Helper()
	run, err := w.WaitRun(w.t.Context(), id, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *world) drift(name string) *gaea.DriftReport {
	w.t.Helper()
	report, err := w.Drift(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { <-time.After(d) }
