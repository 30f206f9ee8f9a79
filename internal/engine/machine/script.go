package machine

import (
	"encoding/json"
	"fmt"
	"strings"
)

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

// fellScript kills the processes of a job, its own and all that descend from it, and tells what there was and what is left.
func fellScript(jid string) string {
	return jobHead(jid) + "noted='' signal='KILL'\n" + scanProcesses + killProcesses + fellBody
}

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
		"noted='{{ noted.get(opts['id'], '') }}' signal='" + signal + "'\n" + scanProcesses + killProcesses + sweepBody
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
// is one; it puts the file's name before each line, so that no name of a process passes for another's line. Function grow adds
// to known all that descends from what is in there, and lists what it added; queued says whether the job waits for its turn.
// Function thread says whether the job's process is one of those that the script itself descends from: it is the minion's
// daemon then.
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
thread() {
	ancestor=$$
	while [ "${ancestor:-0}" -gt 1 ]; do
		if [ "$ancestor" = "$pid" ]; then return 0; fi
		scan "/proc/$ancestor/stat"
		ancestor=${all#*:}
		ancestor=${ancestor%%:*}
	done
	return 1
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

// findRoot goes on with the job's own process as root; where there is none to list, it answers so.
const findRoot = `if thread; then
	echo "job thread $pid"
	echo end
	exit 0
fi
root=
if [ "$pid" -gt 1 ]; then
	scan "/proc/$pid/stat"
	root=${all# }
fi
if [ -z "$root" ]; then
	if queued; then echo 'job running 0'; else echo 'job gone 0'; fi
	echo end
	exit 0
fi
known=" $pid "
`

const treeBody = findRoot + `every
grow
echo "job running $pid"
list $root $added
echo end
`

// killProcesses is what both bodies that kill go on with. What is to be killed is stopped first, again and again until nothing
// new has come: it can start nothing more then, and what it has started cannot get away. Function remaining sets alive to the
// noted processes that live, living also to what has descended from them. Where the kernel lists the children of a process,
// those lists are followed, which tell the truth of parents that are stopped; else, and of those that are not, all processes of
// the minion are gone through. Function halt stops what is alive and what has descended from that, notes it, and lists in tree
// what it has stopped, each behind its parent. Function fade waits a while for what was killed to be gone, but for so many.
const killProcesses = `halted=
lists=
if [ -r "/proc/$$/task/$$/children" ]; then lists=1; fi
walk() {
	added=
	look=$known
	while [ -n "$look" ]; do
		found=
		for process in $look; do
			for file in /proc/"$process"/task/*/children; do
				children=
				read -r children <"$file"
				for child in $children; do
					case $known in
					*" $child "*) continue ;;
					esac
					known="$known$child "
					found="$found /proc/$child/stat"
				done
			done
		done
		look=
		if [ -n "$found" ]; then
			scan $found
			added="$added$all"
			for entry in $all; do look="$look ${entry%%:*}"; done
		fi
	done
}
remaining() {
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
		if [ -n "$lists" ] && [ -n "$halted" ]; then
			walk
		else
			every
			grow
		fi
		alive="$alive $added"
	fi
}
halt() {
	halted=' '
	tree=
	round=0
	fresh=1
	while [ -n "$fresh" ] && [ "$round" -lt 20 ]; do
		round=$((round + 1))
		fresh=
		for entry in $alive; do
			case $halted in
			*" ${entry%%:*} "*) continue ;;
			esac
			kill -STOP "${entry%%:*}"
			halted="$halted${entry%%:*} "
			fresh=1
			rest=${entry#*:}
			tree="$tree $entry"
			case " $noted " in
			*" ${entry%%:*}:${rest#*:} "*) ;;
			*) noted="$noted ${entry%%:*}:${rest#*:}" ;;
			esac
		done
		if [ -n "$fresh" ]; then living; fi
	done
}
fade() {
	round=0
	remaining
	while set -- $alive && [ "$#" -gt "$but" ] && [ "$round" -lt 8 ]; do
		round=$((round + 1))
		if [ "$round" -gt 3 ]; then sleep 0.05 || sleep 1; fi
		remaining
	done
}
standing() {
	job=gone own=0
	if [ "$pid" -gt 1 ]; then
		scan "/proc/$pid/stat"
		if [ -n "$all" ]; then job=running own=$pid; fi
	fi
	if [ "$job" = gone ] && queued; then job=running; fi
}
`

// fellBody kills a process only when all that descends from it is gone, and so the job's own last: whatever lives, though the
// script is cut short, or its answer lost, can be found again as what descends from that. Where what is to be killed grows faster
// than it can be stopped, it is only listed.
const fellBody = findRoot + `noted="$pid:${root##*:}"
remaining
halt
killed=
before=
while set -- $alive; [ "$#" -gt 0 ] && [ "$#" != "$before" ] && [ -z "$fresh" ]; do
	before=$#
	parents=' '
	for entry in $alive; do
		rest=${entry#*:}
		parents="$parents${rest%%:*} "
	done
	leaves=
	for entry in $alive; do
		case $parents in
		*" ${entry%%:*} "*) ;;
		*) leaves="$leaves ${entry%%:*}" ;;
		esac
	done
	kill -KILL $leaves
	killed=1
	set -- $leaves
	but=$((before - $#))
	fade
done
standing
echo "job $job $pid"
list $tree
for entry in $alive; do echo "left ${entry%%:*}"; done
if [ -n "$killed" ]; then echo killed; fi
echo end
`

const sweepBody = `if [ "$signal" = KILL ]; then remaining; else living; fi
killed=
if [ -n "$alive" ] && [ "$signal" = KILL ]; then
	killed=1
	halt
	for entry in $alive; do kill -KILL "${entry%%:*}"; done
	but=0
	fade
fi
standing
echo "job $job $own"
list $alive
if [ -n "$killed" ]; then echo killed; fi
echo end
`
