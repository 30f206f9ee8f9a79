package provider

import (
	"errors"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The domain names what is wrong as users of its API write it, "pre_actions[1].http.url". A configuration has the same names
// but for these.
var renamedFields = map[string]path.Path{
	"target.type":    path.Root("match_type"),
	"target.expr":    path.Root("match"),
	"target.minions": path.Root("minions"),
}

// fieldPath is the attribute that a field of a definition is.
func fieldPath(field string) path.Path {
	if p, ok := renamedFields[field]; ok {
		return p
	}
	return steps(path.Empty(), field)
}

// fieldBelow is the attribute that an error's field is, where the domain was given what stands at an attribute under a name
// of its own. It is that attribute where the error names no field.
func fieldBelow(at path.Path, name string, err error) path.Path {
	e, ok := errors.AsType[*gaea.Error](err)
	if !ok {
		return at
	}
	rest, found := strings.CutPrefix(e.Field, name)
	if !found {
		return at
	}
	return steps(at, strings.TrimPrefix(rest, "."))
}

// steps goes from an attribute down along names and indices: "name", "list[1].name".
func steps(at path.Path, field string) path.Path {
	if field == "" {
		return at
	}
	for step := range strings.SplitSeq(field, ".") {
		name, indices, _ := strings.Cut(step, "[")
		if name != "" {
			at = at.AtName(name)
		}
		for index := range strings.SplitSeq(strings.TrimSuffix(indices, "]"), "][") {
			if i, err := strconv.Atoi(index); err == nil {
				at = at.AtListIndex(i)
			}
		}
	}
	return at
}
