package tables

import (
	"bytes"
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// seal makes of a run's call what the table keeps; nil of none.
func (s *Store) seal(c *gaea.Call) (any, error) {
	if c == nil {
		return nil, nil
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "the arguments of %s cannot be stored as JSON", c.Function)
	}
	return s.sealer.Seal(plain)
}

// open reads a sealed call. Its numbers are int64 or uint64 where they are whole, as Salt's functions want them, else float64.
func (s *Store) open(sealed []byte) (*gaea.Call, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := s.sealer.Open(sealed)
	if err != nil {
		return nil, err
	}
	var c gaea.Call
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.UseNumber()
	if err := dec.Decode(&c); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "a run's call is damaged in the archive")
	}
	plainArguments(c.Args, c.Kwargs)
	for _, actions := range [][]gaea.JobAction{c.Pre, c.Post} {
		for i := range actions {
			plainArguments(actions[i].Args, actions[i].Kwargs)
		}
	}
	return &c, nil
}

func plainArguments(args []any, kwargs map[string]any) {
	for i := range args {
		args[i] = plainNumbers(args[i])
	}
	for k := range kwargs {
		kwargs[k] = plainNumbers(kwargs[k])
	}
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	case json.Number:
		return gaea.PlainNumber(v)
	}
	return v
}
