// Package drift turns the returns of state runs into drift: it tells which runs are evidence for an assignment
// (fingerprints), what each state says that differs (labels and texts), which states never settle, and how an assignment
// stands on all its minions (the report). Everything here is a pure function of its input.
package drift
