package tables

import (
	"context"
	"errors"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Told is the [gaea.Error] of an error that does not depend on the database; nil where it does.
func Told(err error, closed bool) error {
	known, ok := errors.AsType[*gaea.Error](err)
	switch {
	case ok:
		return known
	case closed:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the archive is closed; jobd is stopping")
	case errors.Is(err, context.DeadlineExceeded):
		return gaea.Wrap(err, gaea.CodeTimeout, "the archive did not answer in the time there was; try again")
	case errors.Is(err, context.Canceled):
		return gaea.Wrap(err, gaea.CodeCancelled, "the caller gave up waiting for the archive")
	}
	return nil
}
