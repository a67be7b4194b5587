// Package enginetest opens the store that tests of other packages run on: an
// SQLite file, or the engine on Redis, with a Redis in memory, where the
// environment has PEREZVON_TEST_STORE=redis. Both work in bubbles of
// testing/synctest.
package enginetest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"perezvon/internal/store/redis"
	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/store/storetest"
)

// envStore names the engine.
const envStore = "PEREZVON_TEST_STORE"

// OnRedis reports whether tests run on the Redis engine.
func OnRedis() bool { return os.Getenv(envStore) == "redis" }

// Store is what the engines offer.
type Store interface {
	storetest.Store
	storetest.Domains
}

// Open opens a store in dir, for a test that opens it once. The test closes it.
func Open(t testing.TB, dir string) Store {
	t.Helper()
	return New(t).Open(dir)
}

// Home is where a test's stores are: it opens one after the other and finds in
// the later ones what the earlier ones have stored.
type Home struct {
	t    testing.TB
	fake *redistest.Fake // nil: SQLite

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; of the process that lives
	life  int                   // guarded by mu; counts crashes
}

// New returns a home that goes when the test does, or its bubble.
func New(t testing.TB) *Home {
	t.Helper()
	h := &Home{t: t, conns: make(map[net.Conn]struct{})}
	if OnRedis() {
		h.fake = redistest.NewFake()
		t.Cleanup(h.fake.Close)
	}
	return h
}

// Open opens the store whose file lies in dir, or a new one.
func (h *Home) Open(dir string) Store {
	h.t.Helper()
	path := filepath.Join(dir, "perezvon.db")
	var db Store
	var err error
	if h.fake == nil {
		db, err = sqlite.Open(context.Background(), path, sqlite.Options{})
	} else {
		db, err = redis.Open(context.Background(), redis.Options{URL: "redis://localhost", Spool: path, Dialer: h.dialer()})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return db
}

// Crash cuts the stores that are open off from Redis, as the death of their
// process does. They are to be closed nevertheless.
func (h *Home) Crash() {
	h.mu.Lock()
	conns := h.conns
	h.conns = make(map[net.Conn]struct{})
	h.life++
	h.mu.Unlock()
	for c := range conns {
		_ = c.Close() // nobody is left to hear of it
	}
}

// dialer connects to the Redis in memory until the next crash.
func (h *Home) dialer() func(context.Context, string, string) (net.Conn, error) {
	h.mu.Lock()
	life := h.life
	h.mu.Unlock()
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.life != life {
			return nil, net.ErrClosed
		}
		c, err := h.fake.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tracked := &conn{Conn: c, home: h}
		h.conns[tracked] = struct{}{}
		return tracked, nil
	}
}

// conn is forgotten when it is closed.
type conn struct {
	net.Conn
	home *Home
}

func (c *conn) Close() error {
	c.home.mu.Lock()
	delete(c.home.conns, c)
	c.home.mu.Unlock()
	return c.Conn.Close()
}
