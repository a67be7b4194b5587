package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
)

func runLeases(t *testing.T, eng Engine) {
	t.Run("one holder at a time", func(t *testing.T) {
		s := opened(t, eng)
		l := acquire(t, s, "n", "a")
		for _, owner := range []string{"a", "b"} {
			if _, err := s.AcquireLease(t.Context(), "n", owner, time.Minute); !errors.Is(err, store.ErrHeld) {
				t.Errorf("owner %s: error %v", owner, err)
			}
		}
		acquire(t, s, "another", "b")
		release(t, s, l)
		acquire(t, s, "n", "b")
	})
	t.Run("of many at once one gets it", func(t *testing.T) {
		s := opened(t, eng)
		var got atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				switch _, err := s.AcquireLease(t.Context(), "n", "a", time.Minute); {
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
	t.Run("a lease that was lost stays with its new holder", func(t *testing.T) {
		s := opened(t, eng)
		old := acquire(t, s, "n", "a")
		release(t, s, old)
		if _, err := s.RenewLease(t.Context(), old, time.Minute); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("renew after release: error %v", err)
		}
		now := acquire(t, s, "n", "a")
		release(t, s, old)
		if _, err := s.RenewLease(t.Context(), old, time.Minute); !errors.Is(err, store.ErrHeld) {
			t.Errorf("renew of another's: error %v", err)
		}
		if _, err := s.RenewLease(t.Context(), now, time.Minute); err != nil {
			t.Errorf("the holder's renew: %v", err)
		}
	})
	t.Run("an owner's leases are dropped, the others' stay", func(t *testing.T) {
		s := opened(t, eng)
		acquire(t, s, "1", "a")
		acquire(t, s, "2", "a")
		acquire(t, s, "3", "b")
		if err := s.DropLeases(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		acquire(t, s, "1", "c")
		acquire(t, s, "2", "c")
		if _, err := s.AcquireLease(t.Context(), "3", "c", time.Minute); !errors.Is(err, store.ErrHeld) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a lease must last", func(t *testing.T) {
		s := opened(t, eng)
		for _, ttl := range []time.Duration{0, -time.Second} {
			if _, err := s.AcquireLease(t.Context(), "n", "a", ttl); err == nil {
				t.Errorf("acquired for %v", ttl)
			}
		}
	})
	t.Run("fences never go back", func(t *testing.T) { fencesGrow(t, eng) })
	t.Run("a lease runs out", func(t *testing.T) {
		timed(t, eng, func(t *testing.T, s Store) {
			l := acquire(t, s, "n", "a")
			l, err := s.RenewLease(t.Context(), l, eng.span())
			if err != nil {
				t.Fatal(err)
			}
			eng.pass()
			ranOut(t, s, l)
		})
	})
	if eng.RealTime {
		return
	}
	t.Run("a lease lasts to its last millisecond", func(t *testing.T) {
		bubble(t, eng, func(t *testing.T, s Store) {
			l := acquire(t, s, "n", "a")
			if off := time.Until(l.Until) - time.Minute; off.Abs() > time.Millisecond {
				t.Errorf("until %v, %v off", l.Until, off)
			}
			time.Sleep(40 * time.Second)
			l, err := s.RenewLease(t.Context(), l, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute - time.Millisecond)
			if _, err := s.AcquireLease(t.Context(), "n", "b", time.Minute); !errors.Is(err, store.ErrHeld) {
				t.Fatalf("just before the end: error %v", err)
			}
			time.Sleep(time.Millisecond)
			ranOut(t, s, l)
		})
	})
}

// ranOut holds that l is over and its name free for another.
func ranOut(t *testing.T, s Store, l store.Lease) {
	t.Helper()
	if _, err := s.RenewLease(t.Context(), l, time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("renewed too late: error %v", err)
	}
	other := acquire(t, s, "n", "b")
	if other.Fence <= l.Fence {
		t.Errorf("fence %d follows %d", other.Fence, l.Fence)
	}
	if _, err := s.RenewLease(t.Context(), l, time.Minute); !errors.Is(err, store.ErrHeld) {
		t.Errorf("the old holder's renew: error %v", err)
	}
}

func fencesGrow(t *testing.T, eng Engine) {
	dir := t.TempDir()
	run := func(t *testing.T) {
		var last int64
		s := eng.Open(t, dir)
		for step := range 12 {
			l, err := s.AcquireLease(t.Context(), "n", "a", eng.span())
			if err != nil {
				t.Fatal(err)
			}
			if l.Fence <= last {
				t.Fatalf("step %d: fence %d follows %d", step, l.Fence, last)
			}
			last = l.Fence
			switch step % 4 {
			case 0:
				release(t, s, l)
			case 1:
				eng.pass()
			case 2:
				eng.pass()
				if err := s.Prune(t.Context()); err != nil {
					t.Fatal(err)
				}
			case 3:
				if err := s.DropLeases(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
			}
			if step%3 == 0 {
				closed(t, s)
				s = eng.Open(t, dir)
			}
		}
		closed(t, s)
	}
	if eng.RealTime {
		run(t)
		return
	}
	synctest.Test(t, run)
}

// acquire takes a lease for a minute.
func acquire(t *testing.T, s Store, name, owner string) store.Lease {
	t.Helper()
	l, err := s.AcquireLease(t.Context(), name, owner, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if l.Name != name || l.Owner != owner {
		t.Errorf("asked for %s as %s, got %+v", name, owner, l)
	}
	return l
}

func release(t *testing.T, s Store, l store.Lease) {
	t.Helper()
	if err := s.ReleaseLease(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}
