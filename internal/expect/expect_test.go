package expect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func compile(t testing.TB, expr string) *expect.Program {
	t.Helper()
	p, err := expect.Compile(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return p
}

func TestAnExpressionThatIsWrongIsRefusedWithItsPosition(t *testing.T) {
	for expr, want := range map[string]string{
		``:                      "line 1, column 1: the expression ends too early; something is missing here",
		`ret.status == `:        "line 1, column 15: the expression ends too early; something is missing here",
		"true &&\n  bar":        `line 2, column 3: there is no variable "bar"; use ret, minion, retcode, outcome, success and returns`,
		`foo(1)`:                `line 1, column 4: there is no function "foo"`,
		`retcode = 0`:           "line 1, column 9: a single = is not understood; to compare write ==",
		`minion == "web`:        "line 1, column 11: a text begins here and is not closed",
		`ret ; true`:            `line 1, column 5: ";" is not understood`,
		`true true`:             `line 1, column 6: "true" is not expected here`,
		`retcode == "a"`:        "line 1, column 9: == does not go with int and string",
		`!retcode`:              "line 1, column 1: ! does not go with int",
		`retcode in 3`:          "line 1, column 9: in does not go with int and int",
		`retcode ? true : true`: "line 1, column 9: ? : does not go with int and bool and bool",
		`size(5) == 1`:          "line 1, column 5: size() does not go with int",
		`retcode`:               "line 1, column 1: the expression gives a whole number and must be true or false; compare it with something, for example: retcode == 0",
		`minion.matches("(")`:   "line 1, column 1: error parsing regexp: missing closing ): `(`",
	} {
		_, err := expect.Compile(expr)
		if gaea.CodeOf(err) != gaea.CodeInvalid || gaea.MessageOf(err) != want {
			t.Errorf("%q\n got %s\nwant %s", expr, gaea.MessageOf(err), want)
		}
	}
}

func TestAnExpressionThatIsTooLongOrTooDeepIsRefused(t *testing.T) {
	for name, expr := range map[string]string{
		"long": `minion == "` + strings.Repeat("a", 5000) + `"`,
		"deep": strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500),
		"nots": strings.Repeat("!(", 500) + "true" + strings.Repeat(")", 500),
	} {
		if _, err := expect.Compile(expr); gaea.CodeOf(err) != gaea.CodeInvalid || len(gaea.MessageOf(err)) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnExpressionIsTrueOrFalseOfWhatWasReturned(t *testing.T) {
	in := expect.In{
		Ret:    json.RawMessage(`{"status": 200, "load": 0.5, "big": 18446744073709551615, "name": "nginx", "ok": true, "none": null, "list": [1, 2, 3], "deep": {"a": {"b": 7}}}`),
		Minion: "web1", Retcode: 2, Outcome: gaea.OutcomeFailed,
		Returns: map[string]json.RawMessage{"web1": json.RawMessage(`{"ok": true}`), "web2": json.RawMessage(`{"ok": false}`)},
	}
	for expr, want := range map[string]bool{
		`ret.status == 200`:                                true,
		`ret.status == 200.0`:                              true,
		`ret.status >= 200 && ret.status < 300`:            true,
		`string(ret.status) == "200"`:                      true,
		`type(ret.status) == int`:                          true,
		`type(ret.load) == double`:                         true,
		`ret.big == 18446744073709551615u`:                 true,
		`ret.load < 1`:                                     true,
		`ret.name.startsWith("ng")`:                        true,
		`ret.ok`:                                           true,
		`ret.none == null`:                                 true,
		`ret.list[ret.list[0]] == 2`:                       true,
		`ret.list.exists(n, n == 3)`:                       true,
		`2 in ret.list`:                                    true,
		`size(ret.list) == 3`:                              true,
		`ret["deep"].a.b == 7`:                             true,
		`has(ret.missing)`:                                 false,
		`has(ret.missing) && ret.missing == 1`:             false,
		`retcode == 2 && outcome == "failed" && !success`:  true,
		`minion.matches("^web[0-9]+$")`:                    true,
		`returns.all(m, returns[m].ok)`:                    false,
		`returns.exists(m, returns[m].ok)`:                 true,
		`size(returns) == 2 && "web2" in returns`:          true,
		`returns[minion].ok`:                               true,
		`ret.list == [1, 2, 3]`:                            true,
		`ret.deep == {"a": {"b": 7}}`:                      true,
		`ret.list.map(n, n * 2).filter(n, n > 2)[0] == 4`:  true,
		`ret.name in ["nginx", "apache"] || ret.nonsense`:  true,
		`timestamp("2026-11-23T00:00:00Z").getHours() < 1`: true,
	} {
		got, err := compile(t, expr).Eval(context.Background(), in)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", expr, got, err)
		}
	}
}

func TestWhatCannotBeToldSaysWhyInPlainWords(t *testing.T) {
	for expr, want := range map[string]string{
		`ret.missing == 1`:   `there is no key "missing"; where it may be missing, ask with has(…) or with in`,
		`ret.status`:         "it gives a whole number, and not true or false",
		`ret.list`:           "it gives a list, and not true or false",
		`returns.db.ok`:      `there is no key "db"; where it may be missing, ask with has(…) or with in`,
		`ret.status > "abc"`: "a value is of another type than the expression takes it for",
		`ret.list[7] == 1`:   "index out of bounds: 7",
	} {
		_, err := compile(t, expr).Eval(context.Background(), expect.In{Ret: json.RawMessage(`{"status": 200, "list": [1]}`)})
		if gaea.CodeOf(err) != gaea.CodeInvalid || !strings.HasPrefix(gaea.MessageOf(err), want) {
			t.Errorf("%s: %s", expr, gaea.MessageOf(err))
		}
	}
}

func TestNothingReturnedIsNull(t *testing.T) {
	if ok, err := compile(t, `ret == null && size(returns) == 0`).Eval(context.Background(), expect.In{}); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestAnExpressionOverAllReturnsIsToldFromOneOverEach(t *testing.T) {
	for expr, want := range map[string]bool{
		`ret.ok`:                   true,
		`minion == "web1" || true`: true,
		`retcode == 0`:             true,
		`outcome == "changed"`:     true,
		`success`:                  true,
		`size(returns) > 3`:        false,
		`true`:                     false,
		`returns.all(minion, returns[minion].ok)`:               false,
		`returns.all(ret, ret != "web9")`:                       false,
		`returns.all(m, returns[m].ok) && success`:              true,
		`[minion].all(minion, minion in returns)`:               true,
		`returns.all(minion, returns[minion] == .ret)`:          true,
		`{"a": retcode}.size() == 1`:                            true,
		`returns.exists(m, returns[m].x.exists(ret, 1 == ret))`: false,
	} {
		if got := compile(t, expr).PerMinion(); got != want {
			t.Errorf("%s: %v", expr, got)
		}
	}
}

func TestTheWorkOfAnEvaluationIsBounded(t *testing.T) {
	list := make([]int, 3000)
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = compile(t, `ret.all(a, ret.all(b, ret.all(c, a == b && b == c)))`).Eval(context.Background(), expect.In{Ret: body})
	if gaea.CodeOf(err) != gaea.CodeInvalid {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestALargeReturnIsLookedAtWithoutMuchWork(t *testing.T) {
	body := json.RawMessage(`{"ok": true, "log": "` + strings.Repeat("a", 2<<20) + `"}`)
	if ok, err := compile(t, `ret.ok`).Eval(context.Background(), expect.In{Ret: body}); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
	many := "[" + strings.Repeat("1, ", 200) + "1]"
	if _, err := compile(t, many+`.all(n, !ret.log.matches("b+$"))`).Eval(context.Background(), expect.In{Ret: body}); gaea.CodeOf(err) != gaea.CodeInvalid {
		t.Errorf("hundreds of megabytes of matching: %v", err)
	}
}

// A run of 10,000 minions has an expression evaluated 10,000 times, each time with all that they returned.
func TestManyReturnsThatAreNotLookedAtCostNothing(t *testing.T) {
	p := compile(t, "returns[minion].status == 200 && ret.status == 200")
	allocations := func(n int) float64 {
		all := make(map[string]json.RawMessage, n)
		for i := range n {
			all[fmt.Sprintf("web%d", i)] = json.RawMessage(`{"status": 200}`)
		}
		return testing.AllocsPerRun(10, func() {
			if ok, err := p.Eval(context.Background(), expect.In{Ret: all["web7"], Minion: "web7", Returns: all}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > 2*few {
		t.Errorf("%v allocations among 10 minions, %v among 1000", few, many)
	}
}

func TestAnEvaluationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := compile(t, `ret.all(a, a == 0)`).Eval(ctx, expect.In{Ret: json.RawMessage(`[0]`)}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// FuzzExpression holds that no expression and no return brings down the evaluation, or keeps it busy.
func FuzzExpression(f *testing.F) {
	f.Add(`ret.status == 200`, []byte(`{"status": 200}`))
	f.Add(`returns.all(m, returns[m].ok) && success`, []byte(`{"ok": 1e400}`))
	f.Add(`ret[0] in [1, 2u, 3.0, "x", null]`, []byte(`[[[]]]`))
	f.Add(`ret.all(a, ret.exists(b, a == b))`, []byte(`[1, -0, 9223372036854775808, 1.5e3]`))
	f.Add("ret.\n  matches('^a+$')", []byte(`"aaa"`))
	f.Add(`.ret == {"a": [ret]} ? true : retcode > 1`, []byte(`{"a": {}}`))
	f.Fuzz(func(t *testing.T, expr string, body []byte) {
		p, err := expect.Compile(expr)
		if err != nil {
			if gaea.CodeOf(err) != gaea.CodeInvalid || gaea.MessageOf(err) == "" {
				t.Errorf("%q: %v", expr, err)
			}
			return
		}
		in := expect.In{Ret: body, Minion: "web1", Outcome: gaea.OutcomeSucceeded, Success: true, Returns: map[string]json.RawMessage{"web1": body}}
		if _, err := p.Eval(context.Background(), in); err != nil && (gaea.CodeOf(err) != gaea.CodeInvalid || gaea.MessageOf(err) == "") {
			t.Errorf("%q: %v", expr, err)
		}
	})
}
