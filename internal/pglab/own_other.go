//go:build !linux

package pglab

import "syscall"

// own is a process group of its own under another user.
func own(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: owner}
}
