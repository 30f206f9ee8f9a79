//go:build !linux

package jobdlab

import "syscall"

// ownGroup puts a process into a group of its own: a Ctrl-C on the terminal is for the caller, which stops it in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
