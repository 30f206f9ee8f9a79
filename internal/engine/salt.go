package engine

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	publishTimeout = 30 * time.Second // for the master's answer to a publish
	lookUpTimeout  = time.Minute      // for the job cache's
	archiveTimeout = 30 * time.Second // for the archive's
	publishAtOnce  = 16               // publishes under way in the whole engine
	lookUpAtOnce   = 4                // look-ups: each may be a process on the master
)

// Metadata of the small jobs that the engine publishes for its runs. They do not carry [gaea.MetadataRun]: they are none
// of the run's own jobs.
const (
	MetadataFor     = gaea.MetadataFor
	MetadataPurpose = "gaea_purpose" // what it is for: resolve, ping, probe, match, tree, fell, term, kill, sweep
	MetadataStops   = "gaea_stops"   // the same run where the job is to stop it, so that this can be searched for
)

// publish publishes a slice. Its returns are listened to from before.
func (r *runner) publish(p machine.Publish) {
	r.follow(p.JID, false)
	run := r.m.Run()
	if run.Call == nil {
		r.start(func(context.Context) {
			r.send(machine.PublishFailed{JID: p.JID, Code: gaea.CodeInvalid, Message: "the run's arguments could not be read from the archive"})
		})
		return
	}
	publication := gaea.Publication{
		JID: p.JID, Target: p.Target, Metadata: r.e.metadata(run, p.JID),
		Function: run.Call.Function, Args: run.Call.Args, Kwargs: run.Call.Kwargs,
	}
	r.start(func(ctx context.Context) {
		answer, err := r.e.publishFor(ctx, r.going, publication)
		if err != nil {
			r.log.Warn("publish failed", "jid", p.JID, "err", err)
			r.send(machine.PublishFailed{JID: p.JID, Code: gaea.CodeOf(err), Message: gaea.MessageOf(err)})
			return
		}
		r.log.Debug("published", "jid", p.JID, "minions", len(answer.Minions))
		r.send(machine.Published{JID: p.JID, Minions: answer.Minions, Missing: answer.Missing})
	})
}

// metadata is what the publication of a run's slice carries.
func (e *Engine) metadata(run *gaea.Run, jid string) map[string]any {
	metadata := map[string]any{gaea.MetadataRun: run.ID}
	if e.deps.Metadata != nil {
		maps.Copy(metadata, e.deps.Metadata(run, jid))
	}
	return metadata
}

// publish publishes one job, when fewer than publishAtOnce others are being published.
func (e *Engine) publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	return e.publishFor(ctx, ctx, p)
}

// publishFor is publish for somebody who may have no more use of it, and says so by ending the context wanted: the job is not
// published then. One that is under way is not cut off, for the master may have it: that would only lose its answer.
func (e *Engine) publishFor(ctx, wanted context.Context, p gaea.Publication) (gaea.Published, error) {
	select {
	case e.publishing <- struct{}{}:
		defer func() { <-e.publishing }()
	case <-wanted.Done():
	}
	if err := wanted.Err(); err != nil {
		return gaea.Published{}, gaea.Wrap(err, gaea.CodeUnavailable, "it was not published, for it had come to nothing when its turn came")
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return e.deps.Salt.Publish(ctx, p)
}

// ask publishes a small job and hands on the answers.
func (r *runner) ask(a machine.Ask) {
	publication, waiting := r.question(a), r.waiting(a)
	r.start(func(ctx context.Context) {
		if a.Purpose == machine.PurposeResolve {
			release, err := waiting.turn(ctx)
			if err != nil {
				return
			}
			defer release()
			timer := time.AfterFunc(resolveSettle, release) // those that are silent do not hold up other runs
			defer timer.Stop()
		}
		whom := a.Purpose == machine.PurposeResolve
		if whom && r.answerKnown(ctx, a) {
			return
		}
		began := r.e.roster.began()
		sub := r.e.deps.Feed.Follow(publication.JID)
		defer sub.Close()
		if answer, ok := r.publishQuestion(ctx, a, publication); ok {
			if whom {
				r.e.roster.note(a.Target, answer, began, r.e.now())
			}
			r.answers(ctx, publication.JID, sub, a.Listen, answer.Minions, func(ret *gaea.Return) {
				r.send(machine.Answered{Ask: a.ID, Minion: ret.Minion, Body: ret.Body})
			})
		}
	})
}

func (r *runner) question(a machine.Ask) gaea.Publication {
	metadata := map[string]any{MetadataFor: r.id, MetadataPurpose: string(a.Purpose)}
	if a.Purpose.Stops() {
		metadata[MetadataStops] = r.id
	}
	return gaea.Publication{
		JID: r.e.deps.JIDs.Next(r.e.now()), Function: a.Function, Args: a.Args, Target: a.Target, Kwargs: a.Kwargs, Metadata: metadata,
	}
}

// publishQuestion publishes a small job and tells the machine whether the master took it.
func (r *runner) publishQuestion(ctx context.Context, a machine.Ask, p gaea.Publication) (gaea.Published, bool) {
	answer, err := r.e.publish(ctx, p)
	if err != nil {
		r.log.Warn("question not published", "purpose", a.Purpose, "jid", p.JID, "err", err)
		r.send(machine.AskFailed{Ask: a.ID, Code: gaea.CodeOf(err), Message: gaea.MessageOf(err)})
		return gaea.Published{}, false
	}
	r.log.Debug("asked", "purpose", a.Purpose, "jid", p.JID, "minions", len(answer.Minions))
	r.send(machine.Asked{Ask: a.ID, Minions: answer.Minions, Missing: answer.Missing})
	return answer, true
}

// answers hands on the answers to a small job, until all have answered or the limit has passed.
func (r *runner) answers(ctx context.Context, jid string, sub gaea.Subscription, limit time.Duration, minions []string, take func(*gaea.Return)) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	silent := make(map[string]struct{}, len(minions))
	for _, name := range minions {
		silent[name] = struct{}{}
	}
	r.listen(ctx, jid, sub, false, func(ret *gaea.Return) bool {
		take(ret)
		delete(silent, ret.Minion)
		return len(silent) > 0
	})
}

// follow hands on the returns of a job until it is forgotten; with catchUp also those that the archive has already.
func (r *runner) follow(jid string, catchUp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.follows[jid] != nil {
		return // it is being published again
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.follows[jid] = cancel
	sub := r.e.deps.Feed.Follow(jid)
	r.start(func(context.Context) {
		defer sub.Close()
		r.listen(ctx, jid, sub, catchUp, func(ret *gaea.Return) bool {
			if ret.Outcome != gaea.OutcomeCouldNotRun {
				r.e.functions.learn(ret.Function)
			}
			r.send(machine.ReturnedFrom(ret))
			return true
		})
	})
}

// forget ends the listening to a job. What still comes is for [Engine.Late].
func (r *runner) forget(jid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.follows[jid]; cancel != nil {
		cancel()
		delete(r.follows, jid)
	}
}

func (r *runner) following(jid string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follows[jid] != nil
}

// listen hands on a job's returns until take has enough, ctx ends or the subscription does. Returns that did not fit into
// the subscription are read from the archive.
func (r *runner) listen(ctx context.Context, jid string, sub gaea.Subscription, catchUp bool, take func(*gaea.Return) bool) {
	if catchUp && !r.readArchive(ctx, jid, take) {
		return
	}
	for {
		select {
		case ret, ok := <-sub.Returns():
			if !ok {
				return
			}
			r.e.heard(&ret)
			if !take(&ret) {
				return
			}
		case <-sub.Lost():
			if !r.readArchive(ctx, jid, take) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// readArchive hands on what is stored of a job. It tries until it can be read or ctx ends, and returns false when nothing
// more is wanted.
func (r *runner) readArchive(ctx context.Context, jid string, take func(*gaea.Return) bool) bool {
	for failures := 1; ; failures++ {
		err := r.e.archived(ctx, jid, func(ret *gaea.Return) error {
			if !take(ret) {
				return errEnough
			}
			return nil
		})
		switch {
		case err == nil:
			return true
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return false
		}
		r.log.Warn("returns not read from the archive; trying again", "jid", jid, "failures", failures, "err", err)
		if wait(ctx, retryPause(failures)) != nil {
			return false
		}
	}
}

// errEnough ends the reading of returns of which no more are wanted.
var errEnough = errors.New("no more returns are wanted")

// archived hands on what is stored of a job, once.
func (e *Engine) archived(ctx context.Context, jid string, take func(*gaea.Return) error) error {
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	return e.deps.Returns.EachReturn(ctx, e.deps.Master, jid, take)
}

// lookUp reads a job from the master's job cache, when fewer than lookUpAtOnce others are being read.
func (r *runner) lookUp(l machine.LookUp) {
	r.start(func(ctx context.Context) {
		select {
		case r.e.lookingUp <- struct{}{}:
			defer func() { <-r.e.lookingUp }()
		case <-ctx.Done():
			return
		}
		limited, cancel := context.WithTimeout(ctx, lookUpTimeout)
		defer cancel()
		in := machine.Cached{LookUp: l.ID, JID: l.JID}
		err := r.e.deps.Cache.CachedJobParts(limited, l.JID, func(part *gaea.CachedJob) error {
			in.Found, in.Minions = true, part.Job.Minions
			for i := range part.Returns {
				in.Returns = append(in.Returns, machine.ReturnedFrom(&part.Returns[i]))
			}
			return nil
		})
		switch {
		case gaea.CodeOf(err) == gaea.CodeNotFound:
			r.send(machine.Cached{LookUp: l.ID, JID: l.JID})
		case err != nil && !in.Found:
			r.log.Warn("job cache not read", "jid", l.JID, "err", err)
			r.send(machine.CacheFailed{LookUp: l.ID, JID: l.JID, Message: gaea.MessageOf(err)})
		default: // with an error the job is there, and returns are missing
			in.Trouble = gaea.MessageOf(err)
			r.send(in)
		}
	})
}
