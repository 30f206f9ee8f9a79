// Package machine is the life of one run as a pure state machine: what happened and the time go in, what is to be done
// comes out. It starts no goroutine, reads no clock and does no input or output, so every order, loss and repetition of
// events can be tried.
//
// # The course of a run
//
//	resolve ─▶ claim ─▶ pre-actions ─▶ slice ─▶ slice … ─▶ post-actions ─▶ end
//	                                   │
//	                                   └ wait, pre-actions, lock, publish, gather, post-actions of the slice
//
// Slices begin before the resolving has ended, as long as it is certain who is in them: the master has named the minions in
// their order, and all that come up to the end of the slice have answered. What must know how many minions there are waits
// for all: a share, where it is not the same number in any case, a named lock, and a pre-action of the run. The minions that
// are still in line are stored with the run; after a crash they are asked again, and who has a slice keeps it.
//
// A step is left out where the run does not ask for it; a run without slices is published straight to its target. What
// comes next is found, whenever nothing goes on, from what is stored with the run: so a run that is taken up after a crash
// goes on at the same place. As soon as it is decided how the run ends (the verdict), nothing of its own is published any
// more; what was told is let end, or killed where somebody cancels, and the post-actions whose time it is are done.
//
// In rolling mode slices overlap: as minions end, others fill their places, gathered into few publishes.
//
// # How silence is settled
//
// Nothing is guessed from the passing of time alone. While returns come in the machine only listens. When they stop it
// asks all silent minions together, with one small job, whether they still run the job, and asks again with growing gaps
// for as long as they say yes. A test.ping on three minions, one of them down, gather = 5s:
//
//	0.00 s  publish; web1, web2, web3 are expected
//	0.25 s  web1 returns
//	0.27 s  web2 returns; from here nothing comes
//	0.47 s  silence for half as long as the others took, 0.2 s to 0.5 s: saltutil.find_job JID, to web3 alone
//	2.97 s  half of gather without an answer: the question is sent once more
//	5.47 s  gather has passed since the question: web3 is unreachable, the run ends
//
// The answers, and what is made of them:
//
//	running     keep waiting; asked again after 2 s, 4 s, 8 s, 16 s, then every 30 s
//	not running the return may be on its way, or lost: the master's job cache is read. Two such answers, 2 s or more
//	            apart, and no return in the cache: no_return. Where the master had guessed the target from cached grains
//	            or pillar, a minion that never ran the job is asked whether the target means it at all; if not, it
//	            leaves the run
//	none        after gather: unreachable, unless the minion has meanwhile answered another run. An answer that comes later
//	            takes that back, as long as the run goes on. Where not one minion answers, and none has been heard of for
//	            twice gather, all are asked once more before that is believed
//
// A return always wins over what was settled without it; one that comes after is marked late.
//
// State runs are asked about with saltutil.is_running state.* in the place of find_job: a state run that Salt has put
// into its queue on the minion's disk is unknown to find_job, and would be taken for lost. Where another state run holds
// the minion, the job may be in that queue, and is waited for. The first question comes after 3 s, for no state run is
// done sooner.
//
// # Stopping
//
// A job is gone when the minion says so, and that tells nothing of what it has started. Without a grace one question does
// everything:
//
//	fell    each minion finds the job's own process and all that descend from it, stops them until nothing new has come, kills
//	        each when what descends from it is gone, and tells what there was, what is left, and whether the job is gone. What
//	        lives, though that was cut short or the answer lost, still hangs at the job's own process, and is found there
//
// Where that killed the job and nothing is left, the minion is done with, also when the answer is late. Else, and with a grace,
// it goes step by step, and the processes of a job are noted before anything is done to them, and stored:
//
//	tree    each minion lists the job's own process and all that descend from it, each with the time it started
//	term    with a grace only: saltutil.term_job. From there it is looked with growing gaps whether all is gone
//	sweep   without a grace or when it has passed: what lives of the noted processes, and of what they have started, is
//	        killed until none of it is left, and it is told whether the job is gone
//	kill    saltutil.kill_job, in the place of a sweep where nothing is noted, and beside it where it did not do
//
// Only then a minion's outcome is killed. One that does not answer is unreachable; where it has answered nothing since the first
// question, the time from there counts. Where processes cannot be looked at, the
// job alone is asked about, and the message says so. A job that a minion runs inside its daemon is not signalled at all.
// A run that is taken up goes on with the processes that were noted, and gives the grace anew.
//
// # Limits
//
//	job     ├──────────────────────────────────────────────────────┤            from the first publish or pre-action
//	action  ├────┤                                                 :  ├────┤    each: all its tries together
//	slice        :   ├──────────┤              ├──────────┤        :            each: from its publish
//	gather       :   :      ├───┤              :      ├───┤        :            from a question to silent minions
//	────────[pre]────[ slice 1  ]─── wait ─────[ slice 2  ]────────[post]──▶
//
// The job timeout counts from the first publish or pre-action; resolving before that is bounded by the same length, and
// neither the wait for other runs, or for their questions, nor a pause is counted. When it passes nothing more is published, nothing is killed, and
// what is still silent becomes no_return. Post-actions are bounded by their own limits only. When a slice's limit passes,
// its silent minions become no_return, and the run goes on. A run that is taken up after its timeout gets half a minute
// and gather to learn what became of its jobs. Cancelling is bounded by two minutes and the grace.
package machine
