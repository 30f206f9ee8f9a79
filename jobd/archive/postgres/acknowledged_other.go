//go:build !linux

package postgres

import "syscall"

// acknowledged does nothing where the system has no such bound: callers have theirs.
func acknowledged(string, string, syscall.RawConn) error { return nil }
