package spill

import (
	"context"
	"fmt"
)

// FillDisk lets the file grow by so many pages and no more, which SQLite tells as it tells a full disk; a negative number lets it
// grow again.
func (s *Spill) FillDisk(ctx context.Context, pages int) error {
	var count int
	if err := s.db.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&count); err != nil {
		return err
	}
	if pages < 0 {
		pages = 1 << 30
	}
	_, err := s.db.ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, count+pages))
	return err
}

// MakeFirstVersion makes the file one of before masters were named in it.
func (s *Spill) MakeFirstVersion(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `DROP TABLE owner; PRAGMA user_version = 1`)
	return err
}
