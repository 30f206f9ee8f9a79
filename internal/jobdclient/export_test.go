package jobdclient

import (
	"bufio"
	"io"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// SetMaxAnswer bounds an answer's body in bytes.
func (c *Client) SetMaxAnswer(n int64) { c.maxAnswer = n }

// CopyExport copies an export as it comes from a connection.
func CopyExport(from io.Reader, to io.Writer) (*gaea.ExportEnd, error) {
	x := &exportReader{lines: bufio.NewReaderSize(from, exportBuffer), w: to, watchdog: time.NewTimer(silence)}
	defer x.watchdog.Stop()
	return x.copy()
}
