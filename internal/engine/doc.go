// Package engine carries runs from acceptance to the last outcome. It owns one goroutine for each run that is going on,
// which feeds the pure state machine of package machine with what happens and carries out what the machine asks for.
package engine
