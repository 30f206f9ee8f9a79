package main

import (
	"fmt"
	"slices"
	"time"
)

// series is the times of one command over the rounds.
type series []time.Duration

func (s series) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s series) median() time.Duration { return s.quantile(0.5) }

func (s series) String() string {
	return fmt.Sprintf("%s (%s to %s)", short(s.median()), short(s.quantile(0)), short(s.quantile(1)))
}

// short writes a time with three digits that count.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	default:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func medianOf(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
func minOf(v []float64) float64    { return slices.Min(v) }
func maxOf(v []float64) float64    { return slices.Max(v) }
