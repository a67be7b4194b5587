package redis

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
)

func TestALeaseHasOneHolderAtATime(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		l := acquire(t, r, "n", "a")
		for _, owner := range []string{"a", "b"} {
			if _, err := r.acquireLease(t.Context(), "n", owner, time.Minute, 0); !errors.Is(err, store.ErrHeld) {
				t.Errorf("owner %s: error %v", owner, err)
			}
		}
		acquire(t, r, "another", "b")
		release(t, r, l)
		if _, err := r.renewLease(t.Context(), l, time.Minute); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("renew after release: error %v", err)
		}
		now := acquire(t, r, "n", "a")
		release(t, r, l)
		if _, err := r.renewLease(t.Context(), l, time.Minute); !errors.Is(err, store.ErrHeld) {
			t.Errorf("renew of another's: error %v", err)
		}
		if _, err := r.renewLease(t.Context(), now, time.Minute); err != nil {
			t.Errorf("the holder's renew: %v", err)
		}
		if now.Fence <= l.Fence {
			t.Errorf("fence %d follows %d", now.Fence, l.Fence)
		}
	})
}

func TestOfManyAtOnceOneGetsTheLease(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		var got atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				switch _, err := r.acquireLease(t.Context(), "n", "a", time.Minute, 0); {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, store.ErrHeld):
					t.Errorf("error %v", err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Errorf("%d got the lease", got.Load())
		}
	})
}

func TestAnOwnersLeasesAreDroppedAndTheOthersStay(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		acquire(t, r, "1", "a")
		acquire(t, r, "2", "a")
		lost := acquire(t, r, "4", "a")
		release(t, r, lost)
		acquire(t, r, "4", "b")
		acquire(t, r, "3", "b")
		for range 2 {
			if err := r.dropLeases(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		acquire(t, r, "1", "c")
		acquire(t, r, "2", "c")
		for _, name := range []string{"3", "4"} {
			if _, err := r.acquireLease(t.Context(), name, "c", time.Minute, 0); !errors.Is(err, store.ErrHeld) {
				t.Errorf("lease %s: error %v", name, err)
			}
		}
	})
}

func TestALeaseMustLast(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		l := acquire(t, r, "held", "a")
		for _, ttl := range []time.Duration{0, -time.Second, time.Microsecond} {
			if _, err := r.acquireLease(t.Context(), "n", "a", ttl, 0); err == nil {
				t.Errorf("acquired for %v", ttl)
			}
			if _, err := r.renewLease(t.Context(), l, ttl); err == nil {
				t.Errorf("renewed for %v", ttl)
			}
		}
	})
}

func TestAFenceIsGreaterThanThoseOfTheNodesOwnFile(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		first := acquire(t, r, "n", "a")
		release(t, r, first)
		const ahead = 1 << 40
		l, err := r.acquireLease(t.Context(), "n", "a", time.Minute, first.Fence+ahead)
		if err != nil || l.Fence <= first.Fence+ahead {
			t.Errorf("fence %d, error %v", l.Fence, err)
		}
		release(t, r, l)
		if next := acquire(t, r, "n", "a"); next.Fence <= l.Fence {
			t.Errorf("fence %d follows %d", next.Fence, l.Fence)
		}
	})
}

func TestAnAttemptWhoseAnswerWasLostIsTheSameAttempt(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		token := uuid.NewString()
		try := func(token string) (string, error) {
			return r.run(t.Context(), "lease_acquire", leaseSlot("n"), "a", token, 60000, 0).Text()
		}
		first, err := try(token)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := try(token); err != nil || again != first {
			t.Errorf("fence %s, then %s, error %v", first, again, err)
		}
		if other, err := try(uuid.NewString()); err == nil {
			t.Errorf("another attempt got fence %s", other)
		}
	})
}

func TestALeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := redistest.NewFake()
		defer fake.Close()
		r, err := dial(Options{URL: "redis://localhost", Dialer: fake.Dial})
		if err != nil {
			t.Fatal(err)
		}
		acknowledge(t, r)
		l := acquire(t, r, "n", "a")
		if want := time.Now().Add(time.Minute); !l.Until.Equal(want) {
			t.Errorf("until %v, want %v", l.Until, want)
		}
		time.Sleep(40 * time.Second)
		if l, err = r.renewLease(t.Context(), l, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if _, err := r.acquireLease(t.Context(), "n", "b", time.Minute, 0); !errors.Is(err, store.ErrHeld) {
			t.Fatalf("just before the end: error %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := r.renewLease(t.Context(), l, time.Minute); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("renewed too late: error %v", err)
		}
		other := acquire(t, r, "n", "b")
		if other.Fence <= l.Fence {
			t.Errorf("fence %d follows %d", other.Fence, l.Fence)
		}
		time.Sleep(48 * time.Hour)
		if forgotten := acquire(t, r, "n", "c"); forgotten.Fence <= other.Fence {
			t.Errorf("fence %d follows %d", forgotten.Fence, other.Fence)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
}

func acquire(t *testing.T, r *remote, name, owner string) store.Lease {
	t.Helper()
	l, err := r.acquireLease(t.Context(), name, owner, time.Minute, 0)
	if err != nil {
		t.Fatal(err)
	}
	if l.Name != name || l.Owner != owner {
		t.Errorf("asked for %s as %s, got %+v", name, owner, l)
	}
	return l
}

func release(t *testing.T, r *remote, l store.Lease) {
	t.Helper()
	if err := r.releaseLease(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}
