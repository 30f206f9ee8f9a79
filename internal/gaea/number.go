package gaea

import (
	"encoding/json"
	"strconv"
)

// PlainNumber is the number that JSON's text for one stands for: an int64 or a uint64 where it is whole and small enough,
// else a float64. What lies beyond that stays a text.
func PlainNumber(v json.Number) any {
	if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
		return n
	}
	f, err := v.Float64()
	if err != nil {
		return v.String()
	}
	return f
}
