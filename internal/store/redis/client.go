// Package redis keeps the records of package store in Redis 7, where several
// nodes can share them. Each node writes to a file of its own first, and what
// was written there is shipped here; see docs/storage.md.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"perezvon/internal/store"
)

// Every command is bounded by its context; these bounds hold where it has none.
// A command that got no answer is sent once more, which also covers a
// connection that the server closed while it was idle: every script is safe to
// run twice. More patience than that is the link's business, not the client's.
const (
	dialTimeout     = 2 * time.Second
	readTimeout     = 3 * time.Second
	poolTimeout     = time.Second
	poolSize        = 16
	maxRetries      = 1
	minRetryBackoff = 8 * time.Millisecond
	maxRetryBackoff = 50 * time.Millisecond
	idleTime        = 5 * time.Minute // below the usual idle timeouts of firewalls
)

// Options are what Open may be told. The zero value of what is not said to be
// needed is usable.
type Options struct {
	// URL says where the Redis is, and is needed: redis://, rediss:// (TLS),
	// redis-sentinel:// or redis-cluster://, see docs/storage.md.
	URL string
	// Spool is the path of this node's own file, and is needed.
	Spool string
	// Logger is where outages and trouble with the disk are told; nil: nowhere.
	Logger *slog.Logger
	// Dialer makes connections instead of the network; nil: the network. TLS
	// is done on top of it.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	patience int // how many times longer than usual Redis is waited for, on machines that are busy with tests; 0: once
}

// errReopened is about a server process that is not the one known so far: it
// was started again, or another one took over. What it has may lack the last
// writes. Nothing is asked of it before reopened was called.
var errReopened = errors.New("redis was started again or another one took over")

// remote is a Redis. Its methods may be called from any goroutine and return
// when their context ends, whatever the server does.
type remote struct {
	where   string // for people, without credentials
	addr    string // host:port of the only process; empty: there are several, or Sentinel knows
	scripts scripts
	data    goredis.UniversalClient // its connections are to processes in runs
	probe   goredis.UniversalClient // may ask any process what it is
	blocked goredis.UniversalClient // for follow; guarded as data
	clashed func(clash)             // is told what shipping finds; nil: nobody; set before anything is shipped

	mu     sync.RWMutex
	runs   map[string]bool // guarded by mu; processes that reopened was told of
	closed bool            // guarded by mu
	work   sync.WaitGroup  // commands under way; begun under mu while not closed
}

// dial prepares the connections to a Redis and makes none yet. The error is
// about the URL.
func dial(opts Options) (*remote, error) {
	logging.Disable() // the library would write to stderr; errors tell the same
	t, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	base := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	d := dialer{base: opts.Dialer, tls: t.tls}
	if d.base == nil {
		d.base = base.DialContext
	}
	r := &remote{where: t.where, scripts: newScripts(), runs: make(map[string]bool)}
	if t.master == "" && !t.cluster {
		r.addr = t.addrs[0]
	}
	r.data = t.client(d.dial, poolSize, r.known)
	r.blocked = t.client(d.dial, 1, r.known)
	r.probe = t.client(d.dial, 2, nil)
	return r, nil
}

// ready says whether commands would be sent. Connections that could not be made
// during an outage are tried again once a second only; until then the client
// answers with what went wrong before.
func (r *remote) ready(ctx context.Context) error {
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, errors.Join(r.data.Ping(ctx).Err(), r.blocked.Ping(ctx).Err())
	})
	return err
}

// close ends the connections and waits for commands that nobody waits for any
// more. It may be called twice.
func (r *remote) close() error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if !first {
		return nil
	}
	err := errors.Join(r.data.Close(), r.probe.Close(), r.blocked.Close())
	r.work.Wait()
	return err
}

// known refuses a connection to a process that reopened was not told of.
func (r *remote) known(ctx context.Context, cn *goredis.Conn) error {
	text, err := cn.Info(ctx, "server").Result()
	if err != nil {
		return fmt.Errorf("ask who it is: %w", err)
	}
	info := parseInfo(text)
	if info["redis_mode"] == "sentinel" {
		return nil // it is asked for the master only
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.runs[info["run_id"]] {
		return errReopened
	}
	return nil
}

// within runs f and returns when f does or ctx ends, whichever is first: the
// client keeps deadlines, but a context that is cancelled does not end a read.
// f must not touch what its caller looks at afterwards but for its result.
func within[T any](ctx context.Context, r *remote, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if err := context.Cause(ctx); err != nil {
		return none, err
	}
	got := make(chan answer, 1)
	if !r.begin(func() {
		value, err := f(ctx)
		got <- answer{value, err}
	}) {
		return none, store.ErrClosed
	}
	select {
	case a := <-got:
		return a.value, r.explain(ctx, a.err)
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// begin runs f in a goroutine that close waits for, unless it is too late.
func (r *remote) begin(f func()) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return false
	}
	r.work.Go(f)
	return true
}

// explain makes of an error of the client's what callers can tell apart.
func (r *remote) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, goredis.ErrClosed) {
		return store.ErrClosed
	}
	var timeout net.Error
	if deadline, ok := ctx.Deadline(); ok && errors.As(err, &timeout) && timeout.Timeout() && !time.Now().Before(deadline.Add(-time.Millisecond)) {
		return context.DeadlineExceeded // the socket noticed it before the context
	}
	return err
}
