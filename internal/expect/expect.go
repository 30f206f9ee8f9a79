// Package expect is the language in which actions say what they expect of what comes back: CEL, with the variables ret,
// minion, retcode, outcome, success and returns. It compiles expressions, says in plain words where one is wrong, and
// evaluates them within bounds of work and time.
package expect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The bounds of an expression and of one evaluation.
const (
	maxLength  = 4096            // characters of an expression
	maxCost    = 2_000_000       // CEL's units of work: about one for each step, and more for long texts
	maxTime    = 2 * time.Second // of one evaluation, looked at between two steps
	checkEvery = 100             // rounds of a loop between two looks at the clock
	maxDepth   = 50              // of parentheses and operators in each other
)

// In is what an expression speaks of.
type In = gaea.ExpectInput

// Program is a compiled expression. It may be used from several goroutines.
type Program struct {
	text      string
	perMinion bool
	program   cel.Program
}

var _ gaea.Expectation = (*Program)(nil)

var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable(varRet, cel.DynType),
		cel.Variable(varMinion, cel.StringType),
		cel.Variable(varRetcode, cel.IntType),
		cel.Variable(varOutcome, cel.StringType),
		cel.Variable(varSuccess, cel.BoolType),
		cel.Variable(varReturns, cel.MapType(cel.StringType, cel.DynType)),
		cel.CustomTypeAdapter(adapter{}),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxLength),
		cel.ParserRecursionLimit(maxDepth),
		cel.DefaultUTCTimeZone(true),
	)
})

// Compile reads an expression. The error is CodeInvalid and says where the expression is wrong: "line 1, column 5: …".
func Compile(expr string) (*Program, error) {
	env, err := environment()
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "expressions cannot be compiled")
	}
	if n := len([]rune(expr)); n > maxLength {
		return nil, gaea.Errorf(gaea.CodeInvalid, "the expression has %d characters; use at most %d", n, maxLength)
	}
	ast, issues := env.Compile(expr)
	if err := issues.Err(); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "%s", words(issues, expr))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, gaea.Errorf(gaea.CodeInvalid, "line 1, column 1: the expression gives %s and must be true or false; compare it with something, for example: retcode == 0", article(t.String()))
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "line 1, column 1: %s", firstLine(err.Error()))
	}
	return &Program{text: expr, perMinion: perMinion(ast.NativeRep().Expr()), program: program}, nil
}

// String is the expression as it was written.
func (p *Program) String() string { return p.text }

// PerMinion implements [gaea.Expectation].
func (p *Program) PerMinion() bool { return p.perMinion }

// Eval implements [gaea.Expectation].
func (p *Program) Eval(ctx context.Context, in In) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, gaea.Wrap(err, gaea.CodeInvalid, "it was given up before it was evaluated")
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	out, _, err := p.program.ContextEval(ctx, map[string]any{
		varRet: raw(in.Ret), varMinion: in.Minion, varRetcode: in.Retcode, varOutcome: string(in.Outcome),
		varSuccess: in.Success, varReturns: returns(in.Returns),
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return false, gaea.Wrap(ctx.Err(), gaea.CodeInvalid, "the evaluation was given up after %s", maxTime)
	case err != nil:
		return false, gaea.Wrap(err, gaea.CodeInvalid, "%s", evaluationWords(err.Error()))
	}
	if b, ok := out.(types.Bool); ok {
		return bool(b), nil
	}
	return false, gaea.Errorf(gaea.CodeInvalid, "it gives %s, and not true or false", article(out.Type().TypeName()))
}

// article puts a type's name into a sentence.
func article(name string) string {
	switch name {
	case "int", "uint":
		return "a whole number"
	case "double":
		return "a number"
	case "string":
		return "a text"
	case "null_type":
		return "null"
	case "list":
		return "a list"
	case "map":
		return "an object"
	default:
		return fmt.Sprintf("a value of the type %s", name)
	}
}
