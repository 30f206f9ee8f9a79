// Package soak plays scenarios on a real Salt master with simulated minions and a real jobd beside it: runs over minions that
// are silent, dying or hostile, the archive under load, a master that starts again, drift that is repaired. A scenario compares
// what jobd says with what the swarm's journal knows of each minion, and with the master's job cache.
package soak
