package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// Ports are taken from below the range that the system hands out by itself, so
// that nobody else gets one between the choice and the use, and below the
// media ports of a server with defaults. Tests that run at once get different
// ones; another run of the tests begins elsewhere.
const (
	firstPort = 10000
	lastPort  = 19999
)

var nextPort = struct {
	sync.Mutex
	n int
}{n: firstPort + os.Getpid()%100*100}

// freePorts returns the first of n adjacent ports that are free for UDP and
// TCP on loopback, an even one.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	nextPort.Lock()
	defer nextPort.Unlock()
	for range lastPort - firstPort {
		if nextPort.n+n > lastPort {
			nextPort.n = firstPort
		}
		first := nextPort.n
		nextPort.n += n + n%2
		if allFree(first, n) {
			return first
		}
	}
	t.Fatalf("there are no %d adjacent free ports", n)
	return 0
}

func freePort(t *testing.T) int { t.Helper(); return freePorts(t, 1) }

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		u, err := net.ListenPacket("udp4", addr)
		if err != nil {
			return false
		}
		l, err := net.Listen("tcp4", addr)
		_ = u.Close()
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// bound reports whether somebody has a UDP socket at a port. The system is asked:
// who tried the port himself would now and then have it when somebody else wants it.
func bound(t *testing.T, port int) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(table)) {
		if fields := strings.Fields(row); len(fields) > 1 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			return true
		}
	}
	return false
}

// It is not a parallel test: phones choose ports of their own.
func TestWhoWaitsForAPortIsInNobodysWay(t *testing.T) {
	port, over := freePort(t), make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				bound(t, port)
			}
		}
	})
	defer waiting.Wait()
	defer close(over)
	for range 300 {
		if bound(t, port) {
			t.Fatal("somebody has the port")
		}
		socket, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		if !bound(t, port) {
			t.Error("the socket is not seen")
		}
		_ = socket.Close()
	}
}
