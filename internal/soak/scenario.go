package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// Config says where a scenario is played. All fields are needed but for those that say otherwise.
type Config struct {
	Lab     *saltlab.Lab       // without minions, and without those of another number in its cache
	Jobd    *jobdlab.Jobd      // running; it may be killed and started again, and runs at the end
	Client  *jobdclient.Client // of that jobd, with the role apply
	Minions int                // how many are simulated, from MinMinions
	Seed    uint64             // who is odd, and how much, follows from it
	Say     func(line string)  // is given a line for a person at each step; may be nil
}

// MinMinions is how many minions a scenario needs, so that each kind of odd one has its place among those that are not.
const MinMinions = 30

// Scenario is one thing that is played.
type Scenario struct {
	Name  string // one word, for the command line
	About string // what it shows, for people
	Quick bool   // short enough to be played at each change, on few minions

	roles  []role                              // the odd minions; all others answer at once
	config swarm.Config                        // what else the swarm is, besides its minions, its seed and those roles
	play   func(context.Context, *stage) error // does it, and compares
}

// Scenarios are all that there are, in the order in which they are played.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "odd", Quick: true, About: "a run over odd minions ends with the right outcome for each", roles: oddRoles(), play: playOdd},
		{Name: "hostile", Quick: true, About: "returns of 64 MiB and forged ones break nothing, and are told as what they are", roles: hostileRoles(), play: playHostile},
		{Name: "halt", Quick: true, About: "thresholds and a canary halt a run, and nobody else is told", roles: brokenRoles(), play: playHalt},
		{Name: "cancel", Quick: true, About: "a cancel is verified on each minion, or said not to be", roles: stoppableRoles(), play: playCancel},
		{Name: "stubborn", About: "minions whose jobs outlive each kill are named, and their returns are late", roles: stubbornRoles(), play: playStubborn},
		{Name: "load", Quick: true, About: "the archive holds each return, though jobd is killed under load", play: playLoad},
		{Name: "master", About: "a run outlives a restart of its master", roles: masterRoles(), play: playMaster},
		{Name: "drift", Quick: true, About: "drift is found when it comes, and repaired", roles: driftRoles(), config: driftStates(), play: playDrift},
		{Name: "events", Quick: true, About: "what minions tell by themselves is in the archive", play: playEvents},
		{Name: "database", Quick: true, About: "nothing is lost while PostgreSQL is stopped, restarted, cut off, refusing writes or hanging, also where jobd starts meanwhile", play: playDatabase},
		{Name: "disk", Quick: true, About: "nothing is lost while the disk of the archive is full, that of PostgreSQL too, with the spill on another and on the same", play: playDisk},
		{Name: "socket", Quick: true, About: "nothing that a job cache has is lost where the event socket is cut again and again", play: playSocket},
		{Name: "away", Quick: true, About: "what happens while jobd is stopped is fetched when it starts", play: playAway},
		{Name: "replay", Quick: true, About: "events that the bus tells twice and in any order are archived once", play: playReplay},
		{Name: "clock", Quick: true, About: "nothing is lost where the master's clock is set back, though jobd is away meanwhile", play: playClock},
		{Name: "busy", Quick: true, About: "nothing is lost, and nothing stands still, while the bus is full, retention deletes and ten readers ask", play: playBusy},
		{Name: "greedy", About: "nothing is lost while retention deletes, and ten readers ask without a pause", play: playGreedy},
		{Name: "restart", About: "the archive is as the job cache after restarts of the master under load", play: playRestart},
		{Name: "swarm", About: "the swarm itself: small, repeatable, back after a restart of the master, gone when it is stopped", play: playSwarm},
	}
}

// ViolationError says that something did not hold.
type ViolationError struct {
	Scenario string
	What     string
	Facts    string // the end of jobd's log
}

func (v *ViolationError) Error() string {
	return fmt.Sprintf("scenario %s: %s\n%s", v.Scenario, v.What, v.Facts)
}

// Play plays one scenario with a swarm of its own, and returns what was seen, for people. The error is a *ViolationError where
// something that has to hold did not; else it is the lab's trouble, or ctx's.
func Play(ctx context.Context, cfg Config, scenario Scenario) (string, error) {
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	if cfg.Minions < MinMinions {
		return "", fmt.Errorf("soak: Config.Minions is %d: a scenario needs %d", cfg.Minions, MinMinions)
	}
	s, err := newStage(ctx, cfg, scenario)
	if err != nil {
		return "", err
	}
	defer s.swarm.Stop()
	began := time.Now()
	if err := scenario.play(ctx, s); err != nil {
		if v, ok := errors.AsType[violated](err); ok {
			return "", &ViolationError{Scenario: scenario.Name, What: v.what, Facts: "jobd's log ends in:\n" + log(cfg.Jobd)}
		}
		return "", fmt.Errorf("scenario %s: %w", scenario.Name, err)
	}
	return fmt.Sprintf("%s: %s; %.1f s", scenario.Name, s.seen(), time.Since(began).Seconds()), nil
}

// log is the end of jobd's log, without what it says of requests: most of them are this package's looks.
func log(jobd *jobdlab.Jobd) string {
	const all, shown = 5000, 60
	lines := slices.DeleteFunc(strings.Split(jobd.Log(all), "\n"), func(line string) bool { return strings.Contains(line, "msg=request ") })
	return strings.Join(lines[max(len(lines)-shown, 0):], "\n")
}

// violated is an error that becomes a [ViolationError].
type violated struct{ what string }

func (v violated) Error() string { return v.what }

func violation(format string, args ...any) error { return violated{fmt.Sprintf(format, args...)} }
