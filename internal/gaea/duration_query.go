package gaea

import "time"

// Measured is a page of what durations tell. Those of returns that were stored before jobd kept them are not known.
type Measured[T any] struct {
	Page[T]
	Since time.Time `json:"measured_since,omitzero" doc:"what the master received before is not counted; absent where everything is"`
}

// SlowState is a state that took long: 100 ms or more. Quicker runs of it are not counted.
type SlowState struct {
	Key      string  `json:"key" doc:"Salt's key MODULE_|-ID_|-NAME_|-FUNCTION"`
	Function string  `json:"function,omitempty" doc:"for example pkg.installed"`
	ID       string  `json:"id,omitempty" doc:"the state's declared id"`
	Name     string  `json:"name,omitempty" doc:"the state's name argument"`
	SLS      string  `json:"sls,omitempty"`
	Runs     int     `json:"runs" doc:"how often it took 100 ms or more"`
	Mean     float64 `json:"mean_ms" doc:"of those, milliseconds"`
	Slowest  float64 `json:"slowest_ms" doc:"milliseconds"`
	Master   string  `json:"master" doc:"of the slowest run"`
	Minion   string  `json:"minion" doc:"of the slowest run"`
	JID      string  `json:"jid" doc:"of the slowest run"`
}

// RunDurationFilter chooses state runs.
type RunDurationFilter struct {
	Master  string
	Applied string    // "highstate", or the SLS files that a run named, with commas between
	Test    bool      // test runs instead of real ones
	Since   time.Time // from the day (UTC) of this time on
	Until   time.Time // to the day of the last moment before it
}

// RunDurations is how long the state runs of one day took, each on one minion: the time of its states together.
type RunDurations struct {
	Day     string  `json:"day" doc:"in UTC, for example 2026-03-01"`
	Runs    int     `json:"runs" doc:"returns of minions"`
	Mean    float64 `json:"mean_ms" doc:"milliseconds"`
	Median  float64 `json:"median_ms" doc:"milliseconds; at most a tenth too high"`
	P95     float64 `json:"p95_ms" doc:"what 95 of 100 runs did not exceed, milliseconds; at most a tenth too high"`
	Slowest float64 `json:"slowest_ms" doc:"milliseconds"`
}

// SlowStateFilter chooses states that took long.
type SlowStateFilter struct {
	Master string
	SLS    string
	Since  time.Time // from the day (UTC) of this time on
	Until  time.Time // to the day of the last moment before it
}
