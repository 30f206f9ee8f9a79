package postgres

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT of Linux, which package syscall does not name.
const tcpUserTimeout = 18

// acknowledged bounds how long what was sent may go without being acknowledged.
func acknowledged(network, _ string, conn syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(sentWithin.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
