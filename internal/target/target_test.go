package target_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/target"
)

func validate(kind gaea.TargetType, expr string) error {
	return target.Validate(gaea.Target{Type: kind, Expr: expr})
}

func TestTargetsThatSaltTakesAreAccepted(t *testing.T) {
	for kind, exprs := range map[gaea.TargetType][]string{
		gaea.TargetGlob:        {"*", "web1", "web*.example.com", "web[1-3]", "web[!0-9]?", "[]a]*", "[!]a]*", "[a,b]*", "größe*", "user@host"},
		gaea.TargetPCRE:        {"web.*", `web\d+\.example\.com`, "(?!canary).*", "(?<=x)y", `(?P<n>a)(?P=n)`, `(a)\1`, "a{2,3}?", "a{,b}", "[]]", "(?i)web", "x*+", "(?>a)b", "(?(1)a|b)(c)", ".+ .+", "|"},
		gaea.TargetGrain:       {"role:web", "role:web*", "ec2:tags:role:web", "*:web", "role:", "os:a b"},
		gaea.TargetGrainPCRE:   {"os:(Debian|Ubuntu)", "role:(?:a|b)", `a:b:c\d`},
		gaea.TargetPillar:      {"app:shop", "a:b:c"},
		gaea.TargetPillarPCRE:  {"app:(shop|blog)"},
		gaea.TargetPillarExact: {"app:shop"},
		gaea.TargetNodegroup:   {"webservers"},
		gaea.TargetRange:       {"%web:ALL", "web1..9.example.com"},
		gaea.TargetIPCIDR:      {"192.0.2.1", "192.0.2.0/24", "192.0.2.0/255.255.255.0", "192.0.2.0/0.0.0.255", "0.0.0.0/0", "192.0.2.1/32", "192.0.2.0/024", "2001:db8::/32", "2001:db8::1", "fe80::1%eth0"},
		gaea.TargetCompound: {
			"*", "web* or db*", "G@role:web and not E@canary.*", "not web1", "web* not web1", "( web* or db* ) and G@os:Debian", "not ( a or b )",
			"G|@os|Debian", "P@os:(Debian|Ubuntu)", "I@app:shop", "J@app:(a|b)", "L@a,b,c", "L@a,,b", "S@192.0.2.0/24", "R@%web:ALL", "N@webservers", "T@ssh:web", "M@m1",
			`E@web(?!1)\d+`, "G@@os@Debian", "G@a@b:c", "user@host", "  web1 \t or  web2\nand not\tweb3 ", "( ( a ) )", "G@cpu:Intel(R)*",
		},
	} {
		for _, expr := range exprs {
			if err := validate(kind, expr); err != nil {
				t.Errorf("%s %q: %v", kind, expr, err)
			}
		}
	}
	if err := target.Validate(gaea.ListTarget([]string{"b", "a"})); err != nil {
		t.Error(err)
	}
}

func TestBrokenTargetsAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct {
		kind       gaea.TargetType
		expr, want string
	}{
		{gaea.TargetGlob, "größe[1", `bracket at character 6`},
		{gaea.TargetGlob, "web[", `bracket at character 4`},
		{gaea.TargetGlob, "web1 web2", `use the type "compound"`},
		{gaea.TargetGlob, "web1,web2", `use the type "list"`},
		{gaea.TargetGlob, "web{1,2}", `has a comma`},
		{gaea.TargetGlob, "G@role:web", `use the type "compound"`},
		{gaea.TargetPCRE, "web(1", `'(' at character 4`},
		{gaea.TargetPCRE, "web1)", `')' at character 5`},
		{gaea.TargetPCRE, "web[1", `'[' at character 4`},
		{gaea.TargetPCRE, "*web", `nothing to repeat`},
		{gaea.TargetPCRE, "web**", `repeats what is repeated`},
		{gaea.TargetPCRE, `web\`, `nothing behind it`},
		{gaea.TargetPCRE, `web\q`, `no escape that Python knows`},
		{gaea.TargetPCRE, `(?P=x)`, `refers to the group "x"`},
		{gaea.TargetGrain, "role", `no ":" between a key and a value`},
		{gaea.TargetGrain, ":web", `no key before`},
		{gaea.TargetGrainPCRE, "os:(Debian", `'(' at character 1`},
		{gaea.TargetPillar, "app", `for example "app:shop*"`},
		{gaea.TargetNodegroup, "N@web", `the type "compound"`},
		{gaea.TargetIPCIDR, "192.0.2.5/24", `the network is "192.0.2.0/24"`},
		{gaea.TargetIPCIDR, "192.0.2.0/33", `not a prefix length of an IPv4 address`},
		{gaea.TargetIPCIDR, "192.0.2.0/", `not a prefix length`},
		{gaea.TargetIPCIDR, "192.0.2.0/255.0.255.0", `not a prefix length`},
		{gaea.TargetIPCIDR, "300.0.0.1", `neither an IP address nor a network`},
		{gaea.TargetCompound, "G@role:web db*", `word 2, "db*": there is no operator between "G@role:web" and "db*"`},
		{gaea.TargetCompound, "web* and", `ends with "and"`},
		{gaea.TargetCompound, "not", `ends with "not"`},
		{gaea.TargetCompound, "and web*", `word 1, "and", has no term before it`},
		{gaea.TargetCompound, "a and or b", `word 3, "or", has no term before it`},
		{gaea.TargetCompound, "not not a", `follows another "not"`},
		{gaea.TargetCompound, "( a or b", `parenthesis that is word 1 is not closed`},
		{gaea.TargetCompound, "a or b )", `word 4, ")", closes no parenthesis`},
		{gaea.TargetCompound, "a or ( )", `a term is missing`},
		{gaea.TargetCompound, "a ( b )", `no operator between "a" and the parenthesis`},
		{gaea.TargetCompound, "(a or b)", `write parentheses as words of their own, with spaces around them: "( a"`},
		{gaea.TargetCompound, "( a or b)", `"b )"`},
		{gaea.TargetCompound, "not(a)", `write parentheses`},
		{gaea.TargetCompound, "( a or G@role:web)", `"G@role:web )"`},
		{gaea.TargetCompound, "a AND b", `in lower case`},
		{gaea.TargetCompound, "a && b", `the operators are "and", "or" and "not"`},
		{gaea.TargetCompound, "X@role:web", `there is no matcher "X@"`},
		{gaea.TargetCompound, "g@role:web", `"G@role:web"`},
		{gaea.TargetCompound, "E|@web", `only G@, P@, I@ and J@`},
		{gaea.TargetCompound, "G@", `nothing follows`},
		{gaea.TargetCompound, "G@role", `word 1, "G@role": "role" has no ":"`},
		{gaea.TargetCompound, "G|@role:web", `has no "|"`},
		{gaea.TargetCompound, "L@a, b", `no operator between "L@a," and "b"`},
		{gaea.TargetCompound, "L@web*", `"web*" is not a minion id`},
		{gaea.TargetCompound, "L@,", `has no minion id`},
		{gaea.TargetCompound, "S@10.0.0.1/8", `the network is "10.0.0.0/8"`},
		{gaea.TargetCompound, "E@web(", `'(' at character 4`},
		{gaea.TargetCompound, "P@os:[a", `'[' at character 1`},
		{gaea.TargetCompound, "web1,web2", `write "L@web1,web2"`},
		{gaea.TargetCompound, "web[1", `bracket at character 4`},
	} {
		err := validate(c.kind, c.expr)
		if gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want %s", c.kind, c.expr, err, c.want)
			continue
		}
		if !strings.HasPrefix(gaea.MessageOf(err), "match: ") || !strings.Contains(err.Error(), "; write for example ") {
			t.Errorf("%s %q: the error names no field or shows nothing right: %v", c.kind, c.expr, err)
		}
	}
}

func TestTargetsWithoutAnExpressionAreRefused(t *testing.T) {
	for _, bad := range []gaea.Target{{}, {Type: "nonsense", Expr: "*"}, {Type: gaea.TargetCompound, Expr: " "}, {Type: gaea.TargetList}, gaea.ListTarget([]string{"a b"})} {
		if err := target.Validate(bad); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestRegularExpressionsAreReadAsPythonReadsThem goes through what Python 3.11's re.compile said to expressions put together at
// random from the pieces that regular expressions are made of.
func TestRegularExpressionsAreReadAsPythonReadsThem(t *testing.T) {
	f, err := os.Open("testdata/python_re.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for lines := bufio.NewScanner(f); lines.Scan(); rows++ {
		var row struct {
			Regex    string
			Accepted bool
			Error    string
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(row.Regex) == "" {
			continue
		}
		if err := validate(gaea.TargetPCRE, row.Regex); (err == nil) != row.Accepted {
			t.Errorf("%q: got %v, Python says %q", row.Regex, err, row.Error)
		}
	}
	if rows < 500 {
		t.Errorf("only %d rows", rows)
	}
}

func TestEveryWellFormedCompoundExpressionIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := compoundExpr(4).Draw(t, "expression")
		if err := validate(gaea.TargetCompound, expr); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
		words := strings.Fields(expr)
		i := rapid.IntRange(0, len(words)).Draw(t, "at")
		broken := strings.Join(append(append(append([]string{}, words[:i]...), "and", "or"), words[i:]...), " ")
		if err := validate(gaea.TargetCompound, broken); err == nil {
			t.Errorf("%q is accepted", broken)
		}
	})
}

func compoundExpr(depth int) *rapid.Generator[string] {
	term := rapid.SampledFrom([]string{
		"*", "web[1-3]*", "G@role:web", "G|@os|a:b", `E@web(?!1)\d+`, "P@os:(a|b)", "I@a:b:c", "J@a:.*", "L@a,b", "S@192.0.2.0/24", "S@2001:db8::1", "N@g", "R@%x",
	})
	if depth == 0 {
		return term
	}
	below := compoundExpr(depth - 1)
	return rapid.OneOf(term,
		rapid.Custom(func(t *rapid.T) string { return "( " + below.Draw(t, "in") + " )" }),
		rapid.Custom(func(t *rapid.T) string { return "not ( " + below.Draw(t, "not in") + " )" }),
		rapid.Custom(func(t *rapid.T) string { return "not " + term.Draw(t, "not") }),
		rapid.Custom(func(t *rapid.T) string {
			between := rapid.SampledFrom([]string{" and ", " or ", " and not ( ", " not ( "}).Draw(t, "operator")
			right := below.Draw(t, "right")
			if strings.HasSuffix(between, "( ") {
				right += " )"
			}
			return below.Draw(t, "left") + between + right
		}),
	)
}

func FuzzValidate(f *testing.F) {
	for i, expr := range []string{"G@role:web and not ( E@a|b or S@10.0.0.0/8 )", "web[1-3]*", `(?P<n>a)(?(n)\1|[^]-\x41])(?x: # c` + "\n)", "os:(a|b)", "a", "10.0.0.0/255.0.0.0"} {
		f.Add(i, expr)
	}
	f.Fuzz(func(t *testing.T, kind int, expr string) {
		types := gaea.TargetTypes()
		err := validate(types[uint(kind)%uint(len(types))], expr)
		if err != nil && gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%q: %v", expr, err)
		}
	})
}
