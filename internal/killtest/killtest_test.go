package killtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// disk is a lab of which there are the directories alone.
type disk string

func (d disk) Minions() []string           { return []string{"db1", "web1", "web2"} }
func (d disk) MinionRoot(id string) string { return filepath.Join(string(d), id) }
func (d disk) Dir() string                 { return string(d) }
func (d disk) StatesDir() string           { return string(d) }

// written is a round on three minions that have written these marks.
func written(t *testing.T, marks map[string]string) *round {
	t.Helper()
	r := &round{session: &session{traces: traces{disk(t.TempDir())}}, number: 1}
	for minion, words := range marks {
		write(t, r.traces.minion(1, minion), strings.ReplaceAll(words, " ", "\n")+"\n")
	}
	return r
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// violates fails the test unless err is a violation that says so.
func violates(t *testing.T, err error, says string) {
	t.Helper()
	if v, ok := errors.AsType[violated](err); !ok || !strings.Contains(v.what, says) {
		t.Errorf("the round is told to be: %v", err)
	}
}

const ran = "a.work a.done"

// straight is a run that ended well on every minion.
func straight() *job {
	minions := map[string]gaea.RunMinion{}
	for _, name := range disk("").Minions() {
		minions[name] = gaea.RunMinion{Outcome: gaea.OutcomeSucceeded, JID: jid}
	}
	j := &job{work: work{letter: "a"}, id: "run-1", run: &gaea.Run{Status: gaea.RunSucceeded, Minions: minions}}
	j.template.Function = "cmd.run"
	return j
}

const jid = "20260102030405000000"

func TestTheSamePlanFollowsFromTheSameSeed(t *testing.T) {
	at := traces{disk("/lab")}
	plain := func(p plan) plan { p.moment.seen = nil; return p } // functions cannot be compared
	for round := 1; round <= 50; round++ {
		one, other := planOf(7, round, at), planOf(7, round, at)
		if !reflect.DeepEqual(plain(one), plain(other)) {
			t.Fatalf("round %d is %+v and %+v", round, one, other)
		}
	}
}

func TestEveryShapeHasItsTurn(t *testing.T) {
	played := map[string]bool{}
	for round := range shapes {
		played[planOf(3, round+1, traces{disk("/lab")}).shape] = true
	}
	if len(played) != len(shapes) {
		t.Errorf("of %d shapes %d were played", len(shapes), len(played))
	}
}

func TestEveryPlanIsOneThatJobdTakes(t *testing.T) {
	for round := 1; round <= 200; round++ {
		for _, w := range planOf(11, round, traces{disk("/lab")}).works {
			if err := w.template.Validate(); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
}

func TestARunThatEndedWellOnMinionsThatRanItOnceIsRight(t *testing.T) {
	r, j := written(t, map[string]string{"db1": ran, "web1": ran, "web2": ran}), straight()
	if err := errors.Join(r.ended(j), r.outcomes(j), r.worked(j)); err != nil {
		t.Error(err)
	}
}

func TestAFunctionThatRanTwiceIsFoundOnTheMinion(t *testing.T) {
	r := written(t, map[string]string{"db1": ran, "web1": ran + " " + ran, "web2": ran})
	violates(t, r.worked(straight()), `on web1, and its function began there 2 times`)
}

func TestAFunctionThatIsSaidToHaveRunAndDidNotIsFound(t *testing.T) {
	r := written(t, map[string]string{"db1": ran, "web1": ran})
	violates(t, r.worked(straight()), `on web2, and its function began there 0 times`)
}

func TestAMinionThatRanTheFunctionAndIsSaidToBeSkippedIsFound(t *testing.T) {
	r, j := written(t, map[string]string{"db1": ran, "web1": ran, "web2": ran}), straight()
	j.run.Minions["db1"] = gaea.RunMinion{Outcome: gaea.OutcomeSkipped}
	violates(t, r.worked(j), `"skipped" on db1`)
}

func TestAMinionWithoutAReturnIsNotRight(t *testing.T) {
	j := straight()
	j.run.Minions["db1"] = gaea.RunMinion{Outcome: gaea.OutcomeNoReturn, JID: jid}
	violates(t, written(t, nil).outcomes(j), `on db1 as "no_return"`)
}

func TestAMinionThatLeftTheRunIsMissed(t *testing.T) {
	j := straight()
	delete(j.run.Minions, "db1")
	violates(t, written(t, nil).outcomes(j), "has the minions")
}

func TestATryOfAnActionThatWasMadeTwiceIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		runs     []string // that the action names
		children []string // that there are
		marks    string
		says     string
	}{
		"as another run":   {[]string{"t1"}, []string{"t1", "t2"}, "a.pre-once", "there are"},
		"on the minion":    {[]string{"t1"}, []string{"t1"}, "a.pre-once a.pre-once", "ran 2 times"},
		"and not at all":   {[]string{"t1"}, []string{"t1"}, "a.work", "ran 0 times"},
		"without its run":  {nil, nil, "a.work", "tried 1 times, with the runs"},
		"and as it should": {[]string{"t1"}, []string{"t1"}, "a.pre-once", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, j := written(t, map[string]string{"db1": c.marks, "web1": c.marks, "web2": c.marks}), straight()
			j.template.PreActions = []gaea.JobAction{{Name: "pre-once", Function: "cmd.run"}}
			j.run.Actions = []gaea.RunAction{{Name: "pre-once", Phase: gaea.PhasePre, Status: gaea.ActionSucceeded, Attempts: 1, Runs: c.runs}}
			for _, id := range c.children {
				j.children = append(j.children, &gaea.Run{ID: id, Minions: j.run.Minions})
			}
			if c.says == "" {
				if err := r.acted(j); err != nil {
					t.Error(err)
				}
				return
			}
			violates(t, r.acted(j), c.says)
		})
	}
}

func TestRunsOfOneLockThatTakeTurnsOnAMinionAreFound(t *testing.T) {
	r := written(t, map[string]string{"db1": "a.work a.done b.work b.done", "web1": "a.work b.work a.done b.done", "web2": "b.work a.work"})
	first := straight()
	first.template.Concurrency.Lock = "deploy"
	r.jobs = []*job{first, {}}
	violates(t, r.apart(), "on web1 the runs of one lock took turns")
}

func TestARunThatGoesBeforeTheOneThatHadTheLockIsFound(t *testing.T) {
	r := written(t, map[string]string{"db1": "a.work b.work", "web1": "b.work a.work", "web2": "a.work b.work"})
	first := straight()
	first.template.Concurrency.Lock = "deploy"
	r.jobs = []*job{first, {work: work{letter: "b", later: true}, id: "run-2"}}
	violates(t, r.apart(), "on web1 run run-2 went before run run-1")
}

// archive is a jobd that compares every job with this result, and whose archive has returns of these minions.
type archive struct {
	report string
	has    []string
}

func (a archive) RoundTrip(req *http.Request) (*http.Response, error) {
	body := a.report
	if req.Method == http.MethodGet {
		var items []string
		for _, minion := range a.has {
			items = append(items, fmt.Sprintf(`{"jid": %q, "minion": %q}`, jid, minion))
		}
		body = `{"items": [` + strings.Join(items, ",") + `]}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: req, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func TestAnArchiveThatIsNotAsTheJobCacheIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		archive archive
		says    string
	}{
		"lacks":    {archive{`{"jobs": 1, "returns": 2, "differences": [{"jid": "1", "minion": "web1", "kind": "return_missing"}]}`, nil}, "return_missing web1"},
		"differs":  {archive{`{"jobs": 1, "returns": 2, "differences": [{"jid": "1", "minion": "web1", "kind": "body_differs"}]}`, nil}, "body_differs web1"},
		"invented": {archive{`{"jobs": 1, "returns": 2, "beyond": 1, "differences": []}`, nil}, "1 returns that are not in the job cache"},
		"unread":   {archive{`{"jobs": 1, "returns": 0, "differences": [], "unread": [{"jid": "1", "reason": "torn"}]}`, nil}, "torn"},
		"unknown":  {archive{`{"jobs": 0, "returns": 0, "differences": []}`, nil}, "not in the job cache"},
		"twice":    {archive{`{"jobs": 1, "returns": 2, "differences": []}`, []string{"db1", "web1", "web1"}}, "the return of web1 2 times"},
		"right":    {archive{`{"jobs": 1, "returns": 2, "differences": []}`, []string{"db1", "web1"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := written(t, nil)
			client, err := jobdclient.New(jobdclient.Config{Endpoint: "http://127.0.0.1:1", Transport: c.archive})
			if err != nil {
				t.Fatal(err)
			}
			r.cfg.Client = client
			n, err := r.compare(t.Context(), jid)
			if c.says == "" {
				if n != 2 || err != nil {
					t.Errorf("%d returns (%v)", n, err)
				}
				return
			}
			violates(t, err, c.says)
		})
	}
}

func TestTheStageOfARunAtAKillIsToldFromItsTimes(t *testing.T) {
	zero := time.Date(2026, 1, 2, 3, 4, 0, 0, time.Local)
	at := func(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }
	jids := &gaea.JIDs{}
	j := &job{run: &gaea.Run{
		Created: at(0), Started: at(1), Ended: at(10),
		Actions: []gaea.RunAction{
			{Phase: gaea.PhasePre, Started: at(1), Ended: at(2)},
			{Phase: gaea.PhasePost, Started: at(9), Ended: at(10)},
		},
		Slices: []gaea.Slice{
			{JID: jids.Next(at(2)), Started: at(3), Ended: at(4)},
			{Index: 1, JID: jids.Next(at(5)), Started: at(6), Ended: at(7), Actions: []gaea.RunAction{{Phase: gaea.PhasePost, Started: at(7), Ended: at(8)}}},
		},
	}}
	for seconds, want := range map[float64]string{
		-1: beingAccepted, 0.5: "queued", 1.5: "pre-actions", 2.5: "slice stored, publish not confirmed", 3.5: "slice 1", 4.5: "between steps",
		6.5: "slice 2", 7.5: "post-actions of a slice", 9.5: "post-actions", 11: ended,
	} {
		if got := stage(j, at(seconds)); got != want {
			t.Errorf("after %v s it is %q, not %q", seconds, got, want)
		}
	}
	j.cancelled = at(6.2)
	if got := stage(j, at(6.5)); got != "cancelling" {
		t.Errorf("when it was told to stop it is %q", got)
	}
}
