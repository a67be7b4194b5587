// Package redistest gives tests a Redis: one in memory that works in bubbles of
// testing/synctest, and a real redis-server of their own.
package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Fake is a Redis in memory. What miniredis does not tell of a server, INFO and
// CONFIG GET, is told from its settings.
type Fake struct {
	*miniredis.Miniredis

	mu     sync.Mutex
	runs   int
	ticked time.Time             // guarded by mu; when keys last grew older
	peers  map[*server.Peer]bool // guarded by mu; connections, unlike scripts
	config map[string]string     // guarded by mu
	info   map[string]string     // guarded by mu
}

// NewFake starts a Redis that is set up as the store wants it. It has no port:
// Dial reaches it. Close it before the test, or its bubble, ends.
func NewFake() *Fake {
	f := &Fake{Miniredis: miniredis.NewMiniRedis()}
	f.ticked, f.peers = time.Now(), make(map[*server.Peer]bool)
	f.config = map[string]string{"appendfsync": "everysec"}
	f.info = map[string]string{
		"redis_version": "7.0.15", "redis_mode": "standalone", "role": "master", "loading": "0", "cluster_enabled": "0",
		"aof_enabled": "1", "maxmemory": "0", "maxmemory_policy": "noeviction", "config_file": "/etc/redis/redis.conf",
	}
	f.Restarted()
	conn, err := f.Miniredis.Dial() // makes its server
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
	f.Server().SetPreHook(f.hook)
	return f
}

// Dial makes a connection; it fits the Dialer option.
func (f *Fake) Dial(context.Context, string, string) (net.Conn, error) {
	conn, err := f.Miniredis.Dial()
	if err != nil {
		return nil, err
	}
	return buffered(conn), nil
}

// Config changes what CONFIG GET tells; an empty value: nothing is known of it.
func (f *Fake) Config(name, value string) { f.set(f.config, name, value) }

// Info changes a field of INFO; an empty value: it is not there.
func (f *Fake) Info(name, value string) { f.set(f.info, name, value) }

// Restarted gives the server another run id, as a new process has. Connections
// stay, unlike those of a real one.
func (f *Fake) Restarted() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs++
	f.info["run_id"] = fmt.Sprintf("%040x", f.runs)
}

func (f *Fake) set(m map[string]string, name, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if value == "" {
		delete(m, name)
		return
	}
	m[name] = value
}

// tick is how long keys may outlive their time: to look at all of them takes
// longer than most commands.
const tick = 50 * time.Millisecond

// age lets keys grow older with the clock of the process, or of the bubble.
func (f *Fake) age() {
	f.mu.Lock()
	passed := time.Since(f.ticked)
	due := passed < 0 || passed >= tick
	if due {
		f.ticked = time.Now()
	}
	f.mu.Unlock()
	if due {
		f.FastForward(max(0, passed))
	}
}

func (f *Fake) hook(c *server.Peer, cmd string, args ...string) bool {
	f.mu.Lock()
	if cmd == "INFO" {
		f.peers[c] = true // a connection begins with it, and no script asks for it
	}
	direct := f.peers[c]
	f.mu.Unlock()
	if direct { // within a script miniredis is locked
		f.age()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case cmd == "INFO":
		var text strings.Builder
		text.WriteString("# Server\r\n")
		for name, value := range f.info {
			text.WriteString(name + ":" + value + "\r\n")
		}
		c.WriteBulk(text.String())
	case cmd == "CONFIG" && len(args) > 1 && strings.EqualFold(args[0], "get"):
		var found []string
		for _, name := range args[1:] {
			if value, ok := f.config[name]; ok {
				found = append(found, name, value)
			}
		}
		c.WriteStrings(found)
	default:
		return false
	}
	return true
}
