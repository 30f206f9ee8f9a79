package saltlab

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// layout knows where everything of a lab is. Salt takes every path below root_dir, even an absolute one, so the master
// and each minion have a root_dir of their own and Salt's default paths in it:
//
//	DIR/master/etc/salt/master          DIR/master/var/{cache,run}/salt/master/
//	DIR/minions/ID/etc/salt/minion      DIR/minions/ID/var/{cache,run}/salt/minion/
//	DIR/minions/ID/files/               what states write, the grain lab_root
//	DIR/states/, DIR/pillar/            where the configuration names no other directories
//	DIR/logs/{master,api,minion-ID}.log what each daemon says; DIR/output/ has what commands say
type layout struct{ dir string }

// The longest path of a socket that a minion makes below its root, and the system's limit for it.
const (
	longestSocket = "var/run/salt/minion/minion_event_0123456789_pub.ipc"
	socketLimit   = 107
)

func (l layout) masterRoot() string            { return filepath.Join(l.dir, "master") }
func (l layout) masterConfig() string          { return filepath.Join(l.masterRoot(), "etc", "salt") }
func (l layout) minionHome(id string) string   { return filepath.Join(l.dir, "minions", id) }
func (l layout) minionConfig(id string) string { return filepath.Join(l.minionHome(id), "etc", "salt") }
func (l layout) minionFiles(id string) string  { return filepath.Join(l.minionHome(id), "files") }
func (l layout) minionSocket(id string) string { return filepath.Join(l.minionHome(id), longestSocket) }
func (l layout) output(name string) string     { return filepath.Join(l.dir, "output", name) }
func (l layout) script(name string) string     { return filepath.Join(l.dir, name) }
func logFile(dir string, daemon string) string { return filepath.Join(dir, "logs", daemon+".log") }
func (l layout) tooLong(ids []string) (string, bool) {
	for _, id := range append([]string{"master"}, ids...) {
		if path := l.minionSocket(id); len(path) > socketLimit {
			return path, true
		}
	}
	return "", false
}

// newLayout makes the directories of a lab and says whether its root is to be removed at the end.
func newLayout(cfg Config) (l layout, temporary bool, err error) {
	if cfg.Dir == "" {
		l, err = temporaryLayout(cfg.MinionIDs)
		temporary = true
	} else {
		l, err = givenLayout(cfg.Dir, cfg.MinionIDs)
	}
	if err != nil {
		return l, false, err
	}
	// Master and salt-api start together, and each ends where the other makes the directory of their pid files just then.
	run := filepath.Join(l.masterRoot(), "var", "run")
	dirs := []string{l.masterConfig(), run, filepath.Join(l.dir, "logs"), l.output("")}
	for _, id := range cfg.MinionIDs {
		dirs = append(dirs, l.minionConfig(id), l.minionFiles(id))
	}
	if cfg.States == "" {
		dirs = append(dirs, filepath.Join(l.dir, "states"))
	}
	if cfg.Pillar == "" {
		dirs = append(dirs, filepath.Join(l.dir, "pillar"))
	}
	for _, dir := range dirs {
		err = errors.Join(err, os.MkdirAll(dir, 0o750))
	}
	if len(cfg.PublisherACL) > 0 {
		// Another user has to get to the master's configuration, sockets and keys. Salt makes the rest like this itself.
		for _, dir := range []string{l.masterConfig(), run} {
			for ; len(dir) >= len(l.dir); dir = filepath.Dir(dir) {
				err = errors.Join(err, os.Chmod(dir, 0o755))
			}
		}
	}
	if err != nil {
		err = fmt.Errorf("saltlab: %w", err)
		if temporary {
			err = errors.Join(err, os.RemoveAll(l.dir))
		}
		return l, false, err
	}
	return l, temporary, nil
}

func givenLayout(dir string, ids []string) (layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, fmt.Errorf("saltlab: Config.Dir: %w", err)
	}
	l := layout{dir: dir}
	if path, long := l.tooLong(ids); long {
		return l, fmt.Errorf("saltlab: Config.Dir %q is too long: the socket %s would have %d characters and the system allows %d; name a shorter directory, or none", dir, path, len(path), socketLimit)
	}
	if _, err := os.Stat(l.masterRoot()); err == nil {
		return l, fmt.Errorf("saltlab: Config.Dir %q holds a lab already: name an empty directory", dir)
	}
	return l, nil
}

// temporaryLayout takes the system's temporary directory unless sockets below it would be too long, and /tmp then.
func temporaryLayout(ids []string) (layout, error) {
	var l layout
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "gsl-")
		if err != nil {
			return l, fmt.Errorf("saltlab: %w", err)
		}
		if l.dir, err = filepath.EvalSymlinks(dir); err != nil {
			return l, fmt.Errorf("saltlab: %w", err)
		}
		if _, long := l.tooLong(ids); !long {
			return l, nil
		}
		if err := os.RemoveAll(dir); err != nil {
			return l, fmt.Errorf("saltlab: %w", err)
		}
	}
	path, _ := l.tooLong(ids)
	return l, fmt.Errorf("saltlab: Config.MinionIDs: an id is too long: the socket %s would have %d characters and the system allows %d", path, len(path), socketLimit)
}

// access is how the lab's Salt is reached.
type access struct {
	publishPort, requestPort, apiPort int
	password                          string // of apiUser; also the master's sharedsecret
}

// apiUser is the user that salt-api knows, allowed everything.
const apiUser = "gaea"

// writeConfigs writes the configuration of the master and of each minion.
func (l layout) writeConfigs(cfg Config, states, pillar string, a access) error {
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("saltlab: cannot tell who runs this: %w", err)
	}
	acl := map[string]any{}
	for _, name := range cfg.PublisherACL {
		acl[name] = []string{".*"}
	}
	master := map[string]any{
		"root_dir":              l.masterRoot(),
		"user":                  me.Username,
		"interface":             "127.0.0.1",
		"publish_port":          a.publishPort,
		"ret_port":              a.requestPort,
		"worker_threads":        masterWorkers,
		"auto_accept":           true,
		"file_roots":            map[string]any{"base": []string{states}},
		"pillar_roots":          map[string]any{"base": []string{pillar}},
		"publisher_acl":         acl,
		"sharedsecret":          a.password,
		"external_auth":         map[string]any{"sharedsecret": map[string]any{apiUser: []string{".*", "@runner", "@wheel", "@jobs"}}},
		"netapi_enable_clients": []string{"local", "local_async", "local_batch", "runner", "runner_async", "wheel", "wheel_async"},
		"rest_cherrypy":         map[string]any{"host": "127.0.0.1", "port": a.apiPort, "disable_ssl": true},
		// A test may add a file and use it in the next moment; the list of files is otherwise up to 20 s old.
		"fileserver_list_cache_time": 0,
		// What Salt says goes to its standard error, and from there to DIR/logs.
		"log_level":         "info",
		"log_level_logfile": "quiet",
	}
	maps.Copy(master, cfg.MasterConfig)
	mode := os.FileMode(0o600)
	if len(cfg.PublisherACL) > 0 {
		mode = 0o644
	}
	if err := writeYAML(filepath.Join(l.masterConfig(), "master"), master, mode); err != nil {
		return err
	}
	for _, id := range cfg.MinionIDs {
		minion := map[string]any{
			"root_dir":          l.minionHome(id),
			"id":                id,
			"user":              me.Username,
			"master":            "127.0.0.1",
			"publish_port":      a.publishPort,
			"master_port":       a.requestPort,
			"grains":            cfg.grains(id, l.minionFiles(id)),
			"log_level":         "info",
			"log_level_logfile": "quiet",
			// What only costs time here: grains that look at hardware and names, and the mine.
			"enable_fqdns_grains":    false,
			"enable_gpu_grains":      false,
			"metadata_server_grains": false,
			"mine_enabled":           false,
			// A master that was restarted is found again at once.
			"acceptance_wait_time": 1,
			"random_reauth_delay":  1,
			"recon_default":        100,
			"recon_max":            500,
			"recon_randomize":      false,
		}
		maps.Copy(minion, cfg.MinionConfig)
		if err := writeYAML(filepath.Join(l.minionConfig(id), "minion"), minion, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// masterWorkers is how many processes of the master answer requests; each costs start-up time and 15 MB.
const masterWorkers = 2

func writeYAML(path string, value any, mode os.FileMode) error {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("saltlab: cannot write %s: %w", path, err)
	}
	// The mode is set apart because the user's umask may take some of it away.
	if err := errors.Join(os.WriteFile(path, text.Bytes(), mode), os.Chmod(path, mode)); err != nil {
		return fmt.Errorf("saltlab: %w", err)
	}
	return nil
}
