package redis

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
)

// realNode is an engine on a redis-server of its own.
type realNode struct {
	*DB
	t      *testing.T
	server *redistest.Server
	dir    string
	said   *lockedBuffer
	saved  int // events that were stored
}

func onServer(t *testing.T) *realNode {
	t.Helper()
	t.Parallel()
	s, err := redistest.Start()
	if err != nil {
		t.Fatal(err)
	}
	n := &realNode{t: t, server: s, dir: t.TempDir(), said: &lockedBuffer{}}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	n.open()
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *realNode) open() {
	n.t.Helper()
	n.DB = openOn(n.t, n.dir, Options{URL: n.server.URL(0), Dialer: n.server.Dial, Logger: slog.New(slog.NewTextHandler(n.said, nil))})
}

// admin tells the server something, as its administrator.
func (n *realNode) admin(args ...any) {
	n.t.Helper()
	c := goredis.NewClient(&goredis.Options{Dialer: n.server.Dial, Protocol: 2, MaxRetries: -1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Do(ctx, args...).Err(); err != nil {
		n.t.Fatal(err)
	}
}

// write stores events of three calls, so many of each.
func (n *realNode) write(each int) {
	n.t.Helper()
	var last *store.Commit
	for range each {
		for id := range 3 {
			n.saved++
			last = n.SaveCall(testCall(fmt.Sprint(id), store.StateTalking), store.Event{Type: fmt.Sprint(n.saved), At: start()})
		}
	}
	if err := last.Wait(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// until waits for what comes about by itself.
func (n *realNode) until(what string, is func() bool) {
	n.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			h, err := n.Health(n.t.Context())
			n.t.Fatalf("%s does not come about; health %+v, error %v", what, h, err)
		}
	}
}

func (n *realNode) isUp() bool {
	up, _ := n.link.state()
	return up
}

// arrived waits until all that was stored is in Redis, in order and once.
func (n *realNode) arrived() {
	n.t.Helper()
	n.until("the end of the backlog", func() bool {
		h, err := n.Health(n.t.Context())
		return err == nil && h.Up && h.Backlog == 0
	})
	want := 0
	for after := ""; ; {
		evs, next, err := n.Events(n.t.Context(), store.EventFilter{After: after, Limit: 1000})
		if err != nil {
			n.t.Fatal(err)
		}
		for _, e := range evs {
			if want++; e.Type != fmt.Sprint(want) {
				n.t.Fatalf("event %s stands where %d belongs", e.Type, want)
			}
		}
		if after = next; next == "" {
			break
		}
	}
	if want != n.saved {
		n.t.Errorf("%d events of %d have arrived", want, n.saved)
	}
}

func TestOutagesOfAServer(t *testing.T) {
	for name, o := range map[string]struct{ begin, end func(n *realNode) }{
		"killed": {
			func(n *realNode) { n.must(n.server.Kill()) },
			func(n *realNode) { n.must(n.server.Run()) },
		},
		"frozen": {
			func(n *realNode) { n.must(n.server.Freeze()) },
			func(n *realNode) { n.must(n.server.Thaw()) },
		},
		"out of memory": {
			func(n *realNode) { n.admin("CONFIG", "SET", "maxmemory", "1") },
			func(n *realNode) { n.admin("CONFIG", "SET", "maxmemory", "0") },
		},
		"made a replica": {
			func(n *realNode) { n.admin("REPLICAOF", "127.0.0.1", "1") },
			func(n *realNode) { n.admin("REPLICAOF", "NO", "ONE") },
		},
		"another password": {
			func(n *realNode) {
				n.admin("ACL", "SETUSER", "admin", "on", "nopass", "allkeys", "allchannels", "allcommands")
				n.admin("CONFIG", "SET", "requirepass", "secret")
				n.as("admin", "CLIENT", "KILL", "TYPE", "normal")
			},
			func(n *realNode) { n.as("admin", "CONFIG", "SET", "requirepass", "") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := onServer(t)
			n.write(10)
			n.arrived()
			o.begin(n)
			n.write(10)
			began := time.Now()
			for i := range 5 {
				id := fmt.Sprint("away", i)
				c, dup, err := n.CreateCall(t.Context(), testCall(id, store.StateQueued), store.Admission{})
				if err != nil || dup || c.Durability != store.DurabilityLocal {
					t.Errorf("call %+v, duplicate %v, error %v", c, dup, err)
				}
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("five calls waited %v", took)
			}
			n.until("the outage", func() bool { return !n.isUp() })
			n.write(10)
			o.end(n)
			n.until("the end of the outage", n.isUp)
			n.write(10)
			n.arrived()
		})
	}
}

func (n *realNode) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// as is admin as a user whom no password keeps out.
func (n *realNode) as(user string, args ...any) {
	n.t.Helper()
	c := goredis.NewClient(&goredis.Options{Dialer: n.server.Dial, Protocol: 2, MaxRetries: -1, Username: user, Password: "any"})
	defer c.Close()
	if err := c.Do(n.t.Context(), args...).Err(); err != nil {
		n.t.Fatal(err)
	}
}

func TestASecondThatAServerLostIsSentAgain(t *testing.T) {
	n := onServer(t)
	n.write(20)
	n.arrived()
	before := filepath.Join(t.TempDir(), "before")
	n.must(os.CopyFS(before, os.DirFS(filepath.Join(n.server.Dir(), "appendonlydir"))))
	n.write(20)
	n.arrived()
	n.must(n.server.Kill())
	n.must(os.RemoveAll(filepath.Join(n.server.Dir(), "appendonlydir")))
	n.must(os.CopyFS(filepath.Join(n.server.Dir(), "appendonlydir"), os.DirFS(before)))
	n.must(n.server.Run())
	n.until("the end of the outage", func() bool { return n.said.has("redis is back") })
	n.write(20)
	n.arrived()
}

func TestAServerThatWasFlushedIsFilledAgain(t *testing.T) {
	n := onServer(t)
	n.write(20)
	n.arrived()
	n.admin("FLUSHALL")
	n.until("a word of it", func() bool { return n.said.has("redis has lost what was in it") })
	n.write(20)
	n.arrived()
	if calls, _, err := n.Calls(t.Context(), store.Filter{}); err != nil || len(calls) != 3 {
		t.Errorf("%d calls, error %v", len(calls), err)
	}
}

func TestASetUpThatLosesRecordsIsRefused(t *testing.T) {
	n := onServer(t)
	n.must(n.Close())
	n.admin("CONFIG", "SET", "appendonly", "no")
	_, err := Open(t.Context(), Options{URL: n.server.URL(0), Dialer: n.server.Dial, Spool: filepath.Join(n.dir, "perezvon.db")})
	if err == nil || !strings.Contains(err.Error(), "appendonly yes") {
		t.Errorf("error %v", err)
	}
}

// greatBacklog is of so many batches that what grew with it would show.
const greatBacklog = 20_000

func TestAGreatBacklogIsWorkedOffBesideLiveTraffic(t *testing.T) {
	n := onServer(t)
	n.must(n.server.Kill())
	n.until("the outage", func() bool { return !n.isUp() })
	var last *store.Commit
	for range greatBacklog {
		n.saved++
		last = n.SaveCall(testCall(fmt.Sprint("backlog", n.saved), store.StateEnded), store.Event{Type: fmt.Sprint(n.saved), At: start()})
	}
	n.must(last.Wait(t.Context()))
	h, err := n.Health(t.Context())
	if err != nil || h.Backlog < greatBacklog {
		t.Fatalf("health %+v, error %v", h, err)
	}
	n.must(n.server.Run())
	n.until("the end of the outage", n.isUp)
	var slowest time.Duration
	var most uint64
	for {
		began := time.Now()
		n.write(1)
		slowest = max(slowest, time.Since(began))
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		if h, err := n.Health(t.Context()); err == nil && h.Backlog < 100 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	n.arrived()
	t.Logf("the slowest write beside it took %v, the heap had %d MiB at most", slowest, most>>20)
	if most > 128<<20 {
		t.Errorf("the heap grew to %d MiB", most>>20)
	}
}
