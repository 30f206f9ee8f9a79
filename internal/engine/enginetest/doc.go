// Package enginetest is a Salt master with scripted minions, an archive and a run store, all in memory, for tests of the
// engine and of what stands on it. Its minions answer, stay silent, come late, refuse, die or are not there, as told.
package enginetest
