package app_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// ofPrometheus are metrics that Prometheus itself makes.
var ofPrometheus = []string{"up"}

func TestTheAlertRulesAreReadByPrometheusAndNameMetricsThatJobdHas(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "../../examples/prometheus/jobd.rules.yaml")
	cmd.Dir = "../../tools/alertrules"
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var wrong strings.Builder
	cmd.Stderr = &wrong
	names, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &wrong)
	}
	s := newSalt(t)
	s.openBus()
	j := run(t, options(t, s))
	s.accept()
	eventually(t, "jobd is ready, and its metrics say so", func() bool { return j.metric("gaea_ready") == 1 && j.metric("gaea_archive_up") == 1 })
	_, text := j.get("/metrics")
	var exported []string
	for line := range strings.Lines(text) {
		if name := strings.TrimSpace(line[:strings.IndexAny(line, " {")]); name != "#" {
			exported = append(exported, name)
		}
	}
	asked := strings.Fields(string(names))
	if len(asked) < 10 {
		t.Errorf("the rules read only %q", asked)
	}
	for _, name := range asked {
		if !slices.Contains(exported, name) && !slices.Contains(ofPrometheus, name) {
			t.Errorf("the rules read %s, which jobd does not export", name)
		}
	}
}

func TestMetricsTellThatTheArchiveDoesNotAnswer(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		s.openBus()
		j := run(t, options(t, s))
		s.accept()
		eventually(t, "ready", func() bool { return j.metric("gaea_ready") == 1 })
		if err := j.BreakArchive(); err != nil {
			t.Fatal(err)
		}
		if up, ready, connected := j.metric("gaea_archive_up"), j.metric("gaea_ready"), j.metric("gaea_bus_connected"); up != 0 || ready != 0 || connected != 1 {
			t.Errorf("gaea_archive_up is %v, gaea_ready %v, gaea_bus_connected %v", up, ready, connected)
		}
		_ = j.stop()
	})
}
