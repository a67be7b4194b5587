package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/storetest"
)

// inBubble is an engine whose Redis ends with it.
type inBubble struct {
	*DB
	fake *redistest.Fake
}

func (b inBubble) Close() error {
	defer b.fake.Close()
	return b.DB.Close()
}

func TestDomainsOfTheEngineOnARedisInMemory(t *testing.T) {
	t.Parallel()
	fakes := make(map[string]*redistest.Fake)
	storetest.RunDomains(t, storetest.Engine{Restless: true, Open: func(t *testing.T, dir string) storetest.Store {
		t.Helper()
		if time.Now().Year() == 2000 { // in a bubble, which nothing outlives
			fake := redistest.NewFake()
			return inBubble{openOn(t, dir, Options{URL: "redis://localhost", Dialer: fake.Dial, patience: 100}), fake}
		}
		if fakes[dir] == nil {
			fakes[dir] = newFake(t)
		}
		return openOn(t, dir, Options{URL: "redis://localhost", Dialer: fakes[dir].Dial, patience: 100})
	}})
}

func TestDomainsOfTheEngineOnARedisServer(t *testing.T) {
	t.Parallel()
	databases := make(map[string]string)
	storetest.RunDomains(t, storetest.Engine{RealTime: true, Open: func(t *testing.T, dir string) storetest.Store {
		t.Helper()
		if databases[dir] == "" {
			databases[dir] = shared.URL(int(shared.databases.Add(1)))
		}
		return openOn(t, dir, Options{URL: databases[dir], Dialer: shared.Dial, patience: 100})
	}})
}

// outage is a way to a Redis that can be cut.
type outage struct {
	fake *redistest.Fake

	mu    sync.Mutex
	cut   bool       // guarded by mu
	conns []net.Conn // guarded by mu
}

func (o *outage) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		return nil, io.EOF
	}
	conn, err := o.fake.Dial(ctx, network, addr)
	if err == nil {
		conn = lost{conn}
		o.conns = append(o.conns, conn)
	}
	return conn, err
}

// lost is a connection in memory that ends as one of the network does.
type lost struct{ net.Conn }

func (l lost) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	return n, asLost(err)
}

func (l lost) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	return n, asLost(err)
}

func (l lost) SetDeadline(t time.Time) error      { return asLost(l.Conn.SetDeadline(t)) }
func (l lost) SetReadDeadline(t time.Time) error  { return asLost(l.Conn.SetReadDeadline(t)) }
func (l lost) SetWriteDeadline(t time.Time) error { return asLost(l.Conn.SetWriteDeadline(t)) }

func asLost(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return io.EOF
	}
	return err
}

func (o *outage) set(cut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut = cut; !cut {
		return
	}
	for _, c := range o.conns {
		_ = c.Close()
	}
	o.conns = nil
}

// duringOutage runs f under virtual time with an engine whose Redis can be cut
// off.
func duringOutage(t *testing.T, f func(t *testing.T, d *DB, o *outage)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := &outage{fake: redistest.NewFake()}
		d := openOn(t, dir, Options{URL: "redis://localhost", Dialer: o.Dial})
		f(t, d, o)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		o.fake.Close()
		time.Sleep(2 * time.Second) // a pool that was out of luck looks once more before it ends
	})
}

func TestWhatIsCountedWhileRedisIsAwayIsMarkedAndCarriedThereLater(t *testing.T) {
	duringOutage(t, func(t *testing.T, d *DB, o *outage) {
		ctx := t.Context()
		day := store.Counter{Name: "minutes", Until: time.Now().Add(12 * time.Hour)}
		for _, step := range []struct {
			cut   bool
			n     int64
			total int64
			err   error
		}{
			{false, 4, 4, nil},
			{true, 3, 7, nil},
			{true, 4, 7, store.ErrExceeded},
			{true, 2, 9, nil},
			{false, 1, 10, nil},
			{false, 1, 10, store.ErrExceeded},
		} {
			o.set(step.cut)
			if !step.cut {
				time.Sleep(2 * probeLast)
			}
			c, err := d.AddCount(ctx, day, step.n, 10)
			if !errors.Is(err, step.err) || c != (store.Count{Total: step.total, Local: step.cut}) {
				t.Errorf("%+v: %+v, error %v", step, c, err)
			}
			c, err = d.ReadCount(ctx, day)
			if err != nil || c != (store.Count{Total: step.total, Local: step.cut}) {
				t.Errorf("%+v: read %+v, error %v", step, c, err)
			}
		}
	})
}

func TestRatesAndPausesWhileRedisIsAwayAreThisNodesOwn(t *testing.T) {
	duringOutage(t, func(t *testing.T, d *DB, o *outage) {
		ctx := t.Context()
		r := store.Rate{Name: "r", Every: time.Hour, Burst: 1, Cost: 1}
		o.set(true)
		for n := range 2 {
			if v, err := d.Allow(ctx, "portal", r); err != nil || v.Allowed != (n == 0) || !v.Local {
				t.Errorf("%+v, error %v", v, err)
			}
		}
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		if err := d.Pause(ctx, "other", until); err != nil {
			t.Fatal(err)
		}
		if p, err := d.Paused(ctx, "other"); err != nil || p != (store.Pause{Until: until, Local: true}) {
			t.Errorf("%+v, error %v", p, err)
		}
		o.set(false)
		time.Sleep(2 * probeLast)
		if p, err := d.Paused(ctx, "other"); err != nil || p != (store.Pause{Until: until}) {
			t.Errorf("afterwards %+v, error %v", p, err)
		}
	})
}

func TestNumbersAreBlockedWhileRedisIsAwayAndThereLater(t *testing.T) {
	duringOutage(t, func(t *testing.T, d *DB, o *outage) {
		ctx := t.Context()
		fail := func(number string, want int, blocked, local bool) {
			t.Helper()
			b, err := d.AddFailure(ctx, store.Failure{Number: number, At: time.Now(), Reason: "busy", Limit: 3})
			if err != nil || b.Failures != want || b.Blocked() != blocked || b.Local != local {
				t.Errorf("%+v, error %v", b, err)
			}
		}
		list := func(want int, local bool) {
			t.Helper()
			all, _, err := d.Blocks(ctx, store.BlockFilter{})
			if err != nil || len(all) != want || (want > 0 && all[0].Local != local) {
				t.Errorf("%+v, error %v", all, err)
			}
		}
		fail("+7", 1, false, false)
		o.set(true)
		fail("+7", 2, false, true)
		fail("+7", 3, true, true)
		list(1, true)
		o.set(false)
		time.Sleep(2 * probeLast)
		list(1, false)
		fail("+7", 4, true, false)
		o.set(true)
		if err := d.Unblock(ctx, "+7", store.Unblock{By: "anna", At: time.Now()}); err != nil {
			t.Error(err)
		}
		list(0, true)
		o.set(false)
		time.Sleep(2 * probeLast)
		list(0, false)
	})
}

// TestABlockOfAnotherNodeIsKnownDuringAnOutage counts at another node, which is
// played by what it would ship.
func TestABlockOfAnotherNodeIsKnownDuringAnOutage(t *testing.T) {
	duringOutage(t, func(t *testing.T, d *DB, o *outage) {
		ctx := t.Context()
		r := d.remote.(*remote)
		fail := func(seq int64) {
			t.Helper()
			ch, err := changesOf(store.ChangeBlockStep, []store.BlockStep{{Op: store.BlockFailed, At: time.Now(), Limit: 3}},
				func(store.BlockStep) string { return "+7" }, nil)
			if err != nil {
				t.Fatal(err)
			}
			ch[0].Seq = seq
			if err := r.ship(ctx, "other", ch); err != nil {
				t.Fatal(err)
			}
		}
		fail(1)
		fail(2)
		if b, err := d.AddFailure(ctx, store.Failure{Number: "+7", At: time.Now(), Limit: 3}); err != nil || b.Failures != 3 || !b.Blocked() {
			t.Errorf("counted over both: %+v, error %v", b, err)
		}
		o.set(true)
		if b, err := d.Block(ctx, "+7"); err != nil || !b.Blocked() || !b.Local {
			t.Errorf("while redis is away: %+v, error %v", b, err)
		}
	})
}

func TestJobsAreTakenWhileRedisIsAwayAndClaimedLater(t *testing.T) {
	duringOutage(t, func(t *testing.T, d *DB, o *outage) {
		ctx := t.Context()
		o.set(true)
		for _, id := range []string{"1", "2"} {
			if err := d.Enqueue(store.Job{ID: id, Kind: "k", Lane: "l"}).Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.ClaimJobs(ctx, "a", "k", time.Minute, 9); !errors.Is(err, store.ErrAway) {
			t.Errorf("error %v", err)
		}
		o.set(false)
		time.Sleep(2 * probeLast)
		for _, id := range []string{"1", "2"} {
			jobs, err := d.ClaimJobs(ctx, "a", "k", time.Minute, 9)
			if err != nil || len(jobs) != 1 || jobs[0].ID != id {
				t.Fatalf("%+v, error %v", jobs, err)
			}
			o.set(true)
			if err := d.JobDone(ctx, jobs[0]); !errors.Is(err, store.ErrAway) {
				t.Errorf("error %v", err)
			}
			o.set(false)
			time.Sleep(2 * probeLast)
			if err := d.JobDone(ctx, jobs[0]); err != nil {
				t.Error(err)
			}
		}
	})
}
