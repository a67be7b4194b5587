package redis

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"perezvon/internal/store/redis/redistest"
)

// shared is the redis-server that the tests share, each with a database of its
// own.
var shared struct {
	*redistest.Server
	databases atomic.Int32
}

func TestMain(m *testing.M) {
	s, err := redistest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.Server = s
	// A pool that could not connect looks again a second after it was closed.
	dialling := goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), dialling, goleak.Cleanup(func(code int) {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// both runs a test on a Redis in memory and on a redis-server.
func both(t *testing.T, f func(t *testing.T, r *remote)) {
	t.Helper()
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		f(t, onFake(t, newFake(t)))
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		f(t, onReal(t))
	})
}

func newFake(t testing.TB) *redistest.Fake {
	t.Helper()
	fake := redistest.NewFake()
	t.Cleanup(fake.Close)
	return fake
}

// onFake connects to a Redis in memory.
func onFake(t testing.TB, f *redistest.Fake) *remote {
	t.Helper()
	return connected(t, "redis://localhost", f.Dial)
}

// onReal connects to an empty database of the shared redis-server.
func onReal(t testing.TB) *remote {
	t.Helper()
	n := int(shared.databases.Add(1))
	if n >= redistest.Databases {
		t.Fatal("there are more tests than databases")
	}
	r := connected(t, shared.URL(n), shared.Dial)
	t.Cleanup(func() {
		if err := r.probe.FlushDB(context.Background()).Err(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// connected connects and acknowledges the process.
func connected(t testing.TB, url string, dialer func(context.Context, string, string) (net.Conn, error)) *remote {
	t.Helper()
	r, err := dial(Options{URL: url, Dialer: dialer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	acknowledge(t, r)
	return r
}

func acknowledge(t testing.TB, r *remote) {
	t.Helper()
	info, problems, err := r.check(t.Context())
	if err != nil || len(problems) > 0 {
		t.Fatalf("problems %v, error %v", problems, err)
	}
	if err := r.reopened(t.Context(), info.RunID); err != nil {
		t.Fatal(err)
	}
}

// start is when the tests' calls are created.
func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
