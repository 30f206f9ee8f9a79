package killtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stateName names the state file, its pillar, and what else is made.
const stateName = "killtest"

// stateFile runs a script that comes as pillar. In it FILE and MINION stand for the trace and the minion's id.
const stateFile = `{% set it = pillar['killtest'] %}
traced:
  cmd.run:
    - name: {{ it.script | replace('FILE', grains['lab_root'] ~ '/' ~ it.trace) | replace('MINION', grains['id']) | json }}
`

// workDone is the mark of a run's function that came to its end.
const workDone = "done"

// workScript writes down that it began and, when it has taken its time, that it ended.
func workScript(letter string, takes time.Duration) string {
	return fmt.Sprintf("echo %s | tee -a FILE; sleep %.3f; echo %s | tee -a FILE", mark(letter, "work"), takes.Seconds(), mark(letter, workDone))
}

// actionScript writes down that it ran. One that fails once looks whether it has run before.
func actionScript(letter, name string, failsOnce bool) string {
	m := mark(letter, name)
	script := fmt.Sprintf("echo %s | tee -a FILE", m)
	if failsOnce {
		script += fmt.Sprintf("; [ $(grep -cx %s FILE) -ge 2 ]", m)
	}
	return script
}

// mark is the line that what a run does leaves behind.
func mark(letter, what string) string { return letter + "." + what }

func traceName(round int) string { return fmt.Sprintf("killtest-%d", round) }

// lab is what is asked of a [saltlab.Lab].
type lab interface {
	Minions() []string
	MinionRoot(id string) string
	Dir() string
	StatesDir() string
}

// traces are what the functions of runs have left on the minions and on the master, read from their disks.
type traces struct{ lab lab }

// rendered is a script for cmd.run with template=jinja.
func (t traces) rendered(round int, script string) string {
	return strings.NewReplacer("FILE", "{{ grains['lab_root'] }}/"+traceName(round), "MINION", "{{ grains['id'] }}").Replace(script)
}

// install puts the state file into the lab.
func (t traces) install() error {
	return os.WriteFile(filepath.Join(t.lab.StatesDir(), stateName+".sls"), []byte(stateFile), 0o600)
}

// clear removes what a round has left.
func (t traces) clear(round int) error {
	err := os.Remove(t.master(round))
	for _, minion := range t.lab.Minions() {
		err = errors.Join(err, os.Remove(t.minion(round, minion)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t traces) master(round int) string {
	return filepath.Join(t.lab.Dir(), traceName(round)+"-runners")
}

func (t traces) minion(round int, minion string) string {
	return filepath.Join(t.lab.MinionRoot(minion), traceName(round))
}

// lines are the marks in a file, in the order in which they were made. No file has none.
func lines(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}
