// Package e2e tests the program as its users have it: the built binary with a
// configuration file, real sockets on loopback, real phones (baresip and
// linphone), a foreign SIP stack (SIPp), a provider's registrar and proxy
// (Kamailio), and the simulated carrier of internal/lab. The server is killed,
// starved and misconfigured on purpose.
//
// What is random comes from a seed that the test prints; E2E_SEED gives it
// again. Some tests may be made longer than CI has time for:
//
//	E2E_CHAOS=5000                     callbacks, one kill for every 25 of them
//	E2E_REDIS_KILLS=20                 so many kills of the server, and of Redis
//	E2E_LOAD=10m E2E_LOAD_RATE=10      how long, and callbacks a second
//
// With PEREZVON_TEST_STORE=redis (make e2e STORE=redis) every server keeps its
// records in a redis-server of its own, else in SQLite; the tests that are about
// Redis do so in any case.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the binary under test, built once.
var program string

// Most of a test's time is waiting, so that a few at once suit two cores; more
// would only disturb each other's sound.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Kamailio is in a folder that is not in everybody's PATH.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "perezvon-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "perezvon")
	build := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", program, "./cmd/perezvon")
	build.Dir, build.Stdout, build.Stderr = "..", os.Stderr, os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build:", err)
		return 1
	}
	return m.Run()
}

// packages are Debian's, by the program that they bring.
var packages = map[string]string{"baresip": "baresip-core", "kamailio": "kamailio", "linphone-daemon": "linphone-cli", "redis-server": "redis-server", "sipp": "sip-tester", "svmap": "sipvicious", "svwar": "sipvicious", "svcrack": "sipvicious", "espeak-ng": "espeak-ng", "tshark": "tshark"}

// need fails the test when a program that it runs is not there.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is missing: install Debian's package %s (make deps-test does it)", p, packages[p])
		}
	}
}
