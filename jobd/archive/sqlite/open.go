package sqlite

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// makeFile makes the database's file, so that its mode and that of the files beside it (they take it over) do not depend on
// the umask.
func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable,
			"the directory %s for the database cannot be made: %s; make it and give it to jobd's user", dir, reason(err))
	}
	// An existing file is not opened here: where this process has it open already, closing it would drop SQLite's locks.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return gaea.Wrap(err, gaea.CodeUnavailable,
			"the database %s cannot be made: %s; jobd's user must be able to write in its directory", path, reason(err))
	}
	// SQLite makes files beside the database: a directory that may not be written must not show later.
	probe, err := os.CreateTemp(dir, ".jobd-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable,
			"the directory %s of the database cannot be written: %s; SQLite keeps its log there, so give it to jobd's user", dir, reason(err))
	}
	return nil
}

// reason is the system's word for what is wrong, without the path that the message has already.
func reason(err error) string {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err.Error()
	}
	return err.Error()
}

const kibibyte = 1024

// Memory for pages, in KiB a connection: what a writer touches in each batch stays in it; a reader shares the system's cache.
const (
	writerCache = 16 * kibibyte
	readerCache = 2 * kibibyte
)

// pageSize holds five bodies of 1.5 kB, where SQLite's usual 4 KiB hold two: a fifth more returns a second. It counts when the
// database is made.
const pageSize = 8 * kibibyte

// walPages is after how many pages the log is folded into the database. More folds a page that is written often less often;
// fewer keeps the log small: 16 MiB.
const walPages = 2000

func writerDSN(path string, busy time.Duration) string {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Add("_pragma", "page_size("+strconv.Itoa(pageSize)+")")
	q.Add("_pragma", "auto_vacuum("+strconv.Itoa(incremental)+")") // it counts when the database is made, as the size of pages does
	q.Add("_pragma", "journal_size_limit("+strconv.Itoa(64*kibibyte*kibibyte)+")")
	q.Add("_pragma", "wal_autocheckpoint("+strconv.Itoa(walPages)+")")
	return dsn(path, q, busy, writerCache)
}

func readerDSN(path string, busy time.Duration) string {
	q := url.Values{}
	q.Set("_query_only", "1")
	return dsn(path, q, busy, readerCache)
}

func dsn(path string, q url.Values, busy time.Duration, cache int) string {
	q.Set("_busy_timeout", strconv.FormatInt(busy.Milliseconds(), 10))
	q.Set("_foreign_keys", "1")
	q.Set("_journal_mode", "wal")
	q.Set("_synchronous", "normal")
	q.Set("_dqs", "0")
	q.Set("_error_rc", "1")
	q.Add("_pragma", "cache_size(-"+strconv.Itoa(cache)+")")
	q.Add("_pragma", "temp_store(memory)")
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}
