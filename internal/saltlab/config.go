package saltlab

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// DefaultVersion is the Salt that a lab starts where neither Config.Version nor SALT_VERSION names one.
const DefaultVersion = "3008.3"

// Config says what a lab is made of. The zero value is a lab of DefaultVersion with the minions web1, web2 and db1.
type Config struct {
	// Version of Salt, such as "3006.27". Empty: the environment's SALT_VERSION, or else DefaultVersion.
	Version string
	// Minions is how many minions to start; 0 means 3. They are called web1, web2, db1, minion4, minion5 and so on.
	Minions int
	// MinionIDs names the minions instead. An empty slice that is not nil starts a master without minions.
	MinionIDs []string
	// Dir is the root of everything the lab writes and must not hold a lab yet. Empty: a temporary directory, which
	// Stop removes. Unix sockets are made below it, whose paths are limited to 107 bytes, so it has to be short: a
	// test's t.TempDir usually is too long.
	Dir string
	// States and Pillar are directories whose content is the file roots and the pillar roots. They are served in
	// place: a test may edit them. Empty: empty directories below Dir; see Lab.StatesDir and Lab.PillarDir.
	States, Pillar string
	// Grains are static grains by minion id. A minion that is not in here has role: web where its id starts with web,
	// and role: db where it starts with db. Each minion has the grain lab_root besides, see Lab.MinionRoot.
	Grains map[string]map[string]any
	// PublisherACL names users that may publish every function; the master writes a key for each that the system knows.
	// Everybody on this machine can then read the master's configuration, and so the password of Lab.APIUser.
	PublisherACL []string
	// MasterConfig and MinionConfig are laid over the configuration that the lab writes, key by key at the top level.
	MasterConfig, MinionConfig map[string]any
	// NoAPI leaves out salt-api.
	NoAPI bool
	// Progress is given one line for a person at each step. May be nil.
	Progress func(line string)
	// Logger is given what helps to find out why a lab does not work. Nil: nothing is logged.
	Logger *slog.Logger
}

// ids that Salt takes and that are safe as a file's name.
var minionID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// complete returns the configuration with every default filled in, but for Dir.
func (c Config) complete() (Config, error) {
	if c.Version == "" {
		c.Version = os.Getenv("SALT_VERSION")
	}
	if c.Version == "" {
		c.Version = DefaultVersion
	}
	if c.Minions < 0 {
		return c, fmt.Errorf("saltlab: Config.Minions is %d: it must not be negative (for no minions set MinionIDs to an empty slice)", c.Minions)
	}
	if c.MinionIDs == nil {
		count := c.Minions
		if count == 0 {
			count = 3
		}
		c.MinionIDs = defaultIDs(count)
	} else if c.Minions != 0 && c.Minions != len(c.MinionIDs) {
		return c, fmt.Errorf("saltlab: Config.Minions is %d but MinionIDs names %d: set one of them", c.Minions, len(c.MinionIDs))
	}
	seen := map[string]bool{}
	for _, id := range c.MinionIDs {
		if !minionID.MatchString(id) {
			return c, fmt.Errorf("saltlab: Config.MinionIDs: %q is not an id of letters, digits, dots, dashes and underscores", id)
		}
		if seen[id] {
			return c, fmt.Errorf("saltlab: Config.MinionIDs names %q twice", id)
		}
		seen[id] = true
	}
	c.MinionIDs = slices.Clone(c.MinionIDs)
	var err error
	if c.States, err = existingDir("States", c.States); err != nil {
		return c, err
	}
	if c.Pillar, err = existingDir("Pillar", c.Pillar); err != nil {
		return c, err
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func defaultIDs(count int) []string {
	ids := []string{"web1", "web2", "db1"}
	for n := len(ids) + 1; n <= count; n++ {
		ids = append(ids, fmt.Sprintf("minion%d", n))
	}
	return ids[:count]
}

// existingDir returns the absolute path of a directory that a field names; empty stays empty.
func existingDir(field, dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("saltlab: Config.%s: %w", field, err)
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return "", fmt.Errorf("saltlab: Config.%s is %q: %w", field, dir, err)
	}
	return dir, nil
}

// grains returns the static grains of a minion.
func (c Config) grains(id, root string) map[string]any {
	grains := map[string]any{}
	if given, ok := c.Grains[id]; ok {
		maps.Copy(grains, given)
	} else {
		for _, role := range []string{"web", "db"} {
			if strings.HasPrefix(id, role) {
				grains["role"] = role
			}
		}
	}
	grains["lab_root"] = root
	return grains
}
