package native_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// cacheJob writes a job into the fake's job cache on disk, as a master would.
func (f *fake) cacheJob(jid string, load map[string]any, minions []any, returns map[string]any) string {
	f.tb.Helper()
	config, err := native.ReadMasterConfig(f.dir())
	if err != nil {
		f.tb.Fatal(err)
	}
	dir, ok := native.JobDir(config, jid)
	if !ok {
		f.tb.Fatal("no job cache on disk")
	}
	rel, err := filepath.Rel(f.root, dir)
	if err != nil {
		f.tb.Fatal(err)
	}
	pack := func(v any) string {
		b, err := native.AppendValue(v)
		if err != nil {
			f.tb.Fatal(err)
		}
		return string(b)
	}
	f.write(rel+"/jid", jid)
	f.write(rel+"/.load.p", pack(load))
	f.write(rel+"/.minions.p", pack(minions))
	for id, entry := range returns {
		f.write(filepath.Join(rel, id, "return.p"), pack(entry))
	}
	return rel
}

var motdLoad = map[string]any{
	"cmd": "publish", "fun": "state.apply", "arg": []any{"motd", map[string]any{"__kwarg__": true, "test": true}}, "tgt": "web*", "tgt_type": "glob",
	"jid": jid, "ret": "", "user": "jobd", "kwargs": map[string]any{"metadata": map[string]any{"gaea_run": "run-1"}, "token": "secret-token"},
}

func TestAJobIsReadFromTheCacheOnDisk(t *testing.T) {
	for _, hash := range []string{"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} {
		t.Run(hash, func(t *testing.T) {
			f := newFake(t, "utc_jid: True\nhash_type: "+hash)
			rel := f.cacheJob(jid, motdLoad, []any{"web2", "web1"}, map[string]any{
				"web2": map[string]any{"return": []any{"No matching sls"}, "retcode": 1, "success": false},
				"web1": map[string]any{"return": map[string]any{}, "retcode": 0, "success": true},
			})
			f.write(rel+"/.minions.syndic1.p", "\x91\xa4far1")
			f.write(rel+"/web3/out.p", "\xa6nested")
			f.write(rel+"/web4/return.p", "\xc1 broken")
			at := time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)
			if err := os.Chtimes(filepath.Join(f.root, rel, "web1/return.p"), at, at); err != nil {
				t.Fatal(err)
			}
			got, err := f.client(native.Options{}).CachedJob(t.Context(), jid)
			if err != nil {
				t.Fatal(err)
			}
			j := got.Job
			if j.JID != jid || j.Function != "state.apply" || !j.Test || j.RunID != "run-1" || j.User != "jobd" || j.Source != gaea.SourceCache || !j.Known ||
				!j.Started.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || !slices.Equal(j.Minions, []string{"far1", "web1", "web2"}) {
				t.Errorf("got %+v", j)
			}
			if len(got.Returns) != 2 || got.Returns[0].Minion != "web1" || !got.Returns[0].Stamp.Equal(at) || got.Returns[0].Outcome != gaea.OutcomeInSync ||
				got.Returns[1].Outcome != gaea.OutcomeCouldNotRun || got.Returns[1].RunID != "run-1" || got.Returns[1].JID != jid {
				t.Errorf("got %+v", got.Returns)
			}
		})
	}
}

func TestAJobIDWithAProcessBehindItIsFound(t *testing.T) {
	f := newFake(t, "")
	f.cacheJob(jid+"_4711", motdLoad, []any{"web1"}, nil)
	if got, err := f.client(native.Options{}).CachedJob(t.Context(), jid+"_4711"); err != nil || got.Job.JID != jid+"_4711" {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestAJobThatTheCacheHasNotIsNotFound(t *testing.T) {
	for name, config := range map[string]string{"with a cache": "", "without": "job_cache: False"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, config)
			_, err := f.client(native.Options{}).CachedJob(t.Context(), jid)
			if gaea.CodeOf(err) != gaea.CodeNotFound || strings.Contains(err.Error(), "job_cache: False") != (config != "") {
				t.Errorf("got %v", err)
			}
			if jids, err := f.client(native.Options{}).CachedJIDs(t.Context(), time.Time{}); err != nil || len(jids) != 0 {
				t.Errorf("got %q, error %v", jids, err)
			}
		})
	}
}

func TestOfAReturnOverTheBoundTheJobCacheGivesTheBeginning(t *testing.T) {
	for name, ret := range map[string]any{"too large": strings.Repeat("x", 9000), "too deep": deep(100)} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			f.cacheJob(jid, motdLoad, []any{"web1"}, map[string]any{"web1": map[string]any{"return": ret, "retcode": 2}})
			opts := native.Options{MaxReturn: 5000, Limits: saltclient.Limits{Depth: 50}}
			got, err := f.client(opts).CachedJob(t.Context(), jid)
			if err != nil || len(got.Returns) != 1 {
				t.Fatalf("got %+v, error %v", got, err)
			}
			packed, err := native.AppendValue(ret)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(packed)
			r := got.Returns[0]
			if r.Truncated == nil || r.Truncated.SHA256 != hex.EncodeToString(sum[:]) || r.Truncated.Size != int64(len(packed)) {
				t.Errorf("told is %+v", r.Truncated)
			}
			if len(r.Body) > 5100 || len(r.Body) < 50 || r.Retcode == nil || *r.Retcode != 2 {
				t.Errorf("%d bytes are kept, with the return code %v", len(r.Body), r.Retcode)
			}
		})
	}
}

// deep is lists within each other.
func deep(n int) any {
	var v any = "bottom"
	for range n {
		v = []any{v}
	}
	return v
}

func TestJobsSinceATimeAreListedOldestFirst(t *testing.T) {
	f := newFake(t, "utc_jid: True")
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	old := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	load := func(jid, fun string) map[string]any {
		return map[string]any{"jid": jid, "fun": fun, "arg": []any{}, "tgt": "*"}
	}
	for _, jid := range []string{"20260102030406000000", "20260102030405000000", "20260102030404999999", "20260102030407000000"} {
		rel := f.cacheJob(jid, load(jid, "test.ping"), []any{"a"}, nil)
		if err := os.Chtimes(filepath.Join(f.root, rel, "jid"), old, old); err != nil {
			t.Fatal(err)
		}
	}
	f.cacheJob("20200101000000000000", load("20200101000000000000", "test.ping"), nil, nil) // its clock was wrong, but it was written just now
	f.cacheJob("20260102030408000000", load("20260102030408000000", "runner.jobs.list_jobs"), nil, nil)
	f.cacheJob("20260102030409000000", load("20260102030409000000", "wheel.key.list_all"), nil, nil)
	f.write("var/cache/salt/master/jobs/aa/bb/jid", "20260102030410000000") // an id that was taken and not used
	f.write("var/cache/salt/master/jobs/aa/cc/return.p", "")                // a job that is being cleaned away
	f.write("var/cache/salt/master/jobs/aa/dd/jid", "20260102030411000000") // a broken job
	f.write("var/cache/salt/master/jobs/aa/dd/.load.p", "\xc1")
	f.write("var/cache/salt/master/jobs/stray", "")
	got, err := f.client(native.Options{}).CachedJIDs(t.Context(), since)
	want := []string{"20200101000000000000", "20260102030405000000", "20260102030406000000", "20260102030407000000"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, error %v", got, err)
	}
}

// runners makes the fake run runners: result tells what each returns, and its event is sent to who listens.
func (f *fake) runners(result func(fun string, kwarg map[string]any) map[string]any) {
	f.answers(func(load map[string]any) any {
		fun, _ := load["fun"].(string)
		kwarg, _ := load["kwarg"].(map[string]any)
		data := result(fun, kwarg)
		data["fun"], data["jid"] = "runner."+fun, "9"
		conn := f.reader()
		f.work.Go(func() {
			for _, m := range [][]byte{busEvent(f.tb, "salt/run/8/ret", map[string]any{"return": "another's"}), busEvent(f.tb, "salt/run/9/new", nil), {0x80}, busEvent(f.tb, "salt/run/9/ret", data)} {
				if _, err := conn.Write(m); err != nil {
					return
				}
			}
		})
		return map[string]any{"tag": "salt/run/9", "jid": "9"}
	})
}

func TestARunnersResultComesFromTheBus(t *testing.T) {
	f := newFake(t, "")
	f.runners(func(fun string, kwarg map[string]any) map[string]any {
		return map[string]any{"success": true, "return": map[string]any{"fun": fun, "got": kwarg}}
	})
	got, err := f.client(native.Options{}).Runner(t.Context(), "manage.up", []any{"a"}, map[string]any{"timeout": 5})
	if want := `{"fun":"manage.up","got":{"arg":["a"],"kwarg":{"timeout":5}}}`; err != nil || string(got) != want {
		t.Errorf("got %s, error %v", got, err)
	}
	load := f.asked()[0]
	if load["cmd"] != "runner" || load["user"] != "root" || load["key"] != "secret-key" {
		t.Errorf("asked %v", load)
	}
}

func TestARunnerThatFailsIsQuoted(t *testing.T) {
	f := newFake(t, "")
	f.runners(func(string, map[string]any) map[string]any {
		return map[string]any{"success": false, "return": "Exception occurred in runner x.y: Traceback\n  File\nValueError: no such thing\n"}
	})
	_, err := f.client(native.Options{}).Runner(t.Context(), "x.y", nil, nil)
	if gaea.CodeOf(err) != gaea.CodeSalt || !strings.HasSuffix(gaea.MessageOf(err), "ValueError: no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestARunnerThatTheMasterRefusesIsForbidden(t *testing.T) {
	f := newFake(t, "")
	f.answers(refused("UserAuthenticationError", "no"))
	if _, err := f.client(native.Options{}).Runner(t.Context(), "x.y", nil, nil); gaea.CodeOf(err) != gaea.CodeForbidden {
		t.Errorf("got %v", err)
	}
}

func TestARunnerThatDoesNotEndIsATimeout(t *testing.T) {
	f := newFake(t, "")
	started := make(chan struct{}, 2)
	f.answers(func(map[string]any) any {
		started <- struct{}{}
		return map[string]any{"tag": "salt/run/9", "jid": "9"}
	})
	c := f.client(native.Options{RunnerTimeout: time.Second, Runners: 1})
	if _, err := c.Runner(t.Context(), "x.y", nil, nil); gaea.CodeOf(err) != gaea.CodeTimeout {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Runner(ctx, "x.y", nil, nil); gaea.CodeOf(err) != gaea.CodeCancelled {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestABusThatEndsWhileARunnerRunsIsUnavailable(t *testing.T) {
	f := newFake(t, "")
	f.answers(func(map[string]any) any {
		f.reader().Close()
		return map[string]any{"tag": "salt/run/9", "jid": "9"}
	})
	c := f.client(native.Options{})
	if _, err := c.Runner(t.Context(), "x.y", nil, nil); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	f.closeBus()
	if _, err := c.Runner(t.Context(), "x.y", nil, nil); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("without a bus: got %v", err)
	}
}

// listed is what jobs.list_job tells of the job that motdLoad is.
func listed(returns map[string]any) map[string]any {
	return map[string]any{
		"jid": jid, "Function": "state.apply", "Arguments": motdLoad["arg"], "Target": "web*", "Target-type": "glob", "User": "jobd",
		"Metadata": map[string]any{"gaea_run": "run-1"}, "Minions": []any{"web1"}, "StartTime": "2026, Jan 02 03:04:05.000000", "Result": returns,
	}
}

func TestWithoutAReadableCacheOnDiskARunnerIsAsked(t *testing.T) {
	entry := map[string]any{"return": map[string]any{}, "retcode": 0, "success": true}
	for name, config := range map[string]string{
		"kept elsewhere": "master_job_cache: mysql", "returned elsewhere": "ext_job_cache: redis", "another hash": "hash_type: sha3_256",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "utc_jid: True\n"+config)
			f.runners(func(fun string, kwarg map[string]any) map[string]any {
				if fun == "jobs.list_jobs" {
					return map[string]any{"success": true, "return": map[string]any{
						jid: map[string]any{"Function": "state.apply"}, "20260102030405000009": map[string]any{"Function": "test.ping"}, "20250102030405000000": map[string]any{"Function": "test.ping"},
						"20260102030405000010": map[string]any{"Function": "runner.jobs.list_jobs"},
					}}
				}
				return map[string]any{"success": true, "return": listed(map[string]any{"web1": entry})}
			})
			c := f.client(native.Options{})
			got, err := c.CachedJob(t.Context(), jid)
			if err != nil || got.Job.RunID != "run-1" || len(got.Returns) != 1 || got.Returns[0].Outcome != gaea.OutcomeInSync || !got.Returns[0].Stamp.Equal(got.Job.Started) {
				t.Errorf("got %+v, error %v", got, err)
			}
			jids, err := c.CachedJIDs(t.Context(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			if err != nil || !slices.Equal(jids, []string{jid, "20260102030405000009"}) {
				t.Errorf("got %q, error %v", jids, err)
			}
		})
	}
}

// The job cache is the master's alone, also where its directories may be passed through.
func TestAUserWhoMayNotReadTheCacheOnDiskAsksARunner(t *testing.T) {
	f := newFake(t, "")
	rel := f.cacheJob(jid, motdLoad, []any{"web1"}, map[string]any{"web1": map[string]any{"return": map[string]any{}}})
	f.runners(func(string, map[string]any) map[string]any {
		return map[string]any{"success": true, "return": listed(nil)}
	})
	c := f.client(native.Options{})
	for path := rel; path != "."; path = filepath.Dir(path) {
		f.mode(path, 0o711)
	}
	f.mode("", 0o711)
	f.mode("var/run/salt/master/master_event_pub.ipc", 0o666)
	asNobody(t, func() {
		if got, err := c.CachedJob(t.Context(), jid); err != nil || len(got.Returns) != 0 {
			t.Errorf("got %+v, error %v", got, err)
		}
		if jids, err := c.CachedJIDs(t.Context(), time.Time{}); err != nil {
			t.Errorf("got %q, error %v", jids, err)
		}
	})
	if n := len(f.asked()); n != 2 {
		t.Errorf("%d runners were asked", n)
	}
}

func TestReturnsThatARunnerCannotTellWholeAreNamed(t *testing.T) {
	f := newFake(t, "master_job_cache: mysql")
	returns := map[string]any{"web1": map[string]any{"return": "VALUE_TRIMMED", "retcode": 0}, "web2": map[string]any{"return": map[string]any{}}}
	f.runners(func(string, map[string]any) map[string]any {
		return map[string]any{"success": true, "return": listed(returns)}
	})
	c := f.client(native.Options{})
	got, err := c.CachedJob(t.Context(), jid)
	if gaea.CodeOf(err) != gaea.CodeTooLarge || !strings.Contains(gaea.MessageOf(err), "web1") || !strings.Contains(gaea.MessageOf(err), "max_event_size") {
		t.Errorf("got %v", err)
	}
	if got == nil || len(got.Returns) != 1 || got.Returns[0].Minion != "web2" {
		t.Errorf("got %+v", got)
	}
}

func TestAJobThatARunnerDoesNotKnowIsNotFound(t *testing.T) {
	f := newFake(t, "master_job_cache: mysql")
	f.runners(func(string, map[string]any) map[string]any {
		return map[string]any{"success": true, "return": map[string]any{"jid": jid, "Error": "Cannot contact returner or no job with this jid", "Result": map[string]any{}}}
	})
	if _, err := f.client(native.Options{}).CachedJob(t.Context(), jid); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

func TestTheCacheOnDiskTellsHowABatchStands(t *testing.T) {
	f := newFake(t, "utc_jid: True")
	rel := f.cacheJob(jid, motdLoad, []any{"web1"}, nil)
	state, err := native.AppendValue(map[string]any{
		"jid": jid, "all_minions": []any{"web1", "web2"}, "pending": []any{"web2"}, "active": map[string]any{}, "done": map[string]any{"web1": map[string]any{}},
		"failed": map[string]any{}, "batch_size": 1, "tgt": "web*", "tgt_type": "glob", "halted": true, "halted_reason": "failhard", "last_progress": 1795389214.25,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.write(rel+"/.batch.p", string(state))
	job, err := f.client(native.Options{}).CachedJob(t.Context(), jid)
	if err != nil {
		t.Fatal(err)
	}
	if b := job.Job.Batch; b == nil || b.Status != gaea.JobBatchHalted || b.Reason != "failhard" || b.Minions != 2 || !slices.Equal(b.Untold, []string{"web2"}) {
		t.Errorf("the batch stands as %+v", b)
	}
}

func TestARunnerInTheCacheOnDiskIsAJobOfTheMaster(t *testing.T) {
	f := newFake(t, "utc_jid: True")
	told := map[string]any{
		"fun": "runner.state.orch", "jid": jid, "user": "ann", "fun_args": []any{"deploy"}, "success": true,
		"return": map[string]any{"data": map[string]any{"salt_master": map[string]any{}}, "retcode": 0},
	}
	f.cacheJob(jid, map[string]any{"id": "salt_master", "tgt": "salt_master", "jid": jid, "fun": "runner.state.orch", "user": "ann", "return": told}, nil,
		map[string]any{"salt_master": map[string]any{"return": told}})
	c := f.client(native.Options{})
	jids, err := c.CachedJIDs(t.Context(), time.Time{})
	if err != nil || !slices.Equal(jids, []string{jid}) {
		t.Errorf("the jobs of the cache are %q (%v)", jids, err)
	}
	job, err := c.CachedJob(t.Context(), jid)
	if err != nil {
		t.Fatal(err)
	}
	if j := job.Job; j.Origin != gaea.OriginOrchestration || j.User != "ann" || !slices.Equal(j.Minions, []string{"salt_master"}) {
		t.Errorf("the job is %+v", j)
	}
	if len(job.Returns) != 1 || job.Returns[0].Outcome != gaea.OutcomeInSync {
		t.Errorf("its returns are %+v", job.Returns)
	}
}

func TestAJobWithLargeReturnsIsToldInPartsThatFitIntoMemory(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	returns, want := map[string]any{}, 20
	for n := range want {
		returns[fmt.Sprintf("web%02d", n)] = map[string]any{"return": strings.Repeat("x", 3_000_000)}
	}
	f.cacheJob(jid, motdLoad, []any{"web00"}, returns)
	parts, told := 0, ""
	err := f.client(native.Options{}).CachedJobParts(t.Context(), jid, func(part *gaea.CachedJob) error {
		if parts++; len(part.Returns) > 3 || part.Job.JID != jid || part.Job.Function != "state.apply" {
			t.Errorf("a part has %d returns of %+v", len(part.Returns), part.Job)
		}
		for k := range part.Returns {
			if part.Returns[k].Minion <= told {
				t.Errorf("%s comes after %s", part.Returns[k].Minion, told)
			}
			told, want = part.Returns[k].Minion, want-1
		}
		return nil
	})
	if err != nil || parts != 7 || want != 0 {
		t.Errorf("there are %d parts, %d returns are missing, the error is %v", parts, want, err)
	}
	stop := errors.New("enough")
	if err := f.client(native.Options{}).CachedJobParts(t.Context(), jid, func(*gaea.CachedJob) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("who has enough gets the error %v", err)
	}
}

func TestAReturnInADirectoryOfJobsIsWholeUnlessItIsTooLarge(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	rel := f.cacheJob(jid, motdLoad, []any{"web1"}, map[string]any{
		"large": map[string]any{"return": strings.Repeat("x", saltclient.DefaultMaxReturn)}, "web1": map[string]any{"return": strings.Repeat("x", 2_000_000)},
	})
	dir, err := native.OpenJobsDir(filepath.Join(f.root, filepath.Dir(filepath.Dir(rel))), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]gaea.Return{}
	err = dir.Each(t.Context(), func(part *gaea.CachedJob) error {
		for _, r := range part.Returns {
			got[r.Minion] = r
		}
		return nil
	}, func(_ string, err error) error { return err })
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d returns, error %v", len(got), err)
	}
	if r := got["web1"]; r.Truncated != nil || len(r.Body) != 2_000_002 {
		t.Errorf("%d bytes are kept, and told is %+v", len(r.Body), r.Truncated)
	}
	if r := got["large"]; r.Truncated == nil || len(r.Body) > 1<<20 {
		t.Errorf("of the large one %d bytes are kept, and told is %+v", len(r.Body), r.Truncated)
	}
}
