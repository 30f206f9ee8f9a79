package saltlab

import (
	"context"
	"errors"
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

// RestartMaster stops the master and starts it again. Its sockets are then new, and with Salt 3006 the keys to publish
// with are, too; 3008 keeps those that it finds in CacheDir.
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
	var env map[string]string
	if name == masterDaemon {
		env = l.clock
	}
	p, err := l.keeper.start(name, l.argv(command, config), env, log, log)
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
