package saltlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

// Ports come from below the range that systems take for outgoing connections (32768 and up on Linux), so that none is
// taken away between the moment it is found free and the moment Salt listens on it, or while a master restarts. For the
// same reason each program begins its search at another port: tests of several packages start labs at once.
const (
	firstPort    = 20000
	lastPort     = 32000
	portsProgram = 31 // how far apart two programs begin
)

// reserved holds the ports of this program's labs: two that start at once must not find the same port free.
var reserved = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// reservePorts returns so many free ports of the loopback interface, which are this lab's until releasePorts.
func reservePorts(count int) ([]int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	var ports []int
	begin := os.Getpid() * portsProgram
	for tries := 0; tries < lastPort-firstPort && len(ports) < count; tries++ {
		port := firstPort + (begin+tries)%(lastPort-firstPort)
		if reserved.ports[port] {
			continue
		}
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("saltlab: cannot let go of port %d: %w", port, err)
		}
		reserved.ports[port] = true
		ports = append(ports, port)
	}
	if len(ports) < count {
		return nil, errors.New("saltlab: found no free port on 127.0.0.1 between " + strconv.Itoa(firstPort) + " and " + strconv.Itoa(lastPort))
	}
	return ports, nil
}

func releasePorts(ports []int) {
	reserved.Lock()
	defer reserved.Unlock()
	for _, port := range ports {
		delete(reserved.ports, port)
	}
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
