package saltlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports come from below the range that systems take for outgoing connections (32768 and up on Linux), so that none is
// taken away between the moment it is found free and the moment Salt listens on it, or while a master restarts.
const (
	firstPort = 20000
	lastPort  = 32000
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
	for tries := 0; tries < 1000 && len(ports) < count; tries++ {
		port := firstPort + rand.IntN(lastPort-firstPort) //nolint:gosec // no secret
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
