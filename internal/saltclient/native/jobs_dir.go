package native

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// JobsDir is a master's job cache as a directory, the master's own or a copy of it: it needs neither the master nor its
// configuration. What hash_type the directories were named with does not matter.
type JobsDir struct {
	disk diskCache
}

// OpenJobsDir finds a job cache: dir is a master's cachedir, or the directory jobs in it. Job ids that tell a time tell it in
// zone; nil is the zone of this machine. CodeNotFound, CodeForbidden, and CodeInvalid where it holds something else.
func OpenJobsDir(dir string, zone *time.Location) (*JobsDir, error) {
	root := dir
	if info, err := os.Stat(filepath.Join(dir, "jobs")); err == nil && info.IsDir() {
		root = filepath.Join(dir, "jobs")
	}
	entries, err := os.ReadDir(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, gaea.Wrap(err, gaea.CodeNotFound, "there is no directory %s; name a Salt master's cachedir, such as /var/cache/salt/master, or a copy of it", root)
	case errors.Is(err, fs.ErrPermission):
		return nil, gaea.Wrap(err, gaea.CodeForbidden, "user %s may not read %s; run this as a user who may, or make a copy for user %s", currentUser(), root, currentUser())
	case err != nil:
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the directory %s cannot be read", root)
	}
	known := len(entries) == 0
	for _, e := range entries {
		known = known || isTop(e)
	}
	if !known {
		return nil, gaea.Errorf(gaea.CodeInvalid, "%s is no job cache of a Salt master: that has directories named 00 to ff; name a master's cachedir, or the directory jobs in it", root)
	}
	return &JobsDir{diskCache{root: root, zone: cmp.Or(zone, time.Local), limits: saltclient.Limits{}, max: DefaultMaxFrame, most: saltclient.DefaultMaxReturn}}, nil
}

// isTop says whether a directory is one of those that hold jobs: the first two hex digits of their names are apart.
func isTop(e fs.DirEntry) bool {
	name := e.Name()
	return e.IsDir() && len(name) == 2 && strings.Trim(name, "0123456789abcdef") == ""
}

// Path is the directory jobs.
func (d *JobsDir) Path() string { return d.disk.root }

// Count is how many directories of jobs there are.
func (d *JobsDir) Count(ctx context.Context) (int, error) {
	n := 0
	err := d.each(ctx, func(string) error { n++; return nil }, func(string, error) error { return nil })
	return n, err
}

// Each calls f for each job with what its directory holds of it, in parts where that is much: the job with some of its returns, one
// part after the other. It calls unread for each file or directory that cannot be read,
// which keeps nothing else from being read; each ends it with an error. Jobs that only look into the job cache, job ids that
// were never used, and directories that are being cleaned away are passed over.
func (d *JobsDir) Each(ctx context.Context, f func(*gaea.CachedJob) error, unread func(path string, err error) error) error {
	return d.each(ctx, func(dir string) error {
		jid, err := d.disk.jidSince(dir, time.Time{})
		if err != nil {
			return unread(dir, err)
		}
		if jid == "" {
			return d.headless(dir, unread)
		}
		var failed error // of f
		err = d.disk.jobIn(dir, jid, func(part *gaea.CachedJob) error {
			failed = f(part)
			return failed
		}, unread)
		if err != nil && failed == nil {
			return unread(dir, err)
		}
		return failed
	}, unread)
}

// errHeadless is a job directory that says nothing of its job.
var errHeadless = errors.New("there are returns and no file .load.p that says what was run")

// headless tells of returns that no job has.
func (d *JobsDir) headless(dir string, unread func(path string, err error) error) error {
	if _, err := os.Lstat(filepath.Join(dir, ".load.p")); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if found, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*", "return.p")); len(found) > 0 { // the pattern is right
		return unread(dir, errHeadless)
	}
	return nil
}

// escapeGlob is a path as a pattern that matches it alone.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// each calls f for each directory of a job, in the order of their names.
func (d *JobsDir) each(ctx context.Context, f func(dir string) error, unread func(path string, err error) error) error {
	tops, err := os.ReadDir(d.disk.root)
	if err != nil {
		return cacheError(err, d.disk.root)
	}
	for _, top := range tops {
		if !isTop(top) {
			continue
		}
		path := filepath.Join(d.disk.root, top.Name())
		dirs, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			if err := unread(path, cacheError(err, path)); err != nil {
				return err
			}
		}
		for _, entry := range dirs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !entry.IsDir() {
				continue
			}
			if err := f(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
