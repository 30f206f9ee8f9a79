package gaea_test

import (
	"testing"

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
