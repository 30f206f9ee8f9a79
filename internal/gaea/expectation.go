package gaea

import (
	"context"
	"encoding/json"
)

// Expectation is what an action is expected to bring: [JobAction.Expect], compiled. It may be used from several goroutines.
type Expectation interface {
	// PerMinion says whether it speaks of single minions, and so must be true for each of them. Otherwise it speaks of all
	// returns together, and is evaluated once.
	PerMinion() bool
	// Eval says whether it is true. CodeInvalid, with a sentence for people, where it cannot be told: a value is missing or
	// of another type than the expression takes it for, or the work is more than its bound.
	Eval(ctx context.Context, in ExpectInput) (bool, error)
}

// ExpectInput is what an [Expectation] speaks of: its variables. Redacted values are the mark that stands for them. A
// request returns an object with status (a whole number), headers (their names in lower case, several values of one joined
// by ", "), body (a text, at most 1 MiB) and json (the body where that is JSON, else null).
type ExpectInput struct {
	Ret     json.RawMessage            // what the minion, the runner or the request returned; null where empty
	Minion  string                     // empty for runners and requests
	Retcode int                        // Salt's; where it sent none 0 for an outcome that is OK, and 1 for any other
	Outcome Outcome                    // succeeded or failed for runners and requests
	Success bool                       // the outcome is OK, the runner ended well, or the request's status is 200 to 299
	Returns map[string]json.RawMessage // what each minion returned; empty for runners and requests
}
