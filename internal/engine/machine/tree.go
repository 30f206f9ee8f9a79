package machine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxNoted bounds the processes that are noted of one minion's job.
const maxNoted = 200

// process is one process of a minion, told from another that has its pid later by when it started.
type process struct {
	pid   int
	start uint64 // clock ticks since boot
}

// processes are some of one job, the job's own first.
type processes []process

// String is what is stored: "PID:START PID:START".
func (ps processes) String() string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = fmt.Sprintf("%d:%d", p.pid, p.start)
	}
	return strings.Join(words, " ")
}

// parseProcesses reads what is stored. Words that are none of it are left out: what is sent to a shell is digits.
func parseProcesses(s string) processes {
	var ps processes
	for word := range strings.FieldsSeq(s) {
		pid, start, ok := strings.Cut(word, ":")
		if p, valid := parseProcess(pid, start); ok && valid && len(ps) < maxNoted {
			ps = append(ps, p)
		}
	}
	return ps
}

func parseProcess(pid, start string) (process, bool) {
	n, err := strconv.Atoi(pid)
	ticks, err2 := strconv.ParseUint(start, 10, 64)
	return process{pid: n, start: ticks}, err == nil && err2 == nil && n > 1
}

// has says whether a process of this pid is among them.
func (ps processes) has(pid int) bool {
	return slices.ContainsFunc(ps, func(p process) bool { return p.pid == pid })
}

// merge adds those that are not among them yet.
func (ps processes) merge(others processes) processes {
	for _, p := range others {
		if len(ps) < maxNoted && !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	return ps
}

// looked is what a minion says of a job's processes.
type looked struct {
	job       jobStanding
	pid       int       // the job's own process; 0: it has none
	processes processes // of the tree; or what lives of those that were asked about, and what they have started
	more      bool      // there are more than were listed
	killed    bool      // some lived, and were killed
}

// jobStanding is how a minion stands to a job.
type jobStanding string

const (
	jobRunning jobStanding = "running" // it runs, or waits in Salt's queue for its turn
	jobGone    jobStanding = "gone"
	jobThread  jobStanding = "thread" // it runs inside the minion's daemon, which a kill would end
)

// parseLooked reads the answer to [treeScript] or [sweepScript]: lines "job STANDING PID", "PID PARENT START", "more", "killed"
// and "end". The error is what the minion said in their place, for users.
func parseLooked(body json.RawMessage, tree bool) (looked, error) {
	said := text(body)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	first := strings.Fields(lines[0])
	if len(lines) < 2 || len(first) != 3 || first[0] != "job" || strings.TrimSpace(lines[len(lines)-1]) != "end" {
		return looked{}, notLooked(said)
	}
	pid, err := strconv.Atoi(first[2])
	l := looked{job: jobStanding(first[1]), pid: pid}
	if err != nil || !slices.Contains([]jobStanding{jobRunning, jobGone, jobThread}, l.job) {
		return looked{}, notLooked(said)
	}
	for _, line := range lines[1 : len(lines)-1] {
		words := strings.Fields(line)
		switch {
		case len(words) == 1 && words[0] == "more":
			l.more = true
			continue
		case len(words) == 1 && words[0] == "killed" && !tree:
			l.killed = true
			continue
		}
		if len(words) != 3 {
			return looked{}, notLooked(said)
		}
		p, ok := parseProcess(words[0], words[2])
		parent, err := strconv.Atoi(words[1])
		switch {
		case !ok || err != nil:
			return looked{}, notLooked(said)
		case tree && p.pid != l.pid && !l.processes.has(parent):
			continue // hangs at none of the job's: it is none of the job's
		case len(l.processes) == maxNoted:
			l.more = true
			continue
		}
		l.processes = append(l.processes, p)
	}
	return l, nil
}

// notLooked is what a minion says that cannot look at processes.
func notLooked(said string) error {
	const most = 200 // bytes
	said = strings.Join(strings.Fields(said), " ")
	if len(said) > most {
		said = strings.ToValidUTF8(said[:most], "") + "…"
	}
	if said == "" {
		said = "the minion gave an empty answer"
	}
	return fmt.Errorf("%s", said)
}

// shellKwargs are the keyword arguments of cmd.run for the scripts: rendered on the minion, run by a POSIX shell whatever
// the minion's own is, kept out of the minion's log, and ended when they take too long.
func shellKwargs() map[string]any {
	return map[string]any{
		"python_shell": true, "shell": "/bin/sh", "template": "jinja", "output_loglevel": "quiet", "ignore_retcode": true, "timeout": 30,
	}
}

// A script has a head, which the minion renders with its own knowledge of the job, and a body in POSIX shell, which reads
// /proc with what is built into the shell: no program is started for each process, and none needs to be there. A name in
// /proc/PID/stat may hold anything, so that what counts begins behind the last parenthesis. Processes that have ended and
// wait to be collected are none. Neither part may hold what Jinja takes for its own.

// treeScript lists the processes of a job: its own, and all that descend from it.
func treeScript(jid string) string { return jobHead(jid) + scanProcesses + treeBody }

// sweepScript tells which of the noted processes live, and what has descended from those; with kill it kills them first.
// The list is of minions to what was noted there.
func sweepScript(jid string, noted map[string]string, kill bool) string {
	list, err := json.Marshal(noted)
	if err != nil {
		panic(err) // text to text
	}
	signal := ""
	if kill {
		signal = "KILL"
	}
	return fmt.Sprintf("{%%- set noted = %s -%%}\n", list) + jobHead(jid) +
		"noted='{{ noted.get(opts['id'], '') }}' signal='" + signal + "'\n" + scanProcesses + sweepBody
}

// jobHead has the minion say which process is the job's, 0 where none is. Salt writes a job that waits for its turn into a
// file below the minion's cache directory; its find_job does not find all of those.
func jobHead(jid string) string {
	return fmt.Sprintf("{%%- set job = salt['saltutil.find_job'](%s) -%%}\n", jinjaText(jid)) +
		`pid={{ (job.get('pid') or 0) | int }} cache='{{ opts['cachedir'] | replace("'", "'\\''") }}' jid='` + digits(jid) + "'\n"
}

// digits leaves of a job id what a shell cannot take for anything else.
func digits(jid string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, jid)
}

// jinjaText is a string literal of Jinja, whose escapes are JSON's.
func jinjaText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // text
	}
	return string(b)
}

// scanProcesses is what both bodies begin with. Function scan sets all to the processes of the files it is given, as
// PID:PARENT:START; every does so for all processes. A shell reads files byte by byte, so that is left to grep where there
// is one; it puts the file's name before each line, so that no name of a process passes for another's line. Function grow adds to known all that descends from what is in there, and lists what it added; queued says whether
// the job waits for its turn.
const scanProcesses = `exec 2>/dev/null
if [ ! -r /proc/self/stat ]; then
	echo 'there is no /proc on this minion'
	exit 0
fi
field() {
	case $2 in
	'' | [ZXx]) return ;;
	esac
	all="$all $1:$3:${21}"
}
scan() {
	all=
	for file in "$@"; do
		stat=
		while IFS= read -r line || [ -n "$line" ]; do stat="$stat $line"; done <"$file"
		name=${file#/proc/}
		field "${name%/stat}" ${stat##*)}
	done
}
every() {
	all= stat= file=
	blanks=$IFS
	lines=$(grep -H '' /proc/[0-9]*/stat)
	set -f
	IFS='
'
	for line in $lines; do
		IFS=$blanks
		if [ "${line%%:*}" != "$file" ]; then
			taken
			file=${line%%:*} stat=
		fi
		stat="$stat ${line#*:}"
	done
	IFS=$blanks
	set +f
	taken
	if [ -z "$all" ]; then scan /proc/[0-9]*/stat; fi
}
taken() {
	if [ -n "$file" ]; then
		name=${file#/proc/}
		field "${name%/stat}" ${stat##*)}
	fi
}
grow() {
	added=
	more=1
	while [ -n "$more" ]; do
		more=
		for entry in $all; do
			process=${entry%%:*}
			parent=${entry#*:}
			parent=${parent%%:*}
			case $known in
			*" $process "*) continue ;;
			*" $parent "*)
				known="$known$process "
				added="$added $entry"
				more=1
				;;
			esac
		done
	done
}
queued() {
	for file in "$cache"/state_queue/queued_*_"$jid".p "$cache"/job_queue/queued_*_"$jid".p "$cache"/queues/*/*_queue/queued_*_"$jid".p; do
		if [ -e "$file" ]; then return 0; fi
	done
	return 1
}
list() {
	count=0
	for entry in "$@"; do
		count=$((count + 1))
		if [ "$count" -gt 200 ]; then
			echo more
			return
		fi
		rest=${entry#*:}
		echo "${entry%%:*} ${rest%%:*} ${rest#*:}"
	done
}
`

// treeBody: where the job's process is one of those that the script itself descends from, it is the minion's daemon.
const treeBody = `every
root=
ancestor=$$
while [ "$ancestor" -gt 1 ]; do
	if [ "$ancestor" = "$pid" ]; then
		echo "job thread $pid"
		echo end
		exit 0
	fi
	next=0
	for entry in $all; do
		case $entry in
		"$ancestor":*)
			next=${entry#*:}
			next=${next%%:*}
			;;
		esac
	done
	ancestor=$next
done
if [ "$pid" -gt 1 ]; then
	for entry in $all; do
		case $entry in
		"$pid":*) root=$entry ;;
		esac
	done
fi
if [ -z "$root" ]; then
	if queued; then echo 'job running 0'; else echo 'job gone 0'; fi
	echo end
	exit 0
fi
known=" $pid "
grow
echo "job running $pid"
list $root $added
echo end
`

// sweepBody: what is to be killed is stopped first, again and again until nothing new has come: it can start nothing more
// then, and what it has started cannot get away. Function remaining sets alive to the noted processes that live, living
// also to what has descended from them; only that goes through all processes of the minion.
const sweepBody = `remaining() {
	alive= files=
	for one in $noted; do files="$files /proc/${one%%:*}/stat"; done
	scan $files
	known=' '
	for entry in $all; do
		rest=${entry#*:}
		case " $noted " in
		*" ${entry%%:*}:${rest#*:} "*)
			alive="$alive $entry"
			known="$known${entry%%:*} "
			;;
		esac
	done
}
living() {
	remaining
	if [ -n "$alive" ]; then
		every
		grow
		alive="$alive $added"
	fi
}
if [ "$signal" = KILL ]; then remaining; else living; fi
killed=
if [ -n "$alive" ] && [ "$signal" = KILL ]; then
	killed=1
	round=0
	stopped=' '
	fresh=1
	while [ -n "$fresh" ] && [ "$round" -lt 20 ]; do
		round=$((round + 1))
		fresh=
		for entry in $alive; do
			case $stopped in
			*" ${entry%%:*} "*) continue ;;
			esac
			kill -STOP "${entry%%:*}"
			stopped="$stopped${entry%%:*} "
			fresh=1
		done
		for entry in $alive; do
			rest=${entry#*:}
			case " $noted " in
			*" ${entry%%:*}:${rest#*:} "*) ;;
			*) noted="$noted ${entry%%:*}:${rest#*:}" ;;
			esac
		done
		living
	done
	for entry in $alive; do kill -KILL "${entry%%:*}"; done
	round=0
	remaining
	while [ -n "$alive" ] && [ "$round" -lt 5 ]; do
		round=$((round + 1))
		sleep 0.05 || sleep 1
		remaining
	done
fi
job=gone
if [ "$pid" -gt 1 ]; then
	scan "/proc/$pid/stat"
	if [ -n "$all" ]; then job=running; fi
fi
if [ "$job" = gone ]; then
	pid=0
	if queued; then job=running; fi
fi
echo "job $job $pid"
list $alive
if [ -n "$killed" ]; then echo killed; fi
echo end
`
