package native

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// DefaultConfigDir is where a master's configuration lies when nothing else is said.
const DefaultConfigDir = "/etc/salt"

// MasterConfig is what Gaea needs of a Salt master's configuration, with Salt's defaults where that says nothing. Paths are
// as the master uses them, below its root_dir.
type MasterConfig struct {
	Dir   string   // the directory that was read
	Files []string // the files that were read, in the order in which later ones win

	ID             string              // id: the configured one, else the cached minion_id or the host's name, and "_master"
	User           string              // user: whom the master runs as; root where nothing is set
	Interface      string              // interface: the address that the master listens on
	RetPort        int                 // ret_port: the request port
	PublishPort    int                 // publish_port
	SockDir        string              // sock_dir: where the event sockets lie
	CacheDir       string              // cachedir: where the keys of local users and the job cache lie
	IPCMode        string              // ipc_mode: ipc, or tcp for an event bus on a port
	EventPort      int                 // tcp_master_pub_port: that port
	Transport      string              // transport: zeromq is the one that Gaea speaks
	HashType       string              // hash_type, in lower case: how job ids become directories of the job cache
	JobCache       bool                // job_cache: false where the master keeps no returns
	MasterJobCache string              // master_job_cache: local_cache is the one on disk
	ExtJobCache    string              // ext_job_cache: where returns are kept instead
	KeepJobs       time.Duration       // keep_jobs_seconds: how long the job cache keeps a job; 0 for ever
	UTCJID         bool                // utc_jid: job ids are in UTC and not in local time
	MaxEventSize   int                 // max_event_size: bytes, above which values of an event are trimmed
	PublisherACL   []string            // the users that publisher_acl names, sorted
	Nodegroups     map[string][]string // nodegroups, each as the words of a compound target
	RangeServer    string              // range_server: HOST or HOST:PORT
}

// ReadMasterConfig reads the configuration of the master below dir as Salt does (salt.config.master_config): the file master,
// then what default_include names (master.d/*.conf), then what include names; among included files maps are merged and lists
// joined, and what they say replaces what master says.
//
// Errors: CodeNotFound where there is neither a file master nor an included one, CodeForbidden where a file may not be read,
// CodeInvalid where one is no YAML or holds a wrong value; each names the path and says what to do.
func ReadMasterConfig(dir string) (MasterConfig, error) {
	main := filepath.Join(dir, "master")
	var files []string
	opts, err := readOptions(main)
	switch {
	case err == nil:
		files = append(files, main)
	case errors.Is(err, fs.ErrNotExist):
		opts = options{}
	default:
		return MasterConfig{}, err
	}
	patterns := opts.list("default_include")
	if _, set := opts["default_include"]; !set {
		patterns = []string{"master.d/*.conf"}
	}
	explicit := opts.list("include")
	for _, p := range [][]string{patterns, explicit} {
		included, read, err := readIncludes(p, main, 0)
		if err != nil {
			return MasterConfig{}, err
		}
		files = append(files, read...)
		maps.Copy(opts, included)
	}
	if len(files) == 0 {
		return MasterConfig{}, gaea.Errorf(gaea.CodeNotFound, "no configuration of a Salt master: neither %s nor a file that matches %s exists; name the directory with --salt-config-dir", main, filepath.Join(dir, "master.d", "*.conf"))
	}
	c, err := opts.masterConfig(dir)
	if err != nil {
		return MasterConfig{}, err
	}
	c.Files = files
	return c, nil
}

// RequestAddr is where the request port is reached from this machine, as HOST:PORT.
func (c MasterConfig) RequestAddr() string {
	return net.JoinHostPort(localHost(c.Interface), strconv.Itoa(c.RetPort))
}

// EventSocket is where the event bus is read: a network and an address for [net.Dial].
func (c MasterConfig) EventSocket() (network, addr string) {
	if c.IPCMode == "tcp" {
		return "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.EventPort))
	}
	return "unix", filepath.Join(c.SockDir, "master_event_pub.ipc")
}

// KeyFile is where the master puts the key with which a local user publishes.
func (c MasterConfig) KeyFile(user string) string {
	return filepath.Join(c.CacheDir, "."+user+"_key")
}

// localHost is the address at which a program on this machine reaches what listens on an interface.
func localHost(iface string) string {
	switch iface {
	case "", "*", "0.0.0.0":
		return "127.0.0.1"
	case "::", "[::]":
		return "::1"
	default:
		return strings.Trim(iface, "[]")
	}
}

// masterConfig applies Salt's defaults (salt.config.DEFAULT_MASTER_OPTS) and its rules about paths.
func (o options) masterConfig(dir string) (MasterConfig, error) {
	r := optionReader{options: o}
	c := MasterConfig{
		Dir:            dir,
		User:           r.text("user", "root"),
		Interface:      r.text("interface", "0.0.0.0"),
		RetPort:        r.number("ret_port", 4506),
		PublishPort:    r.number("publish_port", 4505),
		SockDir:        r.text("sock_dir", "/var/run/salt/master"),
		CacheDir:       r.text("cachedir", "/var/cache/salt/master"),
		IPCMode:        r.text("ipc_mode", "ipc"),
		EventPort:      r.number("tcp_master_pub_port", 4512),
		Transport:      r.text("transport", "zeromq"),
		HashType:       strings.ToLower(r.text("hash_type", "sha256")),
		JobCache:       r.truth("job_cache", true),
		MasterJobCache: r.text("master_job_cache", "local_cache"),
		ExtJobCache:    r.text("ext_job_cache", ""),
		KeepJobs:       time.Duration(r.number("keep_jobs_seconds", 24*60*60)) * time.Second,
		UTCJID:         r.truth("utc_jid", false),
		MaxEventSize:   r.number("max_event_size", 1<<20),
		PublisherACL:   r.keys("publisher_acl"),
		Nodegroups:     nodegroups(o["nodegroups"]),
		RangeServer:    r.text("range_server", "range:80"),
	}
	if _, set := o["keep_jobs_seconds"]; !set {
		if hours := r.number("keep_jobs", 24); hours != 24 {
			c.KeepJobs = time.Duration(hours) * time.Hour
		}
	}
	root, err := filepath.Abs(r.text("root_dir", "/"))
	if err != nil {
		return MasterConfig{}, gaea.Wrap(err, gaea.CodeInvalid, "root_dir in %s is no path", dir)
	}
	// Salt looks at the lengths before it puts root_dir in front: a socket's path may not be long.
	if len(c.SockDir) > len(c.CacheDir)+10 {
		c.SockDir = filepath.Join(c.CacheDir, ".salt-unix")
	}
	c.SockDir, c.CacheDir = belowRoot(root, c.SockDir), belowRoot(root, c.CacheDir)
	c.ID = r.masterID(root)
	if r.err != nil {
		return MasterConfig{}, r.err
	}
	return c, nil
}

// belowRoot is salt.config.prepend_root_dir: with a root_dir every path is taken below it, also an absolute one, unless it is
// there already.
func belowRoot(root, path string) string {
	if path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
		return filepath.Clean(path)
	}
	return filepath.Join(root, path)
}

// masterID is the master's own name (salt.config.get_id): the configured id, or the minion_id that a minion on the same
// machine cached, or the host's name, the last two with "_master" behind.
func (r *optionReader) masterID(root string) string {
	id, suffix := r.text("id", ""), ""
	if id == "" {
		suffix = "_master"
		if cached, err := os.ReadFile(filepath.Join(root, "etc/salt/minion_id")); err == nil && r.truth("minion_id_caching", true) {
			id, _, _ = strings.Cut(strings.TrimPrefix(string(cached), "\uFEFF"), "\n")
			id = strings.TrimSpace(id)
		}
	}
	if id == "" || id == "localhost" && suffix != "" {
		id, _ = os.Hostname()
	}
	if id == "" {
		id = "localhost"
	}
	if domain := r.text("append_domain", ""); domain != "" && !strings.HasSuffix(id, domain) && !strings.HasSuffix(id, ".") && net.ParseIP(id) == nil {
		id += "." + domain
	}
	return id + suffix
}

// nodegroups reads the master's nodegroups: a map, or a list of maps with one entry each; a group is a text or a list.
func nodegroups(value any) map[string][]string {
	groups := map[string][]string{}
	add := func(m map[string]any) {
		for name, def := range m {
			switch def := def.(type) {
			case string:
				groups[name] = strings.Fields(def)
			case []any:
				for _, word := range def {
					groups[name] = append(groups[name], fmt.Sprint(word))
				}
			}
		}
	}
	switch value := value.(type) {
	case map[string]any:
		add(value)
	case []any:
		for _, item := range value {
			if m, ok := item.(map[string]any); ok {
				add(m)
			}
		}
	}
	return groups
}

// HasACL says whether publisher_acl names a user, by name or by one of Salt's patterns.
func (c MasterConfig) HasACL(user string) bool {
	return slices.ContainsFunc(c.PublisherACL, func(pattern string) bool { return matchUser(pattern, user) })
}
