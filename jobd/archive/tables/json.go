package tables

import (
	"bytes"
	"encoding/json"
)

// Marshal writes JSON as encoding/json does, but leaves <, > and & as they are, so that JSON inside comes back as it went in.
func Marshal(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte{'\n'})), nil
}
