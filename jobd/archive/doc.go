// Package archive is what jobd remembers: every job and return of its masters, the events worth keeping, the runs, the
// definitions with their versions, tokens and sealed secrets. It has the [Store] interface that each database implements,
// the sealing of secrets and the cursors of lists; archivetest is the suite that every store passes.
package archive
