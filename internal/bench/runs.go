package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

const (
	runMinions    = 20  // of the lab
	downAmong     = 10  // minions of the run of which one is down
	sliceRounds   = 5   // runs in slices, each some ten seconds
	cancelRounds  = 3   // runs that are cancelled
	publishRounds = 100 // runs of which the first publish is timed
)

var everybody = gaea.Target{Type: gaea.TargetGlob, Expr: "*"}

// measureRuns times runs on twenty real minions: in slices, with one minion down, cancelled, and from the request to the
// first publish.
func measureRuns(ctx context.Context, b *bench) (figures []figure, err error) {
	states := map[string]string{"sleep": "sleep:\n  cmd.run:\n    - name: touch {{ grains['lab_root'] }}/asleep && sleep 600\n"}
	err = b.withSalt(ctx, "runs", runMinions, states, func(w *whole) error {
		token, err := saltAPILogin(ctx, w.lab)
		if err != nil {
			return err
		}
		for _, part := range partsOfRuns {
			if !b.wants("runs", part.name) {
				continue
			}
			f, err := part.measure(ctx, w, token)
			if err != nil {
				return err
			}
			figures = append(figures, f)
		}
		return nil
	})
	return figures, err
}

// partsOfRuns are measured in this order: the last one stops a minion.
var partsOfRuns = []struct {
	name    string
	measure func(ctx context.Context, w *whole, token string) (figure, error)
}{{"publish", publishLatency}, {"slices", slicesOfTwo}, {"slices", slicesByGrain}, {"cancel", cancelled}, {"down", oneDown}}

func runParts() []string {
	names := make([]string, len(partsOfRuns))
	for i, part := range partsOfRuns {
		names[i] = part.name
	}
	return names
}

// complete makes a run and waits for its end.
func (w *whole) complete(ctx context.Context, req gaea.RunRequest) (*gaea.Run, error) {
	run, err := w.client.CreateRun(ctx, req, "")
	if err != nil {
		return nil, err
	}
	return w.client.WaitRun(ctx, run.ID, nil)
}

// publishLatency is from the request to the moment at which the master says that it published the job: the stamp of its own
// event, by the clock of this machine.
func publishLatency(ctx context.Context, w *whole, _ string) (figure, error) {
	one := gaea.ListTarget(w.lab.Minions()[:1])
	var all series
	for i := range publishRounds + 5 {
		start := time.Now()
		run, err := w.complete(ctx, gaea.RunRequest{Function: "test.ping", Target: one})
		if err != nil {
			return figure{}, err
		}
		job, err := w.client.Job(ctx, run.Slices[0].JID)
		if err != nil {
			return figure{}, err
		}
		if i >= 5 { // the first ones warm everything up
			all = append(all, job.Started.Sub(start))
		}
	}
	p95 := all.quantile(0.95)
	return figure{"from the request to the first publish, by the stamp of the master's event, p95", "under 30 ms", fmt.Sprintf("%s (median %s)", short(p95), all), p95 < 30*time.Millisecond}, nil
}

// slicesOfTwo compares slices of two with the salt command's batch and with salt-api's.
func slicesOfTwo(ctx context.Context, w *whole, token string) (figure, error) {
	return comparedSlices(ctx, w, token, everybody, "test.ping on 20 minions in slices of 2, against the better of salt -b 2 and salt-api's local_batch", "at most 0.7 ×")
}

// slicesByGrain is slicesOfTwo for a target of grains, of which the minions themselves are asked first, each time.
func slicesByGrain(ctx context.Context, w *whole, token string) (figure, error) {
	byGrain := gaea.Target{Type: gaea.TargetGrain, Expr: "kernel:Linux"}
	return comparedSlices(ctx, w, token, byGrain, "the same by grain kernel:Linux, where each minion is asked first whether it is meant and there (the others by the glob *)", "")
}

func comparedSlices(ctx context.Context, w *whole, token string, target gaea.Target, name, reach string) (figure, error) {
	two, err := gaea.ParseAmount("2")
	if err != nil {
		return figure{}, err
	}
	var ours, command, api series
	for range sliceRounds {
		start := time.Now()
		run, err := w.complete(ctx, gaea.RunRequest{Function: "test.ping", Target: target, Batch: gaea.Batch{Size: two}})
		if err != nil {
			return figure{}, err
		}
		if n := run.Counts[gaea.OutcomeSucceeded]; n != runMinions || len(run.Slices) != runMinions/2 {
			return figure{}, fmt.Errorf("%d minions answered jobd in %d slices", n, len(run.Slices))
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		if out, err := w.lab.Salt(ctx, "-b", "2", "*", "test.ping"); err != nil {
			return figure{}, fmt.Errorf("salt -b: %w\n%s", err, out)
		}
		command = append(command, time.Since(start))
		start = time.Now()
		if err := saltAPIBatch(ctx, w.lab, token); err != nil {
			return figure{}, err
		}
		api = append(api, time.Since(start))
	}
	best := min(command.median(), api.median())
	r := ratio(ours.median(), best)
	return figure{name, reach, fmt.Sprintf("%.2f × (%s against %s and %s)", r, ours, command, api), reach == "" || r <= 0.7}, nil
}

func saltAPIBatch(ctx context.Context, lab *saltlab.Lab, token string) error {
	var answer struct {
		Return []map[string]any `json:"return"`
	}
	err := saltAPIPost(ctx, lab.APIURL()+"/", token, []map[string]any{{"client": "local_batch", "tgt": "*", "fun": "test.ping", "batch": "2"}}, &answer)
	n := 0
	for _, part := range answer.Return {
		n += len(part)
	}
	if err == nil && n < runMinions {
		err = fmt.Errorf("salt-api's batch answers for %d minions: %v", n, answer)
	}
	return err
}

// cancelled times a cancel of a state of ten minutes on all minions, to the last kill that is verified.
func cancelled(ctx context.Context, w *whole, _ string) (figure, error) {
	var ours, byHand series
	for range cancelRounds {
		run, err := w.sleeping(ctx)
		if err != nil {
			return figure{}, err
		}
		start := time.Now()
		if _, err := w.client.CancelRun(ctx, run.ID, gaea.CancelRequest{}); err != nil {
			return figure{}, err
		}
		if run, err = w.client.WaitRun(ctx, run.ID, nil); err != nil {
			return figure{}, err
		}
		if n := run.Counts[gaea.OutcomeKilled]; n != runMinions {
			return figure{}, fmt.Errorf("%d of %d minions were killed: %s", n, runMinions, run.Message)
		}
		ours = append(ours, run.Ended.Sub(start))
		if run, err = w.sleeping(ctx); err != nil {
			return figure{}, err
		}
		start = time.Now()
		if out, err := w.lab.Salt(ctx, "*", "saltutil.kill_job", run.Slices[0].JID); err != nil {
			return figure{}, fmt.Errorf("salt: %w\n%s", err, out)
		}
		byHand = append(byHand, time.Since(start))
		if _, err := w.client.CancelRun(ctx, run.ID, gaea.CancelRequest{}); err != nil {
			return figure{}, err
		}
		if _, err := w.client.WaitRun(ctx, run.ID, nil); err != nil {
			return figure{}, err
		}
	}
	return figure{
		"from the cancel of a 10-minute state on 20 minions to the last verified kill", "under 3 s",
		fmt.Sprintf("%s (saltutil.kill_job by hand, not verified: %s)", ours, byHand), ours.median() < 3*time.Second,
	}, nil
}

// sleeping is a run that every minion is at work for.
func (w *whole) sleeping(ctx context.Context) (*gaea.Run, error) {
	marks := make([]string, 0, runMinions)
	for _, name := range w.lab.Minions() {
		marks = append(marks, filepath.Join(w.lab.MinionRoot(name), "asleep"))
	}
	for _, mark := range marks {
		if err := os.RemoveAll(mark); err != nil {
			return nil, err
		}
	}
	run, err := w.client.CreateRun(ctx, gaea.RunRequest{Function: "state.apply", Args: []any{"sleep"}, Target: everybody}, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for len(marks) > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d minions do not begin the state: %w", len(marks), ctx.Err())
		}
		marks = slices.DeleteFunc(marks, func(mark string) bool {
			_, err := os.Stat(mark)
			return err == nil
		})
	}
	return w.client.GetRun(ctx, run.ID)
}

// oneDown times test.ping on ten minions of which one is down.
func oneDown(ctx context.Context, w *whole, token string) (figure, error) {
	names := w.lab.Minions()[:downAmong]
	if err := w.lab.StopMinion(ctx, names[0]); err != nil {
		return figure{}, err
	}
	var ours, api series
	for range sliceRounds {
		start := time.Now()
		run, err := w.complete(ctx, gaea.RunRequest{Function: "test.ping", Target: gaea.ListTarget(names)})
		if err != nil {
			return figure{}, err
		}
		if run.Minions[names[0]].Outcome != gaea.OutcomeUnreachable || run.Counts[gaea.OutcomeSucceeded] != downAmong-1 {
			return figure{}, fmt.Errorf("the minion that is down is %s: %s", run.Minions[names[0]].Outcome, run.Message)
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		var answer struct {
			Return []map[string]any `json:"return"`
		}
		err = saltAPIPost(ctx, w.lab.APIURL()+"/", token, []map[string]any{{"client": "local", "tgt": names, "tgt_type": "list", "fun": "test.ping"}}, &answer)
		if err != nil {
			return figure{}, err
		}
		api = append(api, time.Since(start))
	}
	r := ratio(ours.median(), api.median())
	return figure{
		"test.ping on 10 minions of which one is down, to its end with that one named unreachable, against salt-api's local client", "at most 0.4 ×",
		fmt.Sprintf("%.2f × (%s against %s)", r, ours, api), r <= 0.4,
	}, nil
}
