// Package schedule does what jobd does by the clock and not because somebody asked, on River: it checks the assignments that
// have an interval, lets go of what is older than the retention setting, and looks after runs. The queue is a database of its
// own, a SQLite file beside the archive or PostgreSQL, and all that is in it can be made anew from the archive.
//
// # What is in the queue
//
// Each master has a queue of its own name, which the jobd of that master works on, so many masters can share one PostgreSQL.
//
//   - drift_check: one job for each assignment that is checked by interval, for as long as it is. The job sleeps until the
//     check is due, makes it, and sleeps again. When it is due follows from the stored runs, each time, so neither a restart
//     nor a lost queue shifts it.
//   - retention: one job that deletes what is old, and sleeps for an hour.
//   - run: one job for each run that was accepted. It looks whether the run goes on, and has it taken up where it does not.
//
// What should be in the queue is compared with what is every ten seconds, and at once when [Queue.Changed] says so. Jobs are
// unique for as long as they are not over, so two processes that compare at the same time make no second one.
//
// # Why there is a job for each run
//
// A run never waits for the queue: the engine starts it when it is accepted, and takes up what was going on when jobd starts.
// Where one jobd serves one archive, that is all there is to it: a run that is stored and that nobody runs takes a fault in
// the engine, and the job finds it within half a minute instead of at the next start. What the jobs are for is the archive
// that several masters share: there a run may be accepted by another jobd than the one whose master has the minions, and the
// job in that master's queue is how the latter learns of it. As a safety net it may be lost: it is put into the queue after
// the run was started, by a goroutine that nobody waits for, and is left out where the queue does not keep up or jobd ends.
//
// # No job works for long
//
// A job that waits sleeps in the database and holds no worker. So a job that was under way when its process was killed is
// known to be stale after a minute or two, whoever looks; and where it was this jobd's own, which its client id tells, it is
// made available at the next start at once.
package schedule
