package tables

import (
	"context"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// migrationTries is how often the tables are looked at: another process may be making them, and then this one's attempt
// fails and finds them there when it looks again.
const migrationTries = 3

// Migrate brings the tables to what this jobd needs. A database that a newer one has written is refused. The name is the
// database's, for messages.
func Migrate(ctx context.Context, p *goose.Provider, name string, logger *slog.Logger) (err error) {
	for range migrationTries {
		var done bool
		if done, err = migrateOnce(ctx, p, name, logger); done {
			return err
		}
	}
	return err
}

func migrateOnce(ctx context.Context, p *goose.Provider, name string, logger *slog.Logger) (done bool, err error) {
	have, newest, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return false, err
	case have == newest:
		return true, nil
	case have > newest:
		return true, gaea.Errorf(gaea.CodeUnavailable,
			"the database %s was written by a newer jobd (its tables have version %d, this jobd knows up to %d); install that jobd again, or use another database", name, have, newest)
	}
	results, err := p.Up(ctx)
	if err != nil {
		return false, err
	}
	for _, m := range results {
		logger.Info("changed the tables of the archive", "database", name, "version", m.Source.Version, "took", m.Duration)
	}
	return true, nil
}
