package tables

import (
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// keptState is a state of a list that does not follow from its return's body. Its changes are kept as a text, because JSON
// inside JSON would lose its spaces.
type keptState struct {
	gaea.StateResult
	ChangesText string `json:"changes_text,omitempty"`
}

func kept(states []gaea.StateResult) []keptState {
	list := make([]keptState, len(states))
	for i, s := range states {
		list[i] = keptState{StateResult: s, ChangesText: string(s.Changes)}
		list[i].Changes = nil
	}
	return list
}

func restored(list []keptState) []gaea.StateResult {
	states := make([]gaea.StateResult, len(list))
	for i, k := range list {
		states[i] = k.StateResult
		if k.ChangesText != "" {
			states[i].Changes = json.RawMessage(k.ChangesText)
		}
	}
	return states
}

// StateList is the list of a return's states as JSON, for where it does not follow from the body.
func StateList(r *gaea.Return) (string, error) {
	list, err := Marshal(kept(r.States))
	if err != nil {
		return "", gaea.Wrap(err, gaea.CodeInvalid, "the states of the return of %q for job %s are no JSON", r.Minion, r.JID)
	}
	return list, nil
}
