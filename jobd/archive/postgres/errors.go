package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// What PostgreSQL says, by its codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	codeUnique        = "23505"
	codeReadOnly      = "25006"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeNoDatabase    = "3D000"
	codeNoPrivilege   = "42501"
	codeDiskFull      = "53100"
	codeConnections   = "53300"
	codeShutdown      = "57P01"
	codeCrashed       = "57P02"
	codeStarting      = "57P03" // or stopping, or not ready yet
	codeLockTimeout   = "55P03"
)

// told makes a [gaea.Error] of any error of the database, with a message that says what to do. No message has the address
// as it was given: there may be a password in it.
func (s *Store) told(err error) error {
	if err == nil {
		return nil
	}
	if told := tables.Told(err, s.closed.Load()); told != nil {
		return told
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return s.unanswered(err)
	}
	switch class := refused.Code[:min(2, len(refused.Code))]; {
	case refused.Code == codeReadOnly:
		// After a failover the connections may lead to what is the standby now: the next ones look for the primary again.
		s.pool.Reset()
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s takes no changes: it is a standby, or read-only; name the primary, or all servers with target_session_attrs=read-write", s.place)
	case refused.Code == codeNoDatabase:
		return gaea.Wrap(err, gaea.CodeUnavailable, "there is no database %s; make it with: createdb --owner USER %s", s.place, s.place[strings.LastIndexByte(s.place, '/')+1:])
	case class == "28":
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s does not let jobd in; see the user and the password (in --database, PGPASSWORD or ~/.pgpass) and the server's pg_hba.conf", s.place)
	case refused.Code == codeNoPrivilege:
		return gaea.Wrap(err, gaea.CodeUnavailable, "jobd's user may not do what it must in the database %s (%s); make it the owner of the database, or have a superuser carry out there: %s",
			s.place, refused.Message, s.grants())
	case refused.Code == codeDiskFull:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the disk of the database %s is full; make room, or shorten the retention", s.place)
	case refused.Code == codeConnections:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s has no connection left; raise its max_connections, or lower pool_max_conns in the address", s.place)
	case class == "08", class == "57", class == "53", class == "58", refused.Code == codeLockTimeout, refused.Code == codeDeadlock, refused.Code == codeSerialization:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s does not answer as it should (%s)", s.place, refused.Message)
	case class == "54":
		return gaea.Wrap(err, gaea.CodeTooLarge, "something is larger than the database keeps in one piece")
	default:
		return gaea.Wrap(err, gaea.CodeInternal, "the archive in %s failed; jobd's log has the cause", s.place)
	}
}

func (s *Store) unanswered(err error) *gaea.Error {
	return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s does not answer; see that PostgreSQL runs there and lets this machine in", s.place)
}

// grants are the statements that let jobd's user make its tables, and the schema of the views.
func (s *Store) grants() string {
	config := s.pool.Config().ConnConfig
	user, schema := pgx.Identifier{config.User}.Sanitize(), "public"
	if path := config.RuntimeParams["search_path"]; path != "" {
		schema = path
	}
	return fmt.Sprintf("GRANT CONNECT, CREATE ON DATABASE %s TO %s; GRANT USAGE, CREATE ON SCHEMA %s TO %s", pgx.Identifier{config.Database}.Sanitize(), user, schema, user)
}
