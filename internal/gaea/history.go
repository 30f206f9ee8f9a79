package gaea

import (
	"encoding/json"
	"time"
)

// HistoryFilter chooses what ran on one minion. Minion is needed; other zero fields choose nothing out.
type HistoryFilter struct {
	Master   string
	Minion   string
	Function string    // whole name, or a prefix that ends in "*"
	Outcome  Outcome   // how it ended
	Since    time.Time // at or after
	Until    time.Time // and before
}

// HistoryItem is one job on one minion: what ran, who wanted it, and how it ended.
type HistoryItem struct {
	Master   string          `json:"master"`
	JID      string          `json:"jid"`
	Minion   string          `json:"minion"`
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args,omitempty" doc:"as Salt sent them, secrets redacted"`
	Test     bool            `json:"test,omitempty" doc:"a state run in test mode"`
	User     string          `json:"user,omitempty" doc:"who published the job"`
	Origin   Origin          `json:"origin,omitempty" enum:"publish,batch,runner,orchestration,salt-call,schedule,salt-ssh"`
	RunID    string          `json:"run_id,omitempty" doc:"the Gaea run that published it"`
	Outcome  Outcome         `json:"outcome" doc:"pending where the minion has not returned and nobody settled that"`
	Retcode  *int            `json:"retcode,omitempty"`
	Message  string          `json:"message,omitempty" doc:"Salt's words where it failed or could not run"`
	States   int             `json:"states,omitempty" doc:"of a state run, how many"`
	Unclean  int             `json:"unclean,omitempty" doc:"and how many of them are not in sync"`
	Duration *float64        `json:"duration_ms,omitempty" doc:"of a state run, milliseconds that its states took together; absent where it was stored before jobd kept them"`
	Started  time.Time       `json:"started" doc:"when the master published the job"`
	Stamp    time.Time       `json:"stamp" doc:"when the master received the return; when the job was published where there is none"`
}
