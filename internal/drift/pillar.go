package drift

import (
	"encoding/json"
	"maps"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Pillar lays an assignment's secret pillar over its pillar, maps key by key at any depth; where both have another kind of
// value, the secret one counts. Either may be absent; nil where both are. Numbers are [json.Number]. The error is
// CodeInvalid where one of them is no JSON object; it holds nothing of their content.
func Pillar(pillar, secret json.RawMessage) (map[string]any, error) {
	lower, err := object(pillar)
	if err != nil {
		return nil, gaea.Invalid("pillar", "the pillar is not a JSON object; write jsonencode({ key = \"value\" })")
	}
	upper, err := object(secret)
	if err != nil {
		return nil, gaea.Invalid("secret_pillar", "the secret pillar is not a JSON object; write jsonencode({ key = \"value\" })")
	}
	if lower == nil {
		return upper, nil
	}
	return overlay(lower, upper), nil
}

func object(raw json.RawMessage) (map[string]any, error) {
	v, err := decode(raw)
	if err != nil || v == nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, gaea.Errorf(gaea.CodeInvalid, "not a JSON object")
	}
	return m, nil
}

func overlay(lower, upper map[string]any) map[string]any {
	merged := maps.Clone(lower)
	for k, v := range upper {
		below, isMap := merged[k].(map[string]any)
		if above, ok := v.(map[string]any); ok && isMap {
			merged[k] = overlay(below, above)
			continue
		}
		merged[k] = v
	}
	return merged
}
