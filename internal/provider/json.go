package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
)

// decodeObject reads a JSON object with its numbers as they are written. It refuses numbers that a reader with 64-bit floats
// would change: what was planned must be what the minions get.
func decodeObject(text string) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil || object == nil {
		return nil, errors.New("not a JSON object; write jsonencode({ key = \"value\" })")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value; write jsonencode({ key = \"value\" })")
	}
	if err := checkNumbers(object); err != nil {
		return nil, err
	}
	return object, nil
}

func checkNumbers(value any) error {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			if err := checkNumbers(inner); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := checkNumbers(inner); err != nil {
				return err
			}
		}
	case json.Number:
		return checkNumber(v.String())
	}
	return nil
}

// checkNumber refuses whole numbers that a 64-bit float rounds, and any number beyond its range. Fractions are always
// rounded, by every reader alike.
func checkNumber(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil {
		whole, ok := new(big.Int).SetString(s, 10)
		if !ok {
			return nil
		}
		if exact, _ := new(big.Float).SetFloat64(f).Int(nil); exact.Cmp(whole) == 0 {
			return nil
		}
	}
	return fmt.Errorf("the number %s is too long to be carried exactly; write it as a text: \"%s\"", s, s)
}

// plainObject reads a JSON object as jobd's API does, with numbers as 64-bit floats.
func plainObject(text string) (map[string]any, error) {
	if _, err := decodeObject(text); err != nil {
		return nil, err
	}
	var object map[string]any
	err := json.Unmarshal([]byte(text), &object)
	return object, err
}

// keywordArgs reads the keyword arguments of a function; nil where there are none.
func keywordArgs(v jsontypes.Normalized) (map[string]any, error) {
	if v.IsNull() {
		return nil, nil
	}
	object, err := plainObject(v.ValueString())
	if err != nil || len(object) == 0 {
		return nil, err
	}
	return object, nil
}

// canonicalObject writes a JSON object with sorted keys and without spaces, so that equal objects have equal digests.
func canonicalObject(text string) (json.RawMessage, error) {
	object, err := decodeObject(text)
	if err != nil || len(object) == 0 {
		return nil, err
	}
	return json.Marshal(object)
}

// keepObject is the value of a JSON attribute after jobd was asked: as the user wrote it while it means the same, null where
// there is none.
func keepObject(prior jsontypes.Normalized, now json.RawMessage) jsontypes.Normalized {
	if !prior.IsNull() && !prior.IsUnknown() {
		before, err := plainObject(prior.ValueString())
		var after map[string]any
		if len(now) > 0 && err == nil {
			err = json.Unmarshal(now, &after)
		}
		if err == nil && (len(before)+len(after) == 0 || reflect.DeepEqual(before, after)) {
			return prior
		}
	}
	if len(now) == 0 {
		return jsontypes.NewNormalizedNull()
	}
	return jsontypes.NewNormalizedValue(string(now))
}
