package jobdlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scrape reads all of jobd's metrics.
func (j *Jobd) scrape(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Endpoint+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := probe.Do(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(answer.Body)
	return string(text), errors.Join(err, answer.Body.Close())
}

// Metric reads one of jobd's metrics, summed over its labels.
func (j *Jobd) Metric(ctx context.Context, name string) (sum float64, err error) {
	text, err := j.scrape(ctx)
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(key, "{"); base != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("the metric %s is %q", name, value)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, fmt.Errorf("jobd has no metric %s", name)
	}
	return sum, nil
}

var bucket = regexp.MustCompile(`^(\w+)_bucket\{.*le="([^"]+)".*\} (\S+)$`)

// Quantile reads one of jobd's histograms of seconds: the upper end of the bucket that holds the quantile, so the true value is not
// larger. It is 0 where nothing was observed.
func (j *Jobd) Quantile(ctx context.Context, name string, q float64) (time.Duration, error) {
	text, err := j.scrape(ctx)
	if err != nil {
		return 0, err
	}
	counts := map[float64]float64{} // by upper end
	for line := range strings.Lines(text) {
		m := bucket.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[1] != name {
			continue
		}
		end, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return 0, err
		}
		counts[end] += n
	}
	if len(counts) == 0 {
		return 0, fmt.Errorf("jobd has no histogram %s", name)
	}
	all := counts[math.Inf(1)]
	for _, end := range slices.Sorted(maps.Keys(counts)) {
		switch {
		case all == 0:
			return 0, nil
		case counts[end] < q*all:
		case math.IsInf(end, 1):
			return math.MaxInt64, nil
		default:
			return time.Duration(end * float64(time.Second)), nil
		}
	}
	return math.MaxInt64, nil
}
