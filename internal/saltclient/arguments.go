package saltclient

import "strings"

// stateFunctions are the functions that answer with states, each with the place of its positional argument test, or -1.
var stateFunctions = map[string]int{
	"state.apply":        -1,
	"state.high":         1,
	"state.highstate":    0,
	"state.low":          -1,
	"state.pkg":          3,
	"state.run_request":  -1,
	"state.single":       2,
	"state.sls":          1,
	"state.sls_id":       2,
	"state.template":     -1,
	"state.template_str": -1,
	"state.test":         -1,
	"state.top":          1,
}

// isStateFunction says whether a function answers with the states that it ran.
func isStateFunction(fun string) bool {
	if !strings.HasPrefix(fun, "state.") {
		return false
	}
	_, ok := stateFunctions[fun]
	return ok
}

// testMode says whether the arguments of a state function ask for a test run: test=True as a keyword, at its place, or as a
// plain text, which is how salt-call and salt-ssh write down their arguments.
func testMode(fun string, args []byte) bool {
	if fun == "state.test" {
		return true
	}
	test, place, positional := false, stateFunctions[fun], 0
	for arg := range elements(args) {
		switch kind(arg) {
		case '{':
			if value, ok := keyword(arg, "test"); ok {
				test = isTrue(value)
				continue
			}
		case '"':
			name, value, ok := strings.Cut(text(arg), "=")
			if ok && strings.TrimSpace(name) == "test" {
				test = isTrueText(value)
				continue
			}
		}
		if positional == place {
			test = isTrue(arg)
		}
		positional++
	}
	return test
}

// keyword returns the value of a keyword argument where arg is a map of such.
func keyword(arg []byte, name string) (value []byte, ok bool) {
	marked := false
	for key, val := range members(arg) {
		switch string(key) {
		case "__kwarg__":
			marked = kind(val) == 't'
		case name:
			value, ok = val, true
		}
	}
	return value, ok && marked
}

// isTrue is Salt's own idea of truth (salt.utils.data.is_true): true, a number above zero, and the text of either.
func isTrue(val []byte) bool {
	switch kind(val) {
	case 't':
		return true
	case '"':
		return isTrueText(text(val))
	case '0', 'f', 'n', '[', '{', '-', 0:
		return false
	default:
		return true
	}
}

func isTrueText(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "yes", "on", "1":
		return true
	default:
		return false
	}
}
