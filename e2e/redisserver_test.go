package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// testStore is the store that a test's server has unless the test says: with
// PEREZVON_TEST_STORE=redis a Redis of its own.
func testStore(t *testing.T) string {
	t.Helper()
	switch want := os.Getenv("PEREZVON_TEST_STORE"); want {
	case "", "sqlite":
		return "sqlite"
	case "redis":
		return newRedis(t).url()
	default:
		t.Fatalf("PEREZVON_TEST_STORE is %q; there are sqlite and redis", want)
		return ""
	}
}

// redisServer is a redis-server of a test's own, set as Debian's is but for its
// append-only file, which servers of ours insist on.
type redisServer struct {
	*process
	t        *testing.T
	dir      string
	port     int
	settings []string // more of the command line
}

func newRedis(t *testing.T, settings ...string) *redisServer {
	t.Helper()
	need(t, "redis-server")
	r := &redisServer{t: t, dir: t.TempDir(), port: freePort(t), settings: settings}
	r.start()
	return r
}

// start starts it, also again after its end, with what it has on its disk.
func (r *redisServer) start() {
	r.t.Helper()
	args := []string{
		"--bind", "127.0.0.1", "--port", fmt.Sprint(r.port), "--dir", r.dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
	}
	r.process = launch(r.t, "redis-server", r.dir, os.Environ(), "redis-server", append(args, r.settings...)...)
	eventually(r.t, 20*time.Second, "redis-server takes commands", func() bool {
		if !r.running() {
			r.t.Fatalf("redis-server ended with status %d", r.cmd.ProcessState.ExitCode())
		}
		answer, err := r.ask("PING")
		return err == nil && (answer == "+PONG" || strings.HasPrefix(answer, "-NOAUTH") || strings.HasPrefix(answer, "-NOPERM"))
	})
}

func (r *redisServer) addr() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

func (r *redisServer) url() string { return "redis://" + r.addr() }

// ask sends a command and returns the first line of the answer.
func (r *redisServer) ask(command string) (string, error) { return r.askIn(0, command) }

// askIn is ask in one of the databases.
func (r *redisServer) askIn(db int, command string) (string, error) {
	c, err := net.DialTimeout("tcp4", r.addr(), 2*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	commands, in := []string{command}, bufio.NewReader(c)
	if db > 0 {
		commands = []string{fmt.Sprintf("SELECT %d", db), command}
	}
	answer := ""
	for _, command := range commands {
		if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
			return "", err
		}
		if answer, err = in.ReadString('\n'); err != nil {
			return "", err
		}
	}
	return strings.TrimRight(answer, "\r\n"), nil
}

// tell is ask for what must succeed.
func (r *redisServer) tell(command string) {
	r.t.Helper()
	if answer, err := r.ask(command); err != nil || strings.HasPrefix(answer, "-") {
		r.t.Fatalf("%s: %s %v", command, answer, err)
	}
}
