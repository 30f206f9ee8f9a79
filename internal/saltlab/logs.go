package saltlab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// How much of a log is shown where something went wrong.
const (
	tailLines = 30
	tailBytes = 16 << 10
)

// Logs returns the last lines of what each of the lab's daemons said, for a person who looks at a test that failed.
// After Stop it is empty where the lab's directory was a temporary one.
func (l *Lab) Logs() string {
	names := []string{"keeper", masterDaemon, apiDaemon}
	for _, id := range l.cfg.MinionIDs {
		names = append(names, minionDaemon(id))
	}
	var text strings.Builder
	for _, name := range names {
		text.WriteString(tailUnder(l.logOf(name)))
	}
	return text.String()
}

// tailUnder returns the last lines of a log under a headline; nothing where it is empty.
func tailUnder(path string) string {
	text := tailOf(path)
	if text == "" {
		return ""
	}
	return fmt.Sprintf("--- the end of %s\n%s\n", filepath.Base(path), text)
}

// tailOf returns the last lines of a file; empty where it cannot be read.
func tailOf(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(file)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
