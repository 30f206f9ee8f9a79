package gaea_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestWhatARequestAsksForIsNotShown(t *testing.T) {
	for url, want := range map[string]string{
		"https://lb/drain":                 "POST https://lb/drain",
		"https://lb/drain?token=s3cret":    "POST https://lb/drain?…",
		"https://lb?token=s3cret#s3cret":   "POST https://lb?…",
		"https://lb/drain#s3cret?a=s3cret": "POST https://lb/drain#…",
	} {
		a := gaea.JobAction{HTTP: &gaea.HTTPCall{URL: url, Method: "POST"}}
		if got := a.What(); got != want {
			t.Errorf("%s is shown as %q", url, got)
		}
	}
}

func TestARequestThatCouldNeverBeMadeIsRefusedWithoutItsSecrets(t *testing.T) {
	for field, call := range map[string]gaea.HTTPCall{
		"post_actions[0].http.url":     {URL: "htp://deploy:s3cret@lb/"},
		"post_actions[0].http.method":  {URL: "https://lb/", Method: "get"},
		"post_actions[0].http.headers": {URL: "https://lb/", Headers: map[string]string{"X-Key": "s3cret\x00"}},
	} {
		err := gaea.ValidateActions("post_actions", []gaea.JobAction{{Name: "call", HTTP: &call}}, false)
		wrong, ok := errors.AsType[*gaea.Error](err)
		if !ok || wrong.Field != field || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, name := range []string{"", "X Key", "X-Schlüssel", "X:", "X\r\nHost", "X\x7f"} {
		call := &gaea.HTTPCall{URL: "https://lb/", Headers: map[string]string{name: "v"}}
		if gaea.ValidateActions("a", []gaea.JobAction{{Name: "call", HTTP: call}}, false) == nil {
			t.Errorf("%q is taken for the name of a header", name)
		}
	}
	call := &gaea.HTTPCall{URL: "https://lb/", Headers: map[string]string{"X-Api_Key.1": "a\tb, ü"}}
	if err := gaea.ValidateActions("a", []gaea.JobAction{{Name: "call", HTTP: call}}, false); err != nil {
		t.Error(err)
	}
}

func TestNothingIsWaitedForLongerThanARunMayTake(t *testing.T) {
	const ages = gaea.Duration(8 * 24 * time.Hour)
	one, err := gaea.ParseAmount("1")
	if err != nil {
		t.Fatal(err)
	}
	hold, err := gaea.ParseHold(ages.String())
	if err != nil {
		t.Fatal(err)
	}
	ping := gaea.JobAction{Name: "a", Function: "test.ping"}
	again, long := ping, ping
	again.Retries, again.Interval, long.Timeout = 1, ages, ages
	for field, err := range map[string]error{
		"batch.wait":              gaea.ValidateWork(gaea.Batch{Size: one, Wait: ages}, gaea.Concurrency{}, nil, nil),
		"batch.canary_hold":       gaea.ValidateWork(gaea.Batch{Canary: one, CanaryHold: hold}, gaea.Concurrency{}, nil, nil),
		"pre_actions[0].interval": gaea.ValidateWork(gaea.Batch{}, gaea.Concurrency{}, []gaea.JobAction{again}, nil),
		"post_actions[0].timeout": gaea.ValidateWork(gaea.Batch{}, gaea.Concurrency{}, nil, []gaea.JobAction{long}),
	} {
		if wrong, ok := errors.AsType[*gaea.Error](err); !ok || wrong.Field != field || !strings.Contains(wrong.Message, "up to 168h") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
