// Package gaea holds Gaea's domain: the things users name (target groups, job templates, state assignments), the things
// Salt does (jobs, returns, events) and what Gaea makes of them (runs, drift). It has types, their validation and the small
// interfaces that the other packages meet at, and imports the standard library only.
package gaea
