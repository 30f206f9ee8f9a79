// Command alertrules checks a file of Prometheus alert rules with Prometheus' own parser, and prints the names of the metrics that
// its expressions read, one a line. It is a module of its own, so that nothing else has Prometheus among its dependencies.
//
//	go -C tools/alertrules run . ../../examples/prometheus/jobd.rules.yaml
//
// Every alert has to say what it means (summary) and what to do (runbook), and how bad it is (severity: page or ticket). What is
// wrong goes to standard error; the exit code is 1 then.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: alertrules FILE")
	}
	content, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	p := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.Parse(content, false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	names := map[string]bool{}
	for _, g := range groups.Groups {
		for i := range g.Rules {
			errs = append(errs, check(&g.Rules[i]))
			expr, err := p.ParseExpr(g.Rules[i].Expr)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			for _, selectors := range parser.ExtractSelectors(expr) {
				for _, m := range selectors {
					if m.Name == model.MetricNameLabel {
						names[m.Value] = true
					}
				}
			}
		}
	}
	for _, name := range sorted(names) {
		fmt.Fprintln(out, name)
	}
	return errors.Join(errs...)
}

func sorted(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// check says what an alert lacks for who is paged by it.
func check(r *rulefmt.Rule) error {
	if r.Alert == "" {
		return fmt.Errorf("the rule %s is no alert", r.Record)
	}
	for _, name := range []string{"summary", "runbook"} {
		if r.Annotations[name] == "" {
			return fmt.Errorf("%s has no annotation %s", r.Alert, name)
		}
	}
	if s := r.Labels["severity"]; s != "page" && s != "ticket" {
		return fmt.Errorf("%s has the severity %q, and not page or ticket", r.Alert, s)
	}
	return nil
}
