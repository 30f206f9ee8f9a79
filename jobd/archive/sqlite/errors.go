package sqlite

import (
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// told makes a [gaea.Error] of any error of the database, with a message that says what to do.
func (s *Store) told(err error) error {
	if err == nil {
		return nil
	}
	if told := tables.Told(err, s.closed.Load()); told != nil {
		return told
	}
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return gaea.Wrap(err, gaea.CodeInternal, "the archive in %s failed; jobd's log has the cause", s.path)
	}
	switch failed.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s is locked by another process; find it with: fuser %s", s.path, s.path)
	case lib.SQLITE_FULL:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the disk of the database %s is full; make room, or shorten the retention", s.path)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN, lib.SQLITE_AUTH:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s cannot be written; jobd's user must own it, the files beside it and their directory", s.path)
	case lib.SQLITE_IOERR:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the disk of the database %s has an error; see the system's log", s.path)
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return gaea.Wrap(err, gaea.CodeUnavailable, "%s is no database of jobd, or it is damaged; restore it from a backup, or move it away to start empty", s.path)
	case lib.SQLITE_TOOBIG:
		return gaea.Wrap(err, gaea.CodeTooLarge, "something is larger than the 1 GB that the archive keeps in one piece")
	default:
		return gaea.Wrap(err, gaea.CodeInternal, "the archive in %s failed; jobd's log has the cause", s.path)
	}
}

// taken says whether a row was refused because another has its key.
func taken(err error) bool {
	var failed *sqlite.Error
	return errors.As(err, &failed) &&
		(failed.Code() == lib.SQLITE_CONSTRAINT_UNIQUE || failed.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY)
}
