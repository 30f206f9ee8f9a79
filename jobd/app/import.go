package app

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// ImportOptions say what is imported into which archive.
type ImportOptions struct {
	Database, KeyFile string
	SaltConfigDir     string         // of the master whose job cache it is, where Dir is empty
	Dir               string         // a master's cachedir, the directory jobs in it, or a copy
	Master            string         // its name in the archive; empty means the id that SaltConfigDir names
	Zone              *time.Location // of the times in its job ids; nil means what SaltConfigDir says, or this machine's
	// Progress is called after each job directory, with how many there are.
	Progress func(done, all int)
}

// complete takes what is not said from the master's configuration.
func (o *ImportOptions) complete() error {
	if o.Dir != "" {
		if o.Master == "" {
			return gaea.Invalid("master", "say whose job cache this is: give --master the name that the master has, or is to have, in the archive (its id, where jobd serve is not told another)")
		}
		return nil
	}
	config, err := native.ReadMasterConfig(o.SaltConfigDir)
	if err != nil {
		return err
	}
	if config.MasterJobCache != "local_cache" || config.ExtJobCache != "" {
		return gaea.Errorf(gaea.CodeInvalid, "the master of %s keeps its jobs in %s and not on disk; jobd can import a local job cache only", o.SaltConfigDir, cmp.Or(config.ExtJobCache, config.MasterJobCache))
	}
	o.Dir = config.CacheDir
	o.Master = cmp.Or(o.Master, config.ID)
	if o.Zone == nil && config.UTCJID {
		o.Zone = time.UTC
	}
	return nil
}

// Import stores what a master's job cache on disk has and the archive has not, without the help of a running jobd. None may
// serve an archive in SQLite meanwhile; in PostgreSQL any number may, which store the same once. It may be repeated, and changes nothing then. What cannot be read is in
// the report and keeps nothing else from being imported; an error says why it ended before.
func Import(ctx context.Context, o ImportOptions) (report *gaea.ImportReport, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	dir, err := native.OpenJobsDir(o.Dir, o.Zone)
	if err != nil {
		return nil, err
	}
	release, err := o.lockFile()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	archived, err := openOffline(ctx, o.Database, o.KeyFile, true, "archive import")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, archived.store.Close()) }()
	report = &gaea.ImportReport{Master: o.Master, Path: dir.Path(), Unread: []gaea.UnreadFile{}}
	return report, o.read(ctx, dir, archived, report)
}

// lockFile takes the lock of an archive in a file; release lets go of it.
func (o *ImportOptions) lockFile() (release func() error, err error) {
	path, err := SQLitePath(o.Database)
	if err != nil || path == "" {
		return func() error { return nil }, err
	}
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	lock, err := lockDatabase(path, "--database")
	if err != nil {
		return nil, err
	}
	return lock.release, nil
}

// read imports a job cache job by job.
func (o *ImportOptions) read(ctx context.Context, dir *native.JobsDir, archived *offline, report *gaea.ImportReport) error {
	all, err := dir.Count(ctx)
	if err != nil {
		return err
	}
	importer := ingest.NewImporter(o.Master, ingestStore{store: archived.store, master: o.Master}, drift.NewFingerprinter(archived.sealer.Digest).Job, report)
	done, last := 0, ""
	err = dir.Each(ctx, func(job *gaea.CachedJob) error {
		if job.Job.JID != last {
			done, last = done+1, job.Job.JID
			if o.Progress != nil {
				o.Progress(done, all)
			}
		}
		return importer.Add(ctx, job)
	}, func(path string, err error) error {
		report.Skip(path, err)
		return nil
	})
	if stored := importer.Flush(context.WithoutCancel(ctx)); err == nil { // what was read before the end is not thrown away
		err = stored
	}
	return err
}
