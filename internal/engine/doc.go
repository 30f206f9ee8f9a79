// Package engine carries runs from acceptance to the last outcome. It owns one goroutine for each run that is going on,
// which feeds the pure state machine of package machine with what happens and carries out what the machine asks for.
//
// What is promised, and how it is kept:
//
//   - A run goes on after a crash, and no minion runs a slice twice. Every step is stored before anything of it is done; a
//     job id is stored before it is published; after a crash the master's job cache is asked for each, and only what the
//     master does not have is published, under the same id.
//   - No return is missed. A job is listened to before it is published. Returns that did not fit into the feed are read
//     from the archive, and those that the bus lost from the job cache.
//   - State runs of this engine never meet on a minion: they take their minions all at once, in order of arrival, and wait
//     without holding any. A sliced run takes them slice by slice. Who the minions of an expression are is learned from
//     the master, once for all runs that name the same target.
//   - An action on minions is a run of its own, whose id is stored with its parent before it is made: after a crash it is
//     found, and not made again. A runner or a request that a crash has cut off is made again; both must bear that.
//   - Runs of one named lock never have a minion in common. They take their minions all at once, for their whole length,
//     and wait in the order in which they were made.
//   - A return that comes when the run has ended is taken by [Engine.Late]. It replaces what had been settled without it;
//     the run's status stays as it ended, its counts follow, and its message says so.
//
// A minion that answers "another state run is in progress" is told again under a new job id, in a slice of its own that is
// appended to the run's slices. So a run has one slice for each job it published, and the slices after the planned ones
// are such repetitions.
package engine
