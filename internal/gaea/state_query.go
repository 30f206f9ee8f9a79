package gaea

import "time"

// StateFilter chooses states of state runs. Zero fields choose nothing out; all that are set must hold.
type StateFilter struct {
	Master   string
	Minion   string
	SLS      string    // the SLS file that declares it
	State    string    // its name or its declared id, for example /etc/motd
	Function string    // for example file.managed
	Outcome  Outcome   // how it stands (latest results only)
	Since    time.Time // the master received the return at or after
	Until    time.Time // and before
}

// LatestState is how a state stood on a minion when it was last run or tested there.
type LatestState struct {
	Master   string    `json:"master"`
	Minion   string    `json:"minion"`
	Key      string    `json:"key" doc:"Salt's key MODULE_|-ID_|-NAME_|-FUNCTION"`
	Function string    `json:"function,omitempty" doc:"for example file.managed; absent where an older jobd stored it and its id or name holds Salt's separator"`
	ID       string    `json:"id,omitempty" doc:"the state's declared id"`
	Name     string    `json:"name,omitempty" doc:"the state's name argument"`
	SLS      string    `json:"sls,omitempty"`
	Outcome  Outcome   `json:"outcome"`
	Test     bool      `json:"test,omitempty" doc:"seen in a test run"`
	Duration *float64  `json:"duration_ms,omitempty" doc:"milliseconds; absent where it was stored before jobd kept them"`
	JID      string    `json:"jid" doc:"the job that told"`
	Stamp    time.Time `json:"stamp" doc:"when the master received the return"`
}

// StateChange is a state that changed something on a minion.
type StateChange struct {
	Master   string    `json:"master"`
	Minion   string    `json:"minion"`
	JID      string    `json:"jid" doc:"the job that changed it; its return has the changes and the diff"`
	Key      string    `json:"key" doc:"Salt's key MODULE_|-ID_|-NAME_|-FUNCTION"`
	Function string    `json:"function,omitempty" doc:"for example file.managed"`
	ID       string    `json:"id,omitempty" doc:"the state's declared id"`
	Name     string    `json:"name,omitempty" doc:"the state's name argument"`
	SLS      string    `json:"sls,omitempty"`
	User     string    `json:"user,omitempty" doc:"who published the job"`
	RunID    string    `json:"run_id,omitempty" doc:"the Gaea run that published it"`
	Stamp    time.Time `json:"stamp" doc:"when the master received the return"`
}

// FailedMinion is a minion on which an SLS file failed.
type FailedMinion struct {
	Master  string    `json:"master"`
	Minion  string    `json:"minion"`
	Runs    int       `json:"runs" doc:"how many runs of that time failed so"`
	JID     string    `json:"jid" doc:"the last of them"`
	Stamp   time.Time `json:"stamp" doc:"when the master received its return"`
	Outcome Outcome   `json:"outcome" doc:"failed: states of the SLS file did; could_not_run: a run of just that file did not get as far as states"`
	States  []string  `json:"states,omitempty" doc:"the states of the SLS file that failed in the last of them, each as FUNCTION ID"`
	Message string    `json:"message,omitempty" doc:"Salt's words, one line a problem"`
}
