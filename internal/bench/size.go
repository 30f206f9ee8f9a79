package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// mostOfRaw is which share of the JSON that came an archived highstate may take.
const mostOfRaw = 0.1

var sizeLine = regexp.MustCompile(`(?m)^BenchmarkHighstates\S*\s.*?([0-9.]+) B/return.*?\s([0-9.]+) of-raw.*?\s([0-9.]+) raw-B/return`)

// measureSize has each store archive 1,000 minions' 100 highstates, which are mostly equal, and asks how large the database is
// then, with indexes and everything else in it.
func measureSize(ctx context.Context, _ *bench) ([]figure, error) {
	var figures []figure
	for _, store := range []string{"SQLite", "PostgreSQL"} {
		dir := map[string]string{"SQLite": "sqlite", "PostgreSQL": "postgres"}[store]
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkHighstates$", "-benchtime", "1x", "./jobd/archive/"+dir).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("the store's benchmark: %w\n%s", err, out)
		}
		m := sizeLine.FindSubmatch(out)
		if m == nil {
			return nil, fmt.Errorf("the store's benchmark prints no sizes:\n%s", out)
		}
		share, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{
			what: "bytes an archived highstate return, 1,000 minions × 100 highstates of 40 states, mostly equal, " + store, wanted: "at most 0.1 of the raw JSON",
			got: fmt.Sprintf("%.3f (%s of %s bytes)", share, m[1], m[3]), ok: share <= mostOfRaw,
		})
	}
	return figures, nil
}
