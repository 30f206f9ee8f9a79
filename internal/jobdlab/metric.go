package jobdlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Metric reads one of jobd's metrics, summed over its labels.
func (j *Jobd) Metric(ctx context.Context, name string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Endpoint+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := probe.Do(req)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(string(text)) {
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
