package saltlab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// startTime bounds the start of a lab, and of a daemon later on, where the context sets no earlier end.
const startTime = 2 * time.Minute

// Lab is a running Salt. Its methods may be called from several goroutines at once.
type Lab struct {
	cfg            Config // complete
	layout         layout
	venv           string
	states, pillar string
	access         access
	temporary      bool // the lab's directory is removed at the end
	keeper         *keeper
	stop           func() error // once

	turn sync.Mutex // held while daemons are started or stopped, so that only one caller does

	mu       sync.Mutex          // guards what follows
	daemons  map[string]*program // those that should run, by name: master, api, or a minion's id with a prefix
	launched int                 // how many commands were run, for their names
	clock    map[string]string   // what gives a master that is started a clock of its own; nil: the machine's
}

// The names of the daemons, also of their logs. A minion may be called master.
const (
	masterDaemon = "master"
	apiDaemon    = "api"
)

func minionDaemon(id string) string { return "minion-" + id }

// Start starts a lab and returns when every minion has answered a test.ping and salt-api answers, which takes some
// seconds; the first start of a Salt version installs it and takes a minute. The context bounds the start alone, not
// the life of the lab. On an error nothing is left running, and the error holds the end of the log that tells why.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	venv, err := environment(ctx, cfg.Version, cfg.Progress)
	if err != nil {
		return nil, err
	}
	ports, err := reservePorts(3)
	if err != nil {
		return nil, err
	}
	l := &Lab{
		cfg:     cfg,
		venv:    venv,
		access:  access{publishPort: ports[0], requestPort: ports[1], apiPort: ports[2], password: rand.Text()},
		daemons: map[string]*program{},
	}
	if l.layout, l.temporary, err = newLayout(cfg); err != nil {
		releasePorts(ports)
		return nil, err
	}
	l.states, l.pillar = cfg.States, cfg.Pillar
	if l.states == "" {
		l.states = filepath.Join(l.layout.dir, "states")
	}
	if l.pillar == "" {
		l.pillar = filepath.Join(l.layout.dir, "pillar")
	}
	if l.keeper, err = startKeeper(l.python(), l.layout.dir, l.temporary); err != nil {
		releasePorts(ports)
		if l.temporary {
			err = errors.Join(err, os.RemoveAll(l.layout.dir))
		}
		return nil, err
	}
	l.stop = sync.OnceValue(func() error {
		defer releasePorts(ports)
		return l.stopAll()
	})
	if err := l.startAll(ctx); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

func (l *Lab) startAll(ctx context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.layout.writeConfigs(l.cfg, l.states, l.pillar, l.access); err != nil {
		return err
	}
	if err := l.layout.writeScripts(); err != nil {
		return err
	}
	began := time.Now()
	l.cfg.Progress(fmt.Sprintf("starting Salt %s: %s", l.cfg.Version, l.parts()))
	if err := l.run(masterDaemon, "salt-master", l.layout.masterConfig()); err != nil {
		return err
	}
	for _, id := range l.cfg.MinionIDs {
		if err := l.run(minionDaemon(id), "salt-minion", l.layout.minionConfig(id)); err != nil {
			return err
		}
	}
	if !l.cfg.NoAPI {
		if err := l.run(apiDaemon, "salt-api", l.layout.masterConfig()); err != nil {
			return err
		}
	}
	if err := l.ready(ctx, starting, l.cfg.MinionIDs, !l.cfg.NoAPI); err != nil {
		return err
	}
	l.cfg.Progress(fmt.Sprintf("Salt is ready after %.1f s", time.Since(began).Seconds()))
	return nil
}

// parts says for a person what is started.
func (l *Lab) parts() string {
	parts := "a master"
	switch count := len(l.cfg.MinionIDs); count {
	case 0:
	case 1:
		parts += ", a minion"
	default:
		parts += fmt.Sprintf(", %d minions", count)
	}
	if !l.cfg.NoAPI {
		parts += ", salt-api"
	}
	return parts
}

// Stop ends every process of the lab, at last with SIGKILL, waits for their end and removes the lab's directory where
// it was a temporary one. It may be called more than once and returns the same each time.
func (l *Lab) Stop() error { return l.stop() }

func (l *Lab) stopAll() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	var names []string
	for name := range l.daemons {
		names = append(names, name)
	}
	l.mu.Unlock()
	err := l.end(context.Background(), names, stopGrace)
	err = errors.Join(err, l.keeper.close())
	if l.temporary {
		// The keeper has done so, unless it was killed.
		err = errors.Join(err, os.RemoveAll(l.layout.dir))
	}
	return err
}

// Version is the version of Salt that runs.
func (l *Lab) Version() string { return l.cfg.Version }

// Dir is the directory that everything of the lab is below.
func (l *Lab) Dir() string { return l.layout.dir }

// ConfigDir is the directory that holds the master's configuration file, what -c takes.
func (l *Lab) ConfigDir() string { return l.layout.masterConfig() }

// SockDir is the directory of the master's sockets.
func (l *Lab) SockDir() string {
	return filepath.Join(l.layout.masterRoot(), "var", "run", "salt", "master")
}

// CacheDir is the master's cachedir, with the job cache and the keys of those who may publish.
func (l *Lab) CacheDir() string {
	return filepath.Join(l.layout.masterRoot(), "var", "cache", "salt", "master")
}

// StatesDir is the directory whose content is the file roots of the environment base.
func (l *Lab) StatesDir() string { return l.states }

// PillarDir is the directory whose content is the pillar roots of the environment base.
func (l *Lab) PillarDir() string { return l.pillar }

// PublishPort and RequestPort are the master's ports on 127.0.0.1.
func (l *Lab) PublishPort() int { return l.access.publishPort }

// RequestPort is the port where the master takes requests, on 127.0.0.1.
func (l *Lab) RequestPort() int { return l.access.requestPort }

// APIURL is where salt-api listens; empty where the lab has none.
func (l *Lab) APIURL() string {
	if l.cfg.NoAPI {
		return ""
	}
	return "http://" + loopback(l.access.apiPort)
}

// APIUser is a user who may do everything through salt-api or the request port, with APIPassword and APIEauth.
func (l *Lab) APIUser() string { return apiUser }

// APIPassword is the password of APIUser; another one in each lab.
func (l *Lab) APIPassword() string { return l.access.password }

// APIEauth is the kind of authentication that knows APIUser.
func (l *Lab) APIEauth() string { return "sharedsecret" }

// Minions are the ids of all minions, whether or not they run, in the order of the configuration.
func (l *Lab) Minions() []string { return slices.Clone(l.cfg.MinionIDs) }

// MinionRoot is a directory of this minion alone where its states may write; on the minion it is the grain lab_root.
func (l *Lab) MinionRoot(id string) string { return l.layout.minionFiles(id) }

// known says whether there is such a minion.
func (l *Lab) known(id string) error {
	if !slices.Contains(l.cfg.MinionIDs, id) {
		return fmt.Errorf("saltlab: there is no minion %q, only %q", id, l.cfg.MinionIDs)
	}
	return nil
}
