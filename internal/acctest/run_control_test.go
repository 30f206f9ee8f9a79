package acctest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
)

func TestAccAPauseLetsTheSliceEndThatRunsAndAResumeGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch := r.background(t, r.asked(t, "say begin; [ {{ grains.id }} != db1 ] || await go; say end", "--batch", "1", "--watch")...)
	r.saidThat(t, "begin db1")
	id := r.latest(t).ID
	wants(t, r.cli(t, 0, "pause", id), id+" pauses when what runs has ended", "jobd resume "+id)
	wants(t, r.cli(t, 0, "pause", id), "pauses when what runs has ended") // asked twice is no error
	r.open(t, "go")
	run := r.stands(t, gaea.RunPaused)
	if run.Pause == nil || run.Pause.Reason != gaea.PauseAsked || run.Pause.By != "apply" {
		t.Errorf("the pause is %+v", run.Pause)
	}
	wants(t, r.cli(t, 0, "show", id), "paused by apply since", "go on with: jobd resume "+id)
	r.said(t, "begin db1", "end db1")
	watch.prints(t, "paused by apply")
	wants(t, r.cli(t, 0, "resume", id), id+" goes on")
	wants(t, watch.ends(t, 0), "goes on after the pause", "3 succeeded")
	r.said(t, "begin db1", "end db1", "begin web1", "end web1", "begin web2", "end web2")
	wants(t, r.cli(t, 1, "pause", id), "has ended (succeeded); there is nothing to pause")
	wants(t, r.cli(t, 1, "resume", id), "has ended (succeeded); there is nothing to resume")
	if run = r.run(t, id); run.PausedFor == 0 {
		t.Error("the time that the run was paused for is not kept")
	}
}

// This test stops a minion, so it does not run in parallel with others.
func TestAccARetryTellsAMinionThatWasUnreachableWhenItIsBack(t *testing.T) {
	r := newRig(t)
	r.stopMinion(t, "db1")
	out := r.cli(t, 1, r.asked(t, "say told", "--gather", "1s", "--watch")...)
	first := r.runIn(t, out)
	wants(t, out, "1 unreachable: did not answer within 1s when it was asked db1", "2 succeeded web1, web2", "jobd retry "+first.ID)

	r.startMinion(t, "db1")
	out = r.cli(t, 0, "retry", first.ID, "--watch")
	second := r.runIn(t, out)
	wants(t, out, "repeats "+first.ID, "on db1: succeeded", "1 succeeded db1")
	wants(t, r.cli(t, 1, "show", first.ID), "repeated by "+second.ID+": succeeded")
	if got := r.journal(t); len(got) != 3 || got[2] != "told db1" {
		t.Errorf("the journal is %q", got)
	}
	if second.RetryOf != first.ID || !slices.Equal(second.Target.Minions, []string{"db1"}) {
		t.Errorf("the retry is %+v", second)
	}
	wants(t, r.cli(t, 1, "retry", second.ID), "--outcome: no minion of run "+second.ID)
}

func TestAccACancelledRunInSlicesKillsWhatRunsSkipsTheRestAndDoesWhatIsAlwaysDone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	undrain, rejoice := r.does(t, "undrain", "say undrain"), r.does(t, "rejoice", "say rejoice")
	undrain.When = gaea.WhenAlways
	r.template(t, gaea.JobTemplate{Batch: gaea.Batch{Size: amount(t, "1")}, PostActions: []gaea.JobAction{undrain, rejoice}})
	watch := r.background(t, r.asked(t, "say begin; await never; say end", "--template", r.name, "--watch")...)
	r.saidThat(t, "begin db1")
	id := r.latest(t).ID
	wants(t, r.cli(t, 0, "cancel", id), "cancelled by apply", "killed: db1 (killed; the minion confirms that the job is gone with its processes)", "2 skipped: not told: the run was cancelled before web1, web2")
	wants(t, watch.ends(t, 3), "cancelled", "1 killed", "2 skipped", "post-action undrain: succeeded")
	r.said(t, "begin db1", "undrain db1")
	if got := actions(r.run(t, id)); !slices.Equal(got, []string{"post undrain succeeded", "post rejoice skipped"}) {
		t.Errorf("the actions are %q", got)
	}
	r.cli(t, 3, "show", id)
}

func TestAccAPausedRunIsCancelledAtOnceAndWhatIsLeftCanBeRunLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch := r.background(t, r.asked(t, "say told", "--canary", "1", "--canary-hold", "manual", "--watch")...)
	id := r.stands(t, gaea.RunPaused).ID
	wants(t, r.cli(t, 0, "cancel", id), "Nothing of the run is at work", "cancelled by apply; 1 succeeded, 2 skipped (web1, web2)",
		"Run it on what is left (2 minions) with: jobd retry --outcome skipped "+id)
	watch.ends(t, 3)
	r.said(t, "told db1")
	wants(t, r.cli(t, 1, "retry", id), "--outcome: no minion of run "+id+" has one of the outcomes")

	again := r.background(t, "retry", "--outcome", "skipped", id, "--watch")
	again.prints(t, "jobd resume") // it has the rules of the first
	r.cli(t, 0, "resume", r.stands(t, gaea.RunPaused).ID)
	wants(t, again.ends(t, 0), "repeats "+id, "2 succeeded web1, web2")
	r.said(t, "told db1", "told web1", "told web2")
}

func TestAccACancelWithGraceLetsTheJobEndByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// Where a shell's child is ended the shell says so, and who would read that has ended too: that is not to end the shell.
	watch := r.background(t, r.asked(t, "exec 2>/dev/null; trap 'say cleaned; exit 0' TERM; say begin; await never", "--watch")...)
	for _, minion := range r.lab.Minions() {
		r.saidThat(t, "begin "+minion)
	}
	id := r.latest(t).ID
	out := r.cli(t, 0, "cancel", id, "--grace", "30s")
	wants(t, out, "cancelled by apply")
	watch.ends(t, 3)
	// Salt's own process is told to end too. Where the shell was done before that, its return came, and is taken.
	for minion, m := range r.run(t, id).Minions {
		told := m.Outcome == gaea.OutcomeKilled && m.Message == "ended when it was told to; the minion confirms that the job is gone with its processes"
		if !told && m.Outcome != gaea.OutcomeSucceeded {
			t.Errorf("%s ended as %+v", minion, m)
		}
	}
	got := r.journal(t)
	slices.Sort(got)
	if want := []string{"begin db1", "begin web1", "begin web2", "cleaned db1", "cleaned web1", "cleaned web2"}; !slices.Equal(got, want) {
		t.Errorf("the journal is %q, not %q, and the cancellation said\n%s", got, want, out)
	}
}

func TestAccCtrlCInAWatchedRunCancelsItAndStaysUntilTheKillsAreVerified(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch := r.background(t, r.asked(t, "echo $$ > shell-{{ grains.id }}; say begin; await never", "--watch")...)
	for _, minion := range r.lab.Minions() {
		r.saidThat(t, "begin "+minion)
	}
	watch.interrupt(t)
	wants(t, watch.ends(t, 3), "Ctrl-C: the run is being cancelled", "cancelled", "3 killed")
	run := r.latest(t)
	if run.Status != gaea.RunCancelled || run.Counts[gaea.OutcomeKilled] != 3 {
		t.Errorf("the run ended as %s, %v", run.Status, run.Counts)
	}
	for _, minion := range r.lab.Minions() {
		pid, err := strconv.Atoi(strings.TrimSpace(r.content(t, "web1", "shell-"+minion)))
		if err != nil {
			t.Fatal(err)
		}
		if alive(pid) {
			t.Errorf("%s is said to be killed, and its shell lives on as %d", minion, pid)
		}
	}
}

func TestAccCtrlCInAWatchedRunThatMayDetachLetsItGoOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch := r.background(t, r.asked(t, "say begin; await go; say end", "--watch", "--on-interrupt", "detach")...)
	r.saidThat(t, "begin db1")
	id := r.latest(t).ID
	watch.interrupt(t)
	wants(t, watch.ends(t, 4), "The run "+id+" goes on. Watch it with: jobd show --watch "+id)
	if run := r.run(t, id); run.Status != gaea.RunRunning || run.Verdict != "" {
		t.Errorf("the run is %s, %s", run.Status, run.Verdict)
	}
	again := r.background(t, "show", id, "--watch")
	r.open(t, "go")
	wants(t, again.ends(t, 0), "3 succeeded")
}

// cutter is a proxy before jobd that cuts the first stream of a run in the middle, and notes how clients came back.
type cutter struct {
	url string

	mu    sync.Mutex
	came  []string // the Last-Event-ID of each request for a stream
	began []string // the first event of each
}

// cutBody ends a stream after so many events, as a connection that is lost does.
type cutBody struct {
	*bufio.Reader
	close func() error
	seen  func(event string)
	left  int // events, below 0 for all
}

func (b *cutBody) Close() error { return b.close() }

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("the connection was cut")
	}
	line, err := b.ReadSlice('\n')
	if len(line) > len(p) {
		return 0, errors.New("a line that is too long for this proxy")
	}
	if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
		b.seen(string(bytes.TrimSpace(name)))
	}
	if b.left > 0 && len(bytes.TrimSpace(line)) == 0 {
		b.left--
	}
	return copy(p, line), err
}

func newCutter(t *testing.T, endpoint string, events int) *cutter {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(req *httputil.ProxyRequest) { req.SetURL(to) },
		FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			if !strings.HasSuffix(resp.Request.URL.Path, "/events") {
				return nil
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			left := -1
			if len(c.came) == 0 {
				left = events
			}
			place := len(c.came)
			c.came, c.began = append(c.came, resp.Request.Header.Get("Last-Event-ID")), append(c.began, "")
			body := resp.Body
			resp.Body = &cutBody{Reader: bufio.NewReaderSize(body, 1<<20), close: body.Close, left: left, seen: func(event string) {
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.began[place] == "" {
					c.began[place] = event
				}
			}}
			return nil
		},
	}
	server := httptest.NewServer(proxy) // which cuts the connection where the body breaks off
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// untimed is a run without times: a stream has them finer than the archive.
func untimed(run *gaea.Run) gaea.Run {
	u := *run
	u.Created, u.Started, u.Ended = time.Time{}, time.Time{}, time.Time{}
	u.Slices, u.Minions = slices.Clone(run.Slices), maps.Clone(run.Minions)
	for i := range u.Slices {
		u.Slices[i].Started, u.Slices[i].Ended = time.Time{}, time.Time{}
	}
	for name, m := range u.Minions {
		m.At = time.Time{}
		u.Minions[name] = m
	}
	return u
}

func TestAccAStreamOfARunThatIsCutGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	req := gaea.RunRequest{
		Function: "cmd.run", Args: []any{r.script(t, "say begin; await go-{{ grains.id }}; say end")},
		Kwargs: map[string]any{"python_shell": true, "template": "jinja"}, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"},
		Batch: gaea.Batch{Size: amount(t, "1")},
	}
	run, err := r.client.CreateRun(t.Context(), req, r.name)
	if err != nil {
		t.Fatal(err)
	}
	cut := newCutter(t, r.jobd.Endpoint, 2)
	client, err := jobdclient.New(jobdclient.Config{Endpoint: cut.url, Token: r.tokens["apply"]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var seqs []int64
	followed := make(chan error, 1)
	var last *gaea.Run
	go func() {
		var err error
		last, err = client.FollowRun(t.Context(), run.ID, func(run *gaea.Run) error {
			seqs = append(seqs, run.Seq)
			return nil
		})
		followed <- err
	}()
	for _, minion := range []string{"db1", "web1", "web2"} {
		r.saidThat(t, "begin "+minion)
		r.open(t, "go-"+minion)
	}
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(seqs) || last.Status != gaea.RunSucceeded || len(last.Minions) != 3 || len(last.Slices) != 3 {
		t.Errorf("the client saw the changes %v, and at last %+v", seqs, last)
	}
	if want := untimed(r.run(t, run.ID)); !reflect.DeepEqual(untimed(last), want) {
		t.Errorf("what the client put together is\n%+v, and the run\n%+v", untimed(last), want)
	}
	cut.mu.Lock()
	defer cut.mu.Unlock()
	if len(cut.came) != 2 || cut.came[0] != "" || cut.came[1] == "" || cut.began[0] != "run" || cut.began[1] != "change" {
		t.Errorf("the client asked with the last ids %q, and was told at first %q", cut.came, cut.began)
	}
}

func TestAccTwoJobdsDoNotServeOneDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, shared.binary, "serve", "--listen", "127.0.0.1:0", "--salt-config-dir", r.lab.ConfigDir(), "--database", r.jobd.Database).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("the second jobd ended with %v", err)
	}
	wants(t, string(out), "another jobd (process "+strconv.Itoa(r.jobd.PID())+") uses the database", strings.TrimPrefix(r.jobd.Database, "sqlite://"), "--database")
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Errorf("the first jobd is disturbed: %v", err)
	}
}

func TestAccTheRunsOfAnotherMasterInTheSameDatabaseAreLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dir := t.TempDir()
	start := func(master string) *jobdlab.Jobd {
		t.Helper()
		j, err := jobdlab.Start(t.Context(), jobdlab.Config{
			Binary: shared.binary, SaltConfigDir: r.lab.ConfigDir(), Dir: dir, Args: []string{"--master-name", master, "--log-level", "debug"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Stop(); err != nil {
				t.Error(err)
			}
		})
		return j
	}
	one := start("one")
	tokens, err := makeTokens(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	r.jobd, r.tokens = one, tokens
	r.client = r.dial(t, "apply")
	args := r.asked(t, "say begin; await go; say end", "--batch", "1")
	args[6] = "web*"
	id := strings.TrimSpace(strings.SplitN(r.cli(t, 0, args...), "\n", 2)[0])
	r.saidThat(t, "begin web1")
	one.Kill()

	r.jobd = start("two")
	r.client = r.dial(t, "apply")
	r.cli(t, 0, "run", "test.ping", "--target", "db1", "--watch")
	wants(t, r.cli(t, 1, "cancel", id), "does not go on here", `the jobd of the master "one"`)
	r.open(t, "go")
	r.saidThat(t, "end web1")
	if run := r.run(t, id); run.Status != gaea.RunRunning || run.Minions["web1"].Outcome.Final() || run.Master != "one" {
		t.Errorf("the run of another master is %s, %+v", run.Status, run.Minions)
	}
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}

	r.jobd = start("one")
	r.client = r.dial(t, "apply")
	if run := r.waited(t, id); run.Status != gaea.RunSucceeded {
		t.Errorf("the run ended as %s, %+v", run.Status, run.Minions)
	}
	r.said(t, "begin web1", "end web1", "begin web2", "end web2")
}
