package archivetest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// parsed is what a text says in a type that reads itself.
func parsed[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s string) (v T) {
	if err := P(&v).UnmarshalText([]byte(s)); err != nil {
		panic(err) // the text is right
	}
	return v
}

// fullRun is a run in which no field is zero, nor any field of what is in it.
func fullRun() *gaea.Run {
	r := newRun(1)
	r.Target = gaea.Target{Type: gaea.TargetList, Expr: "all", Minions: []string{"web1", "web2", "web3"}}
	r.Batch = gaea.Batch{
		Size: parsed[gaea.Amount]("50%"), Mode: gaea.BatchRolling, Wait: gaea.Duration(time.Second), Canary: parsed[gaea.Amount]("1"),
		CanaryHold: parsed[gaea.Hold]("manual"), MaxFailures: parsed[gaea.Allowance]("0"), MinSample: 3, Order: gaea.OrderRandom,
	}
	r.Timeouts = gaea.Timeouts{Job: gaea.Duration(time.Hour), Gather: gaea.Duration(time.Second), Slice: gaea.Duration(time.Minute)}
	r.Status, r.Ended = gaea.RunPostActions, at(90)
	r.Template, r.Concurrency = "rolling@123", gaea.Concurrency{Lock: "deploy", Policy: gaea.LockSkip}
	r.Blocked = &gaea.Blocked{Lock: "deploy", Runs: []string{"run-000000"}, Minions: []string{"web2"}, Since: at(2)}
	r.Pause = &gaea.Pause{Reason: gaea.PauseCanary, By: "bob", Asked: at(3), Since: at(4)}
	r.PausedFor, r.Grace = gaea.Duration(3*time.Second), gaea.Duration(time.Minute)
	r.Actions = []gaea.RunAction{fullAction("drain")}
	r.Verdict, r.Reason, r.RetryOf = gaea.RunHalted, "2 of 3 minions went wrong", "run-000000"
	r.Seed, r.Resolved, r.CanaryDone, r.Claimed, r.Hurried, r.Seq = 1<<32-1, true, true, true, true, 1<<40
	r.TakeBy = at(80)
	r.Slices = []gaea.Slice{fullSlice()}
	r.Minions = map[string]gaea.RunMinion{"web1": {
		Outcome: gaea.OutcomeFailed, JID: jid(1), Slice: 1, Retcode: new(2), Message: "why", Late: true, At: at(9), Processes: "71:8812 72:8813", Seq: 1 << 40,
	}}
	r.Counts = r.Tally()
	r.Call.Pre, r.Call.Post = []gaea.JobAction{fullWork("drain")}, []gaea.JobAction{fullWork("health"), {Name: "plain", Runner: "cache.grains"}}
	return r
}

func fullSlice() gaea.Slice {
	return gaea.Slice{
		Index: 1, JID: jid(1), Minions: []string{"web1", "web2"}, Started: at(5), Ended: at(6), Canary: true, Again: true,
		Actions: []gaea.RunAction{fullAction("health"), {Name: "warm", Status: gaea.ActionSkipped}},
	}
}

func fullAction(name string) gaea.RunAction {
	return gaea.RunAction{
		Name: name, What: "GET https://lb/" + name, Phase: gaea.PhasePost, Status: gaea.ActionWaiting, Attempts: 2, Runs: []string{"run-1-post1-t1", "run-1-post1-t2"},
		Message: "é <b>", Started: at(5), Ended: at(6), Next: at(7),
	}
}

// fullWork has a secret wherever an action may have one. It does more at once than is allowed: that is no store's business.
func fullWork(name string) gaea.JobAction {
	return gaea.JobAction{
		Name: name, Function: "cmd.run", Runner: "cache.grains", Args: []any{Secret, int64(1 << 60), []any{1.5}}, Kwargs: map[string]any{"env": map[string]any{"P": Secret, "n": int64(3)}},
		HTTP:        &gaea.HTTPCall{URL: "https://lb/" + Secret, Method: "POST", Headers: map[string]string{"Authorization": Secret}, Body: Secret},
		TargetGroup: "lb@1", Target: gaea.Target{Type: gaea.TargetList, Expr: "lb", Minions: []string{"lb1"}}, Scope: gaea.ScopeSlice, When: gaea.WhenAlways,
		Expect: `ret == "` + Secret + `"`, Retries: 3, Interval: gaea.Duration(time.Second), Timeout: gaea.Duration(time.Minute), OnFailure: gaea.FailureContinue,
	}
}

// SecretRun is a run with [Secret] in each place of its call that may hold one.
func SecretRun() *gaea.Run { return fullRun() }

// zeroFields names the fields of a value, and of what is in it, that are zero: what the suite would not notice to be lost.
func zeroFields(path string, v reflect.Value) (names []string) {
	if _, itself := reflect.TypeAssert[encoding.TextMarshaler](v); itself || v.Type() == reflect.TypeFor[json.RawMessage]() {
		if v.IsZero() {
			return []string{path}
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return []string{path}
		}
		return zeroFields(path, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			names = append(names, zeroFields(path+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
		return names
	case reflect.Slice:
		if v.Len() == 0 {
			return []string{path}
		}
		return zeroFields(path+"[]", v.Index(0))
	default:
		if v.IsZero() {
			return []string{path}
		}
		return nil
	}
}

// eachField calls f for each field of a struct, with its name.
func eachField(of any, f func(name string, i int)) {
	t := reflect.TypeOf(of)
	for i := range t.NumField() {
		f(t.Field(i).Name, i)
	}
}

var runFieldTests = map[string]func(*bench){
	"every field of a run comes back": func(b *bench) {
		want := fullRun()
		same(b, "what the test leaves zero", zeroFields("run", reflect.ValueOf(*want)), nil)
		same(b, "what the test leaves zero in a minion", zeroFields("minion", reflect.ValueOf(want.Minions["web1"])), nil)
		b.create(fullRun(), "", "")
		same(b, "the run", b.run(want.ID), want)
		same(b, "what its actions do", b.run(want.ID).Call, want.Call)
		same(b, "the minion", b.run(want.ID).Minions["web1"], want.Minions["web1"])
		b.ok(b.store.SaveRun(b.ctx(), fullRun(), "web1"))
		same(b, "the run after it was saved", b.run(want.ID), want)
	},
	"whatever changes in a run is saved": func(b *bench) {
		full := reflect.ValueOf(*fullRun())
		r := &gaea.Run{ID: fullRun().ID, Minions: map[string]gaea.RunMinion{"web1": {}}}
		b.create(r, "", "")
		eachField(*r, func(name string, i int) {
			switch name {
			case "ID", "Minions", "Counts", "Call":
				return
			}
			reflect.ValueOf(r).Elem().Field(i).Set(full.Field(i))
			b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
			got := reflect.ValueOf(*b.run(r.ID)).Field(i).Interface()
			same(b, "the field "+name, got, full.Field(i).Interface())
		})
	},
	"whatever changes in a run's target or arguments in place is saved": func(b *bench) {
		r := fullRun()
		b.create(r, "", "")
		r.Target.Minions[0], r.Args[2] = "new1", 'M'
		b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		got := b.run(r.ID)
		same(b, "the target", got.Target.Minions, []string{"new1", "web2", "web3"})
		same(b, "the arguments", string(got.Args), `["Motd",{"pillar":"<redacted>"}]`)
		same(b, "the call", got.Call, fullRun().Call)
	},
	"whatever changes in a slice is saved": func(b *bench) {
		full := reflect.ValueOf(fullSlice())
		r := newRun(1)
		r.Slices = make([]gaea.Slice, 2)
		b.create(r, "", "")
		eachField(gaea.Slice{}, func(name string, i int) {
			reflect.ValueOf(&r.Slices[1]).Elem().Field(i).Set(full.Field(i))
			b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
			got := b.run(r.ID).Slices[1]
			same(b, "the field "+name, reflect.ValueOf(got).Field(i).Interface(), full.Field(i).Interface())
		})
	},
	"whatever changes in a slice's action is saved": func(b *bench) {
		full := reflect.ValueOf(fullAction("health"))
		r := newRun(1)
		r.Slices[0].Actions = make([]gaea.RunAction, 2)
		b.create(r, "", "")
		eachField(gaea.RunAction{}, func(name string, i int) {
			reflect.ValueOf(&r.Slices[0].Actions[1]).Elem().Field(i).Set(full.Field(i))
			b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
			got := b.run(r.ID).Slices[0].Actions[1]
			same(b, "the field "+name, reflect.ValueOf(got).Field(i).Interface(), full.Field(i).Interface())
		})
		r.Slices[0].Actions[1].Runs[1] = "run-1-post1-t9"
		b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		same(b, "the runs of the action", b.run(r.ID).Slices[0].Actions[1].Runs, r.Slices[0].Actions[1].Runs)
	},
	"whatever changes in a minion is saved": func(b *bench) {
		full := reflect.ValueOf(fullRun().Minions["web1"])
		r := newRun(1)
		b.create(r, "", "")
		eachField(gaea.RunMinion{}, func(name string, i int) {
			m := r.Minions["web2"]
			reflect.ValueOf(&m).Elem().Field(i).Set(full.Field(i))
			r.Minions["web2"] = m
			b.ok(b.store.SaveRun(b.ctx(), r, "web2"))
			same(b, "the minion after a change of "+name, b.run(r.ID).Minions["web2"], m)
		})
	},
	"a run that is saved is left as it was": func(b *bench) {
		r := timely(fullRun(), someZone)
		b.create(r, "", "")
		b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		same(b, "the run", r, timely(fullRun(), someZone))
	},
	"times anywhere in a run come back to the microsecond, in UTC": func(b *bench) {
		r := timely(fullRun(), someZone)
		b.create(r, "", "")
		same(b, "the run", b.run(r.ID), timely(fullRun(), time.UTC))
		r.Seq++
		b.ok(b.store.SaveRun(b.ctx(), r))
		want := timely(fullRun(), time.UTC)
		want.Seq++
		same(b, "the saved run", b.run(r.ID), want)
	},
	"a save that failed is made up by the next": func(b *bench) {
		r := fullRun()
		b.create(r, "", "")
		r.Slices[0].JID, r.Target.Expr = jid(2), "some"
		r.Minions["web1"] = gaea.RunMinion{Outcome: "splendid"}
		b.code(b.store.SaveRun(b.ctx(), r, "web1"), gaea.CodeInvalid)
		same(b, "the run after a save that failed", b.run(r.ID), fullRun())
		r.Minions = fullRun().Minions
		b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		same(b, "the run", b.run(r.ID), r)
	},
	"a run of many minions in slices comes back": func(b *bench) {
		r := ManyMinions(3000, 100)
		b.create(r, "", "")
		Play(r, func(minions []string) { b.ok(b.store.SaveRun(b.ctx(), r, minions...)) })
		same(b, "the run", b.run(r.ID), r)
	},
}

var someZone = time.FixedZone("there", 3600)

// timely moves all times of a full run to a zone; those that are not in UTC get nanoseconds.
func timely(r *gaea.Run, zone *time.Location) *gaea.Run {
	move := func(times ...*time.Time) {
		for _, t := range times {
			*t = t.Add(123456 * time.Microsecond)
			if zone != time.UTC {
				*t = t.Add(789).In(zone)
			}
		}
	}
	move(&r.Created, &r.Started, &r.Ended, &r.Blocked.Since, &r.Pause.Asked, &r.Pause.Since, &r.Slices[0].Started, &r.Slices[0].Ended)
	for _, a := range []*gaea.RunAction{&r.Actions[0], &r.Slices[0].Actions[0]} {
		move(&a.Started, &a.Ended, &a.Next)
	}
	for name, m := range r.Minions {
		move(&m.At)
		r.Minions[name] = m
	}
	return r
}

// ManyMinions is a run on so many minions that are listed, in slices of a size, as it is before the first slice.
func ManyMinions(minions, size int) *gaea.Run {
	r := &gaea.Run{
		ID: "run-many", Master: salt, Kind: gaea.RunJob, Function: "pkg.upgrade", User: "ann", Status: gaea.RunRunning, Created: at(1),
		Batch: gaea.Batch{Size: parsed[gaea.Amount](fmt.Sprint(size))}, Minions: map[string]gaea.RunMinion{},
		Call: &gaea.Call{Function: "pkg.upgrade"},
	}
	names := make([]string, minions)
	for i := range names {
		names[i] = fmt.Sprintf("web%05d.example.org", i)
		if i%size == 0 {
			r.Slices = append(r.Slices, gaea.Slice{Index: i / size})
		}
		sl := &r.Slices[i/size]
		sl.Minions = append(sl.Minions, names[i])
		r.Minions[names[i]] = gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: i / size}
	}
	r.Target, r.Counts = gaea.ListTarget(names), r.Tally()
	return r
}

// Play takes a run of [ManyMinions] to its end, slice by slice, and calls save as the engine does: when a slice has its job id,
// when its minions were told, and when they have returned.
func Play(r *gaea.Run, save func(minions []string)) {
	for i := range r.Slices {
		sl := &r.Slices[i]
		step := func(outcome gaea.Outcome) {
			r.Seq++
			for _, name := range sl.Minions {
				m := gaea.RunMinion{Outcome: outcome, JID: sl.JID, Slice: i, Seq: r.Seq}
				if outcome != gaea.OutcomePending {
					m.Retcode, m.At = new(0), at(2*i+1)
				}
				r.Minions[name] = m
			}
			save(sl.Minions)
		}
		sl.JID = jid(i)
		r.Seq++
		save(sl.Minions[:1])
		sl.Started = at(2 * i)
		step(gaea.OutcomePending)
		sl.Ended = at(2*i + 1)
		step(gaea.OutcomeSucceeded)
	}
	r.Seq++
	r.Status, r.Ended, r.Counts = gaea.RunSucceeded, at(2*len(r.Slices)), r.Tally()
	save(r.Slices[0].Minions[:1])
}
