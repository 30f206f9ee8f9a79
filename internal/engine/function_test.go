package engine_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func call(function string) engine.Request {
	return engine.Request{Call: gaea.Call{Function: function}, Target: glob("*")}
}

func TestAFunctionThatNoMinionHasIsRefusedBeforeThereIsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"web1", "web2"} {
			w.salt.Set(name, enginetest.Minion{Functions: []string{"pkg.install", "pkg.list_upgrades", "pkg.upgrade"}})
		}
		w.salt.Set("web3", enginetest.Minion{Down: true})
		_, _, err := w.engine.Submit(t.Context(), call("pkg.upgrad"))
		var e *gaea.Error
		if !errors.As(err, &e) || e.Code != gaea.CodeInvalid || e.Field != "function" || !strings.Contains(e.Message, "near to it are pkg.upgrade,") {
			t.Fatalf("%v", err)
		}
		if n := len(w.salt.Published("pkg.upgrad")); n != 0 {
			t.Errorf("published %d times", n)
		}
	})
}

func TestAFunctionThatOneMinionHasIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Functions: []string{"pkg.install"}})
		w.salt.Set("web2", enginetest.Minion{Functions: []string{}, Answers: time.Second})
		for range 2 {
			if run := w.run(call("pkg.install")); run.Counts[gaea.OutcomeSucceeded] != 2 {
				t.Errorf("%s", run.Message)
			}
		}
		if n := len(w.salt.Published("slsutil.renderer")); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestSilenceSaysNothingAboutAFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Down: true})
		if run := w.run(call("pkg.install")); run.Minions["web1"].Outcome != gaea.OutcomeUnreachable {
			t.Errorf("%s", run.Message)
		}
	})
}
