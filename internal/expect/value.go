package expect

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// raw is a JSON text that becomes a value when an expression looks at it, and no sooner: most look at little of what a
// minion returns.
type raw json.RawMessage

// returns is what each minion returned, each read when it is looked at.
type returns map[string]json.RawMessage

// adapter makes CEL's values of JSON. Whole numbers stay whole, so that 5 is no 5.0 in an index or in a text; lists and
// objects are converted item by item, as an expression comes to them.
type adapter struct{}

// NativeToValue implements [types.Adapter].
func (a adapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case raw:
		return a.decode(json.RawMessage(v))
	case json.RawMessage:
		return a.decode(v)
	case returns:
		return types.NewDynamicMap(a, map[string]json.RawMessage(v)) // as it is: each of 10,000 minions may have it looked at
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	case json.Number:
		return number(v)
	default:
		return types.DefaultTypeAdapter.NativeToValue(value)
	}
}

func (a adapter) decode(text json.RawMessage) ref.Val {
	if len(bytes.TrimSpace(text)) == 0 {
		return types.NullValue
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return types.NewErr("what was returned is no JSON")
	}
	return a.NativeToValue(v)
}

func number(n json.Number) ref.Val {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return types.Uint(u)
	}
	f, err := n.Float64()
	if err != nil {
		return types.String(n.String()) // beyond what a float holds
	}
	return types.Double(f)
}
