package command

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var keyword = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// parseArguments reads arguments as the salt command does: NAME=VALUE is a keyword argument, and values are YAML where
// that gives something other than text. "a=b" that should stay text goes in quotes within the shell's: '"a=b"'.
func parseArguments(words []string) (args []any, kwargs map[string]any) {
	for _, word := range words {
		if keyword.MatchString(word) {
			name, value, _ := strings.Cut(word, "=")
			if kwargs == nil {
				kwargs = map[string]any{}
			}
			kwargs[name] = parseValue(value)
			continue
		}
		args = append(args, parseValue(word))
	}
	return args, kwargs
}

// parseValue reads one value. Salt keeps as text what holds a "#", digits with "_" in them, and dates; so does this.
func parseValue(s string) any {
	if strings.ContainsAny(s, "#\n") || s == "" {
		return s
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(s), &node); err != nil || len(node.Content) != 1 {
		return s
	}
	n := node.Content[0]
	if n.Kind == yaml.ScalarNode {
		switch n.Tag {
		case "!!int", "!!float":
			if strings.Contains(s, "_") {
				return s
			}
		case "!!bool", "!!null":
		case "!!str":
			return n.Value
		default: // dates and binary
			return s
		}
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return s
	}
	return v
}
