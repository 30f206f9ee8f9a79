package target

import (
	"fmt"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// field is the input that an error names: "match" in Terraform, which is a target's expression.
const field = "match"

// Validate checks a target: what [gaea.Target.Validate] checks, and the syntax of the expression. The error is CodeInvalid,
// says where the expression is wrong and shows a right one. Whether a nodegroup, a range or a minion exists is not checked.
func Validate(t gaea.Target) error {
	if err := t.Validate(); err != nil {
		return err
	}
	problem, example := "", ""
	switch t.Type {
	case gaea.TargetGlob:
		problem, example = globType(t.Expr), "web*.example.com"
	case gaea.TargetPCRE:
		problem, example = regex(t.Expr), `web\d+\.example\.com`
	case gaea.TargetGrain:
		problem, example = keyValue(t.Expr, ":"), "role:web*"
	case gaea.TargetPillar:
		problem, example = keyValue(t.Expr, ":"), "app:shop*"
	case gaea.TargetPillarExact:
		problem, example = keyValue(t.Expr, ":"), "app:shop"
	case gaea.TargetGrainPCRE:
		problem, example = keyRegex(t.Expr, ":"), "os:(Debian|Ubuntu)"
	case gaea.TargetPillarPCRE:
		problem, example = keyRegex(t.Expr, ":"), "app:(shop|blog)"
	case gaea.TargetNodegroup:
		problem, example = nodegroup(t.Expr), "webservers"
	case gaea.TargetIPCIDR:
		problem, example = ipcidr(t.Expr), "192.0.2.0/24"
	case gaea.TargetCompound:
		problem, example = compound(t.Expr), "G@role:web and not E@canary.*"
	case gaea.TargetList, gaea.TargetRange: // a list is checked above, a range only the range server understands
	}
	if problem == "" {
		return nil
	}
	return gaea.Invalid(field, "%s; write for example %q", problem, example)
}

func nodegroup(s string) string {
	if name, ok := strings.CutPrefix(s, "N@"); ok {
		return fmt.Sprintf("%q has the prefix of a compound target; name the nodegroup %q alone, or use the type \"compound\"", s, name)
	}
	return ""
}
