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
	"sync"
	"time"
)

// How long daemons get between SIGTERM and SIGKILL. A minion takes 5 to 10 s to end by itself, in which it does nothing
// that anybody here waits for; a master ends in under 2 s.
const (
	stopGrace   = 500 * time.Millisecond
	minionGrace = time.Second
	masterGrace = 5 * time.Second
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

// StopMinion stops a minion and all that it runs. One that does not run stays so.
func (l *Lab) StopMinion(ctx context.Context, id string) error {
	return l.stopDaemon(ctx, id, minionDaemon(id), minionGrace)
}

// KillMinion ends a minion and all that it runs at once with SIGKILL, as a loss of power would.
func (l *Lab) KillMinion(ctx context.Context, id string) error {
	return l.stopDaemon(ctx, id, minionDaemon(id), 0)
}

// StartMinion starts a minion that was stopped and returns when it answers. One that runs is only asked.
func (l *Lab) StartMinion(ctx context.Context, id string) error {
	if err := l.known(id); err != nil {
		return err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.run(minionDaemon(id), "salt-minion", l.layout.minionConfig(id)); err != nil {
		return err
	}
	return l.ready(ctx, starting, []string{id}, false)
}

// StopMaster stops the master and leaves the minions and salt-api running.
func (l *Lab) StopMaster(ctx context.Context) error {
	return l.stopDaemon(ctx, "", masterDaemon, masterGrace)
}

// KillMaster ends every process of the master at once with SIGKILL, as a loss of power would.
func (l *Lab) KillMaster(ctx context.Context) error { return l.stopDaemon(ctx, "", masterDaemon, 0) }

// StartMaster starts a master that was stopped, on the same ports, and returns when every running minion answers it.
func (l *Lab) StartMaster(ctx context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.run(masterDaemon, "salt-master", l.layout.masterConfig()); err != nil {
		return err
	}
	return l.ready(ctx, running, l.up(), false)
}

// RestartMaster stops the master and starts it again; its keys and its sockets are then new.
func (l *Lab) RestartMaster(ctx context.Context) error {
	if err := l.StopMaster(ctx); err != nil {
		return err
	}
	return l.StartMaster(ctx)
}

// StopAPI stops salt-api.
func (l *Lab) StopAPI(ctx context.Context) error {
	return l.stopDaemon(ctx, "", apiDaemon, minionGrace)
}

// StartAPI starts salt-api again, on the same port, and returns when it answers.
func (l *Lab) StartAPI(ctx context.Context) error {
	if l.cfg.NoAPI {
		return errors.New("saltlab: this lab has no salt-api: Config.NoAPI is set")
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.run(apiDaemon, "salt-api", l.layout.masterConfig()); err != nil {
		return err
	}
	return l.ready(ctx, running, nil, true)
}

// up returns the ids of the minions that should run.
func (l *Lab) up() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, id := range l.cfg.MinionIDs {
		if l.daemons[minionDaemon(id)] != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// run starts a daemon unless it runs already. The caller has the turn.
func (l *Lab) run(name, command, config string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.daemons[name]; p != nil && !hasEnded(p) {
		return nil
	}
	log := l.logOf(name)
	p, err := l.keeper.start(name, l.argv(command, config), log, log)
	if err != nil {
		return err
	}
	l.daemons[name] = p
	l.cfg.Logger.Debug("salt daemon started", "daemon", name, "log", log)
	return nil
}

func (l *Lab) logOf(daemon string) string { return logFile(l.layout.dir, daemon) }

func (l *Lab) stopDaemon(ctx context.Context, minion, name string, grace time.Duration) error {
	if minion != "" {
		if err := l.known(minion); err != nil {
			return err
		}
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.end(ctx, []string{name}, grace)
}

// end stops daemons, all at once, and waits for them. The caller has the turn.
func (l *Lab) end(ctx context.Context, names []string, grace time.Duration) error {
	var wait sync.WaitGroup
	errs := make([]error, len(names))
	for i, name := range names {
		l.mu.Lock()
		p := l.daemons[name]
		delete(l.daemons, name)
		l.mu.Unlock()
		if p == nil {
			continue
		}
		wait.Go(func() {
			if grace == 0 {
				errs[i] = l.keeper.kill(p)
			} else {
				errs[i] = l.keeper.stop(ctx, p, grace)
			}
			l.cfg.Logger.Debug("salt daemon stopped", "daemon", name)
		})
	}
	wait.Wait()
	return errors.Join(errs...)
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
	logs := tailUnder(l.logOf(masterDaemon))
	for _, id := range ids {
		if !done[id] {
			missing = append(missing, id)
			logs += tailUnder(l.logOf(minionDaemon(id)))
		}
	}
	return fmt.Errorf("saltlab: no answer from %s: %w\n%s", strings.Join(missing, ", "), ctx.Err(), logs)
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
