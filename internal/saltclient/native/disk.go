package native

import (
	"crypto/md5"  //nolint:gosec // hash_type of the master names directories with it, nothing is kept secret
	"crypto/sha1" //nolint:gosec // the same
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// diskCache is a master's job cache on disk (salt.returners.local_cache). Below root each job has a directory that is named by
// the digest of its id, the first two hex digits apart, with the files jid, .load.p and .minions.p, and a directory for each
// minion with return.p. Errors satisfy errors.Is with fs.ErrPermission where a part of it may not be read.
type diskCache struct {
	root    string
	newHash func() hash.Hash
	zone    *time.Location
	config  MasterConfig
	limits  saltclient.Limits
	max     int64 // bytes of a file
	most    int   // bytes of a return that is kept whole
}

// newDiskCache says false where the master keeps its jobs elsewhere.
func newDiskCache(config MasterConfig, opts Options) (*diskCache, bool) {
	hashes := map[string]func() hash.Hash{
		"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	}
	newHash, ok := hashes[config.HashType]
	if !ok || config.MasterJobCache != "local_cache" || config.ExtJobCache != "" {
		return nil, false
	}
	return &diskCache{
		root: filepath.Join(config.CacheDir, "jobs"), newHash: newHash, zone: config.jidZone(), config: config,
		limits: opts.Limits, max: int64(opts.MaxFrame), most: opts.MaxReturn,
	}, true
}

// dir is the directory of a job.
func (d *diskCache) dir(jid string) string {
	h := d.newHash()
	_, _ = io.WriteString(h, jid)
	digest := hex.EncodeToString(h.Sum(nil))
	return filepath.Join(d.root, digest[:2], digest[2:])
}

// job reads a job with its returns, part by part. A return that cannot be decoded is logged and left out.
func (d *diskCache) job(jid string, logger *slog.Logger, part func(*gaea.CachedJob) error) error {
	return d.jobIn(d.dir(jid), jid, part, func(path string, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return err
		}
		logger.Warn("a return in the job cache cannot be read", "path", path, "error", err)
		return nil
	})
}

// jobIn reads the job that lies in a directory, and hands it on in parts: the job with some of its returns, at least one part. unread
// is told of each return that cannot be read; each of both ends it with an error.
func (d *diskCache) jobIn(dir, jid string, part func(*gaea.CachedJob) error, unread func(path string, err error) error) error {
	job, err := d.head(dir, jid)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return cacheError(err, dir)
	}
	cached, bytes, told := &gaea.CachedJob{Job: *job}, 0, false
	for _, entry := range entries { // by name
		if strings.HasPrefix(entry.Name(), ".") || !entry.IsDir() {
			continue
		}
		path := filepath.Join(dir, entry.Name(), "return.p")
		data, cut, modified, err := d.entry(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			if err := unread(path, err); err != nil {
				return err
			}
			continue
		}
		r := saltclient.ParseCachedReturn(job, entry.Name(), data)
		r.Stamp = modified.UTC()
		if cut != nil {
			r.Truncated = cut
			saltclient.ReturnOutcome(&r)
		}
		cached.Returns, bytes = append(cached.Returns, r), bytes+len(data)
		if bytes < partBytes {
			continue
		}
		if err := part(cached); err != nil {
			return err
		}
		cached, bytes, told = &gaea.CachedJob{Job: *job}, 0, true
	}
	if told && len(cached.Returns) == 0 {
		return nil
	}
	return part(cached)
}

// partBytes is how much JSON of returns is read of one job before it is handed on.
const partBytes = 8 << 20

// head reads what a directory says of its job, without the returns.
func (d *diskCache) head(dir, jid string) (*gaea.Job, error) {
	load, modified, err := d.file(filepath.Join(dir, ".load.p"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notCached(jid, d.config)
	}
	if err != nil {
		return nil, err
	}
	job := saltclient.ParseLoad(load)
	if job == nil {
		return nil, gaea.Errorf(gaea.CodeSalt, "%s of the Salt master's job cache holds no job", filepath.Join(dir, ".load.p"))
	}
	job.JID, job.Source = jid, gaea.SourceCache
	if job.Started = gaea.JIDTime(jid, d.zone).UTC(); job.Started.IsZero() {
		job.Started = modified.UTC()
	}
	if !saltclient.IsMasterFunction(job.Function) {
		if job.Minions, err = d.minions(dir); err != nil {
			return nil, err
		}
	}
	if job.Batch, err = d.batch(dir, jid); err != nil {
		return nil, err
	}
	return job, nil
}

// minions reads whom the master expected: .minions.p, and the like from syndics.
func (d *diskCache) minions(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, ".minions.*p"))
	if err != nil {
		return nil, cacheError(err, dir)
	}
	var all []string
	for _, path := range paths {
		data, _, err := d.file(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var ids []string
		if err := json.Unmarshal(data, &ids); err != nil && string(data) != "null" {
			return nil, gaea.Wrap(err, gaea.CodeSalt, "%s of the Salt master's job cache is no list of minions", path)
		}
		all = append(all, ids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// batch reads how a batch of Salt's own stands; nil where the job is none.
func (d *diskCache) batch(dir, jid string) (*gaea.JobBatch, error) {
	state, _, err := d.file(filepath.Join(dir, ".batch.p"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return saltclient.ParseBatchState(jid, state), nil
}

// jids lists the jobs that minions were told, and runners, from a time on, by their ids or by when the master last wrote their file jid,
// which it does anew with each return.
func (d *diskCache) jids(since time.Time, logger *slog.Logger) ([]string, error) {
	tops, err := os.ReadDir(d.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no job yet
	}
	if err != nil {
		return nil, cacheError(err, d.root)
	}
	var jids []string
	for _, top := range tops {
		dirs, err := os.ReadDir(filepath.Join(d.root, top.Name()))
		if errors.Is(err, fs.ErrNotExist) || !top.IsDir() {
			continue
		}
		if err != nil {
			return nil, cacheError(err, d.root)
		}
		for _, entry := range dirs {
			dir := filepath.Join(d.root, top.Name(), entry.Name())
			jid, err := d.jidSince(dir, since)
			switch {
			case errors.Is(err, fs.ErrPermission):
				return nil, err
			case err != nil:
				logger.Warn("a job in the job cache cannot be read", "path", dir, "error", err)
			case jid != "":
				jids = append(jids, jid)
			}
		}
	}
	slices.Sort(jids)
	return jids, nil
}

// jidSince reads which job lies in a directory; empty where it is too old, repeats the job cache, or is being cleaned away.
func (d *diskCache) jidSince(dir string, since time.Time) (string, error) {
	path := filepath.Join(dir, "jid")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", cacheError(err, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", cacheError(err, path)
	}
	jid := strings.TrimSpace(string(content))
	if info.ModTime().Before(since) && !gaea.StartedSince(jid, since, d.zone) {
		return "", nil
	}
	load, _, err := d.file(filepath.Join(dir, ".load.p"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // an id that was taken and not used, or a job without a cache
	}
	if err != nil {
		return "", err
	}
	if job := saltclient.ParseLoad(load); job == nil || saltclient.IsRedundantFunction(job.Function) {
		return "", nil
	}
	return jid, nil
}

// file reads a msgpack file as JSON, and when it was written.
func (d *diskCache) file(path string) (json.RawMessage, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, cacheError(err, path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, cacheError(err, path)
	}
	if info.Size() > d.max {
		return nil, time.Time{}, gaea.Errorf(gaea.CodeTooLarge, "%s is %d bytes long, the bound is %d", path, info.Size(), d.max)
	}
	packed, err := io.ReadAll(io.LimitReader(f, d.max))
	if err != nil {
		return nil, time.Time{}, cacheError(err, path)
	}
	data, _, err := saltclient.AppendJSON(make([]byte, 0, len(packed)+len(packed)/2), packed, d.limits)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	return data, info.ModTime(), nil
}

// entry reads what a minion returned as JSON, or where that is too large or too deep its beginning, and when it was written.
func (d *diskCache) entry(path string) (json.RawMessage, *gaea.Truncation, time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, time.Time{}, cacheError(err, path)
	}
	if info.Size() <= int64(d.most) {
		data, modified, err := d.file(path)
		if gaea.CodeOf(err) != gaea.CodeTooLarge && len(data) <= d.most {
			return data, nil, modified, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, time.Time{}, cacheError(err, path)
	}
	defer f.Close()
	data, cut, err := saltclient.CutEntry(f, d.limits, d.most)
	if err != nil {
		return nil, nil, time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	return data, cut, info.ModTime(), nil
}

// cacheError keeps what errors.Is asks for, behind a sentence.
func cacheError(err error, path string) error {
	return gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master's job cache cannot be read at %s", path)
}
