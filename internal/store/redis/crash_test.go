package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
)

// own starts a redis-server for one test.
func own(t testing.TB, args ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Start(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestNothingIsLostThatIsSentAgain kills a server again and again while a node
// ships, and sends from the beginning each time.
func TestNothingIsLostThatIsSentAgain(t *testing.T) {
	t.Parallel()
	s := own(t)
	r := connected(t, s.URL(0), s.Dial)
	batch := life(t, 60)
	for kill := range 4 {
		upTo := len(batch) * (kill + 1) / 4
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // what it is told while it dies may be there or not
			for i := 0; i < upTo && ctx.Err() == nil; i += 3 {
				if err := r.ship(ctx, "node", batch[i:min(i+3, upTo)]); err != nil {
					return
				}
			}
		})
		if kill%2 == 0 {
			wg.Wait()
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		cancel()
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		if err := r.ship(t.Context(), "node", batch[upTo-1:upTo]); !errors.Is(err, errReopened) {
			t.Fatalf("the newest change was taken before those that are lost: %v", err)
		}
		acknowledge(t, r)
		ship(t, r, batch[:upTo])
	}
	ship(t, r, batch)
	other := onFake(t, newFake(t))
	ship(t, other, batch)
	same(t, "everything", read(t, r), read(t, other))
	inOrder(t, r)
}

// TestTheLastSecondIsSentAgain takes the last writes out of what a server finds
// on its disk, as a crash of the machine would.
func TestTheLastSecondIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, lost := range []int64{1, 700, 5000, 30000} {
		s := own(t)
		r := connected(t, s.URL(0), s.Dial)
		batch := life(t, 20)
		for i := 0; i < len(batch); i += 10 {
			ship(t, r, batch[i:min(i+10, len(batch))])
		}
		seen, err := r.lastEvent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Lose(lost); err != nil {
			t.Fatal(err)
		}
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		acknowledge(t, r)
		ship(t, r, batch)
		other := onFake(t, newFake(t))
		ship(t, other, batch)
		same(t, fmt.Sprintf("everything without the last %d bytes", lost), read(t, r), read(t, other))
		inOrder(t, r)
		evs, _, err := r.events(t.Context(), store.EventFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range evs {
			if n, _ := store.ParseEventID(e.ID); n > eventJump && e.ID <= seen {
				t.Errorf("event %s was sent again under an id that readers have passed", e.ID)
			}
		}
	}
}

// inOrder checks that the events of each call are in the order of their writing.
func inOrder(t *testing.T, r *remote) {
	t.Helper()
	want := []string{"created", "state", "leg", "ended"}
	for _, c := range read(t, r).Calls {
		evs, _, err := r.events(t.Context(), store.EventFilter{CallID: c.ID})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range evs {
			if e.Type != want[i] {
				t.Errorf("call %s: event %d is %s", c.ID, i, e.Type)
			}
		}
		if (len(evs) == 4) != (c.State == store.StateEnded) || len(evs) < 3 {
			t.Errorf("call %s is %s and has %d events", c.ID, c.State, len(evs))
		}
	}
}

func TestAFrozenServerHoldsNobodyBeyondTheContext(t *testing.T) {
	t.Parallel()
	s := own(t)
	r := connected(t, s.URL(0), s.Dial)
	ship(t, r, life(t, 2))
	lease := acquire(t, r, "n", "a")
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	adm := store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}}
	methods := map[string]func(ctx context.Context) error{
		"check":    func(ctx context.Context) error { _, _, err := r.check(ctx); return err },
		"reopened": func(ctx context.Context) error { return r.reopened(ctx, "x") },
		"ship":     func(ctx context.Context) error { return r.ship(ctx, "node", life(t, 3)) },
		"applied":  func(ctx context.Context) error { _, err := r.applied(ctx, "node"); return err },
		"call":     func(ctx context.Context) error { _, err := r.call(ctx, newCall(1).ID); return err },
		"calls":    func(ctx context.Context) error { _, _, err := r.calls(ctx, store.Filter{}); return err },
		"open":     func(ctx context.Context) error { _, err := r.openCalls(ctx); return err },
		"events":   func(ctx context.Context) error { _, _, err := r.events(ctx, store.EventFilter{}); return err },
		"of call": func(ctx context.Context) error {
			_, _, err := r.events(ctx, store.EventFilter{CallID: newCall(1).ID})
			return err
		},
		"last":     func(ctx context.Context) error { _, err := r.lastEvent(ctx); return err },
		"follow":   func(ctx context.Context) error { _, err := r.follow(ctx, ""); return err },
		"traces":   func(ctx context.Context) error { _, err := r.traces(ctx, newCall(1).ID); return err },
		"dialogs":  func(ctx context.Context) error { _, err := r.dialogs(ctx); return err },
		"bindings": func(ctx context.Context) error { _, err := r.bindings(ctx); return err },
		"dnd":      func(ctx context.Context) error { _, err := r.dnd(ctx); return err },
		"admit":    func(ctx context.Context) error { _, _, err := r.admit(ctx, newCall(9), adm); return err },
		"retract":  func(ctx context.Context) error { return r.retract(ctx, "x", newCall(9), adm) },
		"acquire":  func(ctx context.Context) error { _, err := r.acquireLease(ctx, "m", "a", time.Minute, 0); return err },
		"renew":    func(ctx context.Context) error { _, err := r.renewLease(ctx, lease, time.Minute); return err },
		"release":  func(ctx context.Context) error { return r.releaseLease(ctx, lease) },
		"drop":     func(ctx context.Context) error { return r.dropLeases(ctx, "a") },
		"export":   func(ctx context.Context) error { return r.export(ctx, func(store.Change) error { return nil }) },
		"import":   func(ctx context.Context) error { return r.importAll(ctx, life(t, 1)) },
		"empty":    func(ctx context.Context) error { _, err := r.empty(ctx); return err },
		"ended":    func(ctx context.Context) error { _, err := r.pruneEnded(ctx, time.Now()); return err },
		"loose":    func(ctx context.Context) error { _, err := r.pruneEvents(ctx, time.Now()); return err },
		"old":      func(ctx context.Context) error { _, err := r.pruneTraces(ctx, time.Now()); return err },
		"expired":  func(ctx context.Context) error { _, err := r.expired(ctx, store.Expiry{Calls: time.Now()}); return err },
	}
	var wg sync.WaitGroup
	for name, method := range methods {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := method(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s within a deadline: error %v", name, err)
			}
			cause := errors.New("the caller has gone")
			gone, leave := context.WithCancelCause(context.Background())
			stop := context.AfterFunc(ctx, func() { leave(cause) }) // ctx has ended
			defer stop()
			if err := method(gone); !errors.Is(err, cause) {
				t.Errorf("%s for a caller who goes: error %v", name, err)
			}
		})
	}
	wg.Wait()
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	acknowledge(t, r)
	if _, err := r.renewLease(t.Context(), lease, time.Minute); err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("when it goes on: %v", err)
	}
}

func TestAClosedConnectionRefusesEverything(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		other, err := dial(Options{URL: "redis://localhost", Dialer: newFake(t).Dial})
		if err != nil {
			t.Fatal(err)
		}
		acknowledge(t, other)
		for range 2 {
			if err := other.close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := other.lastEvent(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("error %v", err)
		}
		if _, _, err := other.check(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("error %v", err)
		}
		if _, err := r.lastEvent(t.Context()); err != nil {
			t.Errorf("another is closed, too: %v", err)
		}
	})
}

func TestCloseEndsAFollower(t *testing.T) {
	t.Parallel()
	s := own(t)
	r := connected(t, s.URL(0), s.Dial)
	done := make(chan error)
	go func() {
		_, err := r.follow(context.Background(), "")
		done <- err
	}()
	for r.blocked.PoolStats().TotalConns == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, store.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
