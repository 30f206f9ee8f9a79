package saltlab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

//go:embed ready.py
var readyScript []byte

const readyName = "ready.py"

func (l layout) writeScripts() error {
	if err := os.WriteFile(l.script(readyName), readyScript, 0o600); err != nil {
		return fmt.Errorf("saltlab: %w", err)
	}
	return nil
}

// lookEvery is how often the lab looks whether what it waits for has come.
const lookEvery = 50 * time.Millisecond

// How minions come to answer, in the words of ready.py.
const (
	starting = "starting" // they say so on the bus
	running  = "running"  // they have to find out that the master is a new one
)

// ready returns when these minions answer a test.ping and, where asked for, salt-api answers. It returns an error with
// the end of a log as soon as a daemon ends, and when the time is over.
func (l *Lab) ready(ctx context.Context, how string, ids []string, api bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	asker, err := l.launch("ready", append([]string{l.python(), l.layout.script(readyName), how, l.ConfigDir()}, ids...))
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(l.keeper.kill(asker), os.Remove(asker.stdout), os.Remove(asker.stderr)) }()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	told := 0
	for {
		over := hasEnded(asker) // before its output is read, which is then whole
		answered := l.answered(asker)
		for ; told < len(answered); told++ {
			l.cfg.Progress(fmt.Sprintf("minion %s answers (%d of %d)", answered[told], told+1, len(ids)))
		}
		if len(answered) == len(ids) && over {
			break
		}
		if err := l.fallen(); err != nil {
			return err
		}
		if over {
			return fmt.Errorf("saltlab: the program that asks the minions ended with exit code %d: %s\n%s", asker.code, tailOf(asker.stderr), tailUnder(l.logOf(masterDaemon)))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return l.late(ctx, ids, answered)
		}
	}
	for api {
		if l.apiAnswers(ctx) {
			l.cfg.Progress("salt-api answers")
			break
		}
		if err := l.fallen(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("saltlab: salt-api does not answer on %s: %w\n%s", l.APIURL(), ctx.Err(), tailUnder(l.logOf(apiDaemon)))
		}
	}
	return nil
}

func hasEnded(p *program) bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// answered returns the ids that the program which asks the minions has printed so far.
func (l *Lab) answered(asker *program) []string {
	text, err := os.ReadFile(asker.stdout)
	if err != nil {
		return nil // It has not been started yet.
	}
	whole := string(text[:strings.LastIndexByte(string(text), '\n')+1])
	return strings.Fields(whole)
}

// fallen returns an error where a daemon that should run has ended.
func (l *Lab) fallen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, p := range l.daemons {
		if hasEnded(p) {
			return fmt.Errorf("saltlab: %s ended with exit code %d while it was waited for\n%s", name, p.code, tailUnder(l.logOf(name)))
		}
	}
	return nil
}

// late is the error for minions that did not answer in time.
func (l *Lab) late(ctx context.Context, ids, answered []string) error {
	done := map[string]bool{}
	for _, id := range answered {
		done[id] = true
	}
	var missing []string
	logs := []string{tailUnder(l.logOf(masterDaemon))}
	for _, id := range ids {
		if !done[id] {
			missing = append(missing, id)
			logs = append(logs, tailUnder(l.logOf(minionDaemon(id))))
		}
	}
	if len(missing) == 0 {
		missing = []string{"the master"} // which alone was waited for
	}
	return fmt.Errorf("saltlab: no answer from %s: %w\n%s", strings.Join(missing, ", "), ctx.Err(), strings.Join(logs, ""))
}

// apiAnswers says whether salt-api serves its first page.
func (l *Lab) apiAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.APIURL(), nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy, no connection left behind
	response, err := transport.RoundTrip(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusOK
}
