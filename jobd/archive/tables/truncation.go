package tables

import (
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Truncated is what the tables have of a truncation: nothing where there is none.
func Truncated(t *gaea.Truncation) (string, error) {
	if t == nil {
		return "", nil
	}
	return Marshal(t)
}

// truncation reads what [Truncated] wrote.
func truncation(text RawText) (*gaea.Truncation, error) {
	if len(text) == 0 {
		return nil, nil //nolint:nilnil // most are whole
	}
	t := &gaea.Truncation{}
	return t, json.Unmarshal(text, t)
}
