package saltlab

import (
	"encoding/json"
	"fmt"
	"os"
)

// WriteFacts gives a script what there is to know, as JSON in the file that --json names. The file is made whole at once, so
// that a script that waits for it never reads half of it.
func WriteFacts(path string, facts any) error {
	text, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return err
	}
	partial := path + ".partial"
	if err := os.WriteFile(partial, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
}
