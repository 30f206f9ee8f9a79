package expect

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
)

// The variables of an expression.
const (
	varRet     = "ret"
	varMinion  = "minion"
	varRetcode = "retcode"
	varOutcome = "outcome"
	varSuccess = "success"
	varReturns = "returns"
)

// variables names them all for people.
const variables = "ret, minion, retcode, outcome, success and returns"

// perMinion says whether an expression speaks of single minions. A name that a loop of the expression gives to its own
// items is none of the variables: returns.all(minion, returns[minion].ok) speaks of all minions together.
func perMinion(e ast.Expr) bool {
	s := scope{}
	s.walk(e)
	return s.single
}

// scope walks through an expression with the names that the loops around a place have taken.
type scope struct {
	taken  []string
	single bool
}

func (s *scope) walk(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		s.ident(e.AsIdent())
	case ast.SelectKind:
		s.walk(e.AsSelect().Operand())
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			s.walk(call.Target())
		}
		s.all(call.Args())
	case ast.ListKind:
		s.all(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			s.walk(entry.AsMapEntry().Key())
			s.walk(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			s.walk(field.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		s.walk(loop.IterRange())
		s.walk(loop.AccuInit())
		outer := len(s.taken)
		s.taken = append(s.taken, loop.IterVar(), loop.IterVar2(), loop.AccuVar())
		s.all([]ast.Expr{loop.LoopCondition(), loop.LoopStep(), loop.Result()})
		s.taken = s.taken[:outer]
	default: // literals
	}
}

func (s *scope) all(list []ast.Expr) {
	for _, e := range list {
		s.walk(e)
	}
}

func (s *scope) ident(name string) {
	name, outermost := strings.CutPrefix(name, ".")
	if !outermost && slices.Contains(s.taken, name) {
		return
	}
	switch name {
	case varRet, varMinion, varRetcode, varOutcome, varSuccess:
		s.single = true
	}
}
