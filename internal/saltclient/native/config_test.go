package native_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// files writes configuration files and returns their directory.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func config(t *testing.T, content map[string]string) native.MasterConfig {
	t.Helper()
	c, err := native.ReadMasterConfig(files(t, content))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnEmptyConfigurationHasSaltsDefaults(t *testing.T) {
	c := config(t, map[string]string{"master": "# nothing\n"})
	want := native.MasterConfig{
		Dir: c.Dir, Files: c.Files, ID: c.ID,
		User: "root", Interface: "0.0.0.0", RetPort: 4506, PublishPort: 4505, SockDir: "/var/run/salt/master", CacheDir: "/var/cache/salt/master",
		IPCMode: "ipc", EventPort: 4512, Transport: "zeromq", HashType: "sha256", JobCache: true, MasterJobCache: "local_cache",
		KeepJobs: 24 * time.Hour, MaxEventSize: 1048576, Nodegroups: map[string][]string{}, RangeServer: "range:80",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if !strings.HasSuffix(c.ID, "_master") {
		t.Errorf("the master is called %q", c.ID)
	}
	if network, addr := c.EventSocket(); network != "unix" || addr != "/var/run/salt/master/master_event_pub.ipc" || c.RequestAddr() != "127.0.0.1:4506" || c.KeyFile("jobd") != "/var/cache/salt/master/.jobd_key" {
		t.Errorf("got %s %s, %s, %s", network, addr, c.RequestAddr(), c.KeyFile("jobd"))
	}
}

func TestWithARootDirEveryPathIsBelowIt(t *testing.T) {
	for name, row := range map[string]struct{ text, sock, cache string }{
		"the defaults":             {"root_dir: /x", "/x/var/run/salt/master", "/x/var/cache/salt/master"},
		"an absolute path":         {"root_dir: /x\nsock_dir: /s", "/x/s", "/x/var/cache/salt/master"},
		"a path that is below it":  {"root_dir: /x\nsock_dir: /x/s\ncachedir: /x/c", "/x/s", "/x/c"},
		"a path that begins alike": {"root_dir: /x\nsock_dir: /xy/s\ncachedir: /xy", "/x/xy/s", "/x/xy"},
		"a relative path":          {"root_dir: /x\nsock_dir: s\ncachedir: c", "/x/s", "/x/c"},
		"no root_dir":              {"sock_dir: /s\ncachedir: /c/", "/s", "/c"},
		"a slash":                  {"root_dir: /\nsock_dir: /s", "/s", "/var/cache/salt/master"},
		"a socket's long path":     {"root_dir: /x\ncachedir: /c\nsock_dir: /a/longer/path/than/that", "/x/c/.salt-unix", "/x/c"},
	} {
		t.Run(name, func(t *testing.T) {
			if c := config(t, map[string]string{"master": row.text}); c.SockDir != row.sock || c.CacheDir != row.cache {
				t.Errorf("got %s and %s", c.SockDir, c.CacheDir)
			}
		})
	}
}

func TestIncludedFilesAreLaidOverTheMastersInSaltsOrder(t *testing.T) {
	c := config(t, map[string]string{
		"master":               "ret_port: 1\npublish_port: 1\nuser: main\ninterface: 10.0.0.1\npublisher_acl: {main: ['.*']}\ninclude: [more/*.conf, absent/*.conf]",
		"master.d/b.conf":      "publish_port: 3\nret_port: 3\npublisher_acl: {ops: ['.*']}\nnodegroups: {a: [x]}",
		"master.d/a.conf":      "publish_port: 2\nret_port: 2\npublisher_acl: {jobd: ['.*']}\nnodegroups: {a: [y], b: 'z'}",
		"master.d/.c.conf":     "publish_port: 99",
		"master.d/c.conf~":     "publish_port: 99",
		"master.d/d.conf":      "",
		"more/last.conf":       "ret_port: 4\ninclude: deeper/one.conf",
		"more/deeper/one.conf": "user: deep",
	})
	if c.PublishPort != 3 || c.RetPort != 4 || c.User != "deep" || c.Interface != "10.0.0.1" {
		t.Errorf("got %+v", c)
	}
	if !slices.Equal(c.PublisherACL, []string{"jobd", "ops"}) {
		t.Errorf("publisher_acl names %q", c.PublisherACL)
	}
	if !reflect.DeepEqual(c.Nodegroups, map[string][]string{"a": {"y", "x"}, "b": {"z"}}) {
		t.Errorf("nodegroups are %v", c.Nodegroups)
	}
	var names []string
	for _, path := range c.Files {
		names = append(names, strings.TrimPrefix(path, c.Dir+"/"))
	}
	if want := []string{"master", "master.d/a.conf", "master.d/b.conf", "master.d/d.conf", "more/last.conf", "more/deeper/one.conf"}; !slices.Equal(names, want) {
		t.Errorf("read %q", names)
	}
}

func TestWhatIsIncludedByDefaultCanBeChanged(t *testing.T) {
	c := config(t, map[string]string{"master": "default_include: conf.d/*", "conf.d/x": "ret_port: 7", "master.d/a.conf": "ret_port: 8"})
	if c.RetPort != 7 {
		t.Errorf("ret_port is %d", c.RetPort)
	}
	c = config(t, map[string]string{"master": "default_include: ''", "master.d/a.conf": "ret_port: 8"})
	if c.RetPort != 4506 {
		t.Errorf("ret_port is %d", c.RetPort)
	}
}

func TestAMasterWithoutAMainFileIsReadToo(t *testing.T) {
	if c := config(t, map[string]string{"master.d/a.conf": "ret_port: 8"}); c.RetPort != 8 {
		t.Errorf("ret_port is %d", c.RetPort)
	}
}

func TestValuesAreReadInEveryWayThatYAMLWritesThem(t *testing.T) {
	c := config(t, map[string]string{"master": `
base: &base {interface: "::", utc_jid: yes}
<<: *base
ret_port: "4999"
ret_port: "5000"
publish_port: 5001.0
job_cache: off
hash_type: MD5
keep_jobs_seconds: 60
user: 1000
id: 42
nodegroups:
  - a: 'L@x,y or z*'
  - b: [1, N@a]
publisher_acl:
ext_job_cache:
custom: !tagged value
when: 2026-01-01
`})
	if c.RetPort != 5000 || c.PublishPort != 5001 || c.JobCache || c.HashType != "md5" || c.KeepJobs != time.Minute || c.User != "1000" || c.ID != "42" || !c.UTCJID {
		t.Errorf("got %+v", c)
	}
	if c.RequestAddr() != "[::1]:5000" {
		t.Errorf("the request port is %s", c.RequestAddr())
	}
	if !reflect.DeepEqual(c.Nodegroups, map[string][]string{"a": {"L@x,y", "or", "z*"}, "b": {"1", "N@a"}}) {
		t.Errorf("nodegroups are %v", c.Nodegroups)
	}
}

func TestTheMasterIsNamedAsSaltNamesIt(t *testing.T) {
	if c := config(t, map[string]string{"master": "id: m1\nappend_domain: example.com"}); c.ID != "m1.example.com" {
		t.Errorf("got %s", c.ID)
	}
	root := t.TempDir()
	cached := filepath.Join(root, "etc/salt/minion_id")
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cached, []byte("web.example.com\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c := config(t, map[string]string{"master": "root_dir: " + root}); c.ID != "web.example.com_master" {
		t.Errorf("got %s", c.ID)
	}
	if c := config(t, map[string]string{"master": "minion_id_caching: False\nroot_dir: " + root}); strings.HasPrefix(c.ID, "web.example.com") {
		t.Errorf("got %s", c.ID)
	}
}

func TestAConfigurationThatIsWrongIsNamedWithItsFile(t *testing.T) {
	for name, row := range map[string]struct {
		content map[string]string
		code    gaea.Code
		words   []string
	}{
		"nothing there":   {nil, gaea.CodeNotFound, []string{"/master", "master.d/*.conf", "--salt-config-dir"}},
		"no YAML":         {map[string]string{"master": "a: [b"}, gaea.CodeInvalid, []string{"/master", "no YAML"}},
		"no YAML deeper":  {map[string]string{"master": "", "master.d/x.conf": "\tx"}, gaea.CodeInvalid, []string{"/master.d/x.conf"}},
		"a list":          {map[string]string{"master": "- a"}, gaea.CodeInvalid, []string{"/master", "keys and values"}},
		"a port of words": {map[string]string{"master": "ret_port: four"}, gaea.CodeInvalid, []string{"ret_port", "four", "4506"}},
		"a path of lists": {map[string]string{"master": "sock_dir: [a]"}, gaea.CodeInvalid, []string{"sock_dir"}},
		"no truth":        {map[string]string{"master": "job_cache: maybe"}, gaea.CodeInvalid, []string{"job_cache", "maybe"}},
		"a circle":        {map[string]string{"master": "include: x", "x": "include: x"}, gaea.CodeInvalid, []string{"circle"}},
		"a broken glob":   {map[string]string{"master": "include: '[x'"}, gaea.CodeInvalid, []string{"[x"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := native.ReadMasterConfig(files(t, row.content))
			if gaea.CodeOf(err) != row.code {
				t.Fatalf("got %v, want code %s", err, row.code)
			}
			for _, words := range row.words {
				if !strings.Contains(gaea.MessageOf(err), words) {
					t.Errorf("%q is not in %q", words, gaea.MessageOf(err))
				}
			}
		})
	}
}

func TestAConfigurationThatMayNotBeReadSaysHowToGrantIt(t *testing.T) {
	f := newFake(t, "")
	f.write("etc/salt/master.d/secret.conf", "user: other")
	f.open("")
	for _, step := range []struct{ opened, denied string }{
		{"", "etc/salt/master"}, {"etc/salt/master", "etc/salt/master.d/secret.conf"}, {"", "etc/salt/master.d"},
	} {
		path := step.denied
		f.open(step.opened)
		if path == "etc/salt/master.d" {
			f.mode(path, 0o700)
		}
		asNobody(t, func() {
			_, err := native.ReadMasterConfig(f.dir())
			if gaea.CodeOf(err) != gaea.CodeForbidden || !strings.Contains(gaea.MessageOf(err), filepath.Join(f.root, path)+" ") || !strings.Contains(gaea.MessageOf(err), "setfacl") {
				t.Errorf("%s: got %v", path, err)
			}
		})
	}
}

func TestAnotherTransportIsRefused(t *testing.T) {
	_, err := native.New(native.Options{ConfigDir: files(t, map[string]string{"master": "transport: ws"})})
	if gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), "zeromq") {
		t.Errorf("got %v", err)
	}
}

func TestTheKeyIsThatOfTheMastersUserOrElseOnesOwn(t *testing.T) {
	f := newFake(t, "user: salt")
	f.answers(published)
	publishedBy := func(c *native.Client) any {
		t.Helper()
		if _, err := c.Publish(t.Context(), ping); err != nil {
			t.Fatal(err)
		}
		loads := f.asked()
		return loads[len(loads)-1]["user"]
	}
	if by := publishedBy(f.client(native.Options{})); by != "root" {
		t.Errorf("with root's key alone: published by %v", by)
	}
	f.write("var/cache/salt/master/.salt_key", "k2")
	f.write("var/cache/salt/master/.jobd_key", "k3")
	if by := publishedBy(f.client(native.Options{})); by != "salt" {
		t.Errorf("with the key of the master's user: published by %v", by)
	}
	if by := publishedBy(f.client(native.Options{User: "jobd"})); by != "jobd" {
		t.Errorf("with a user named: published by %v", by)
	}
}

func TestAKeyThatIsMissingSaysWhatToDo(t *testing.T) {
	for name, row := range map[string]struct {
		config, user string
		prepare      func(f *fake)
		code         gaea.Code
		words        []string
	}{
		"a user of nobody's list":   {"", "jobd", func(*fake) {}, gaea.CodeForbidden, []string{".jobd_key", "publisher_acl: {jobd: ['.*']}", "master.d/gaea.conf", "restart"}},
		"a user of the list":        {"publisher_acl: {'job*': ['.*']}", "jobd", func(*fake) {}, gaea.CodeNotFound, []string{".jobd_key", "restart the master"}},
		"an expression in the list": {"publisher_acl: {'job[a-d]+|x': ['.*']}", "jobd", func(*fake) {}, gaea.CodeNotFound, []string{".jobd_key"}},
		"an empty key":              {"", "jobd", func(f *fake) { f.write("var/cache/salt/master/.jobd_key", " \n") }, gaea.CodeUnavailable, []string{".jobd_key"}},
		"no cachedir":               {"cachedir: /elsewhere", "jobd", func(*fake) {}, gaea.CodeNotFound, []string{"/elsewhere", "start the master once"}},
		"a user that is a path":     {"", "../x", func(*fake) {}, gaea.CodeInvalid, []string{"../x"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, row.config)
			row.prepare(f)
			_, err := native.New(native.Options{ConfigDir: f.dir(), User: row.user})
			if gaea.CodeOf(err) != row.code {
				t.Fatalf("got %v, want code %s", err, row.code)
			}
			for _, words := range row.words {
				if !strings.Contains(gaea.MessageOf(err), words) {
					t.Errorf("%q is not in %q", words, gaea.MessageOf(err))
				}
			}
		})
	}
}

func TestAKeyThatMayNotBeReadSaysWhoMay(t *testing.T) {
	f := newFake(t, "")
	f.open("")
	f.open("etc/salt/master")
	f.open("var/cache/salt/master")
	asNobody(t, func() {
		_, err := native.New(native.Options{ConfigDir: f.dir(), User: "root"})
		if gaea.CodeOf(err) != gaea.CodeForbidden || !strings.Contains(gaea.MessageOf(err), ".root_key") || !strings.Contains(gaea.MessageOf(err), "publisher_acl") || strings.Contains(err.Error(), "secret-key") {
			t.Errorf("got %v", err)
		}
	})
}

func TestACachedirThatMayNotBePassedThroughSaysHowToOpenIt(t *testing.T) {
	f := newFake(t, "")
	f.open("")
	f.open("etc/salt/master")
	f.mode("var/cache/salt/master", 0o700)
	asNobody(t, func() {
		_, err := native.New(native.Options{ConfigDir: f.dir()})
		if gaea.CodeOf(err) != gaea.CodeForbidden || !strings.Contains(gaea.MessageOf(err), "pass through "+filepath.Join(f.root, "var/cache/salt/master")+" ") {
			t.Errorf("got %v", err)
		}
	})
}
