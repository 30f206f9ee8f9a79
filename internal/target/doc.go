// Package target checks the syntax of target expressions, so that a mistake is named when it is written and not when a job
// reaches nobody. What Salt would take is never refused, but for expressions that can match no minion.
package target
