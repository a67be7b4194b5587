package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
)

func runCreate(t *testing.T, eng Engine) {
	t.Run("a created call is there with its events", func(t *testing.T) {
		s := opened(t, eng)
		want := fullCall()
		got, dup, err := s.CreateCall(t.Context(), want, store.Admission{}, event("a"), event("b"))
		if err != nil || dup {
			t.Fatalf("duplicate %v, error %v", dup, err)
		}
		same(t, "returned", got, want)
		if got, err = s.Call(t.Context(), want.ID); err != nil {
			t.Fatal(err)
		}
		same(t, "stored", got, want)
		evs, _, err := s.Events(t.Context(), store.EventFilter{CallID: want.ID})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "events", types(evs), []string{"a", "b"})
	})
	t.Run("an id is used once", func(t *testing.T) {
		s := opened(t, eng)
		create(t, s, newCall(1))
		c := newCall(1)
		c.Number = "+79169999999"
		if _, _, err := s.CreateCall(t.Context(), c, store.Admission{}, event("lost")); err == nil {
			t.Fatal("a second call of the same id was created")
		}
		evs, _, err := s.Events(t.Context(), store.EventFilter{})
		if err != nil || len(evs) != 0 {
			t.Errorf("events of a refused call: %v, error %v", evs, err)
		}
		create(t, s, newCall(2))
	})
	t.Run("a call needs an id", func(t *testing.T) {
		s := opened(t, eng)
		if _, _, err := s.CreateCall(t.Context(), store.Call{}, store.Admission{}); err == nil {
			t.Error("a call without an id was created")
		}
	})
	t.Run("nothing is created for a caller who has gone", func(t *testing.T) {
		s := opened(t, eng)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.CreateCall(ctx, newCall(1), store.Admission{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if _, err := s.Call(t.Context(), newCall(1).ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("keys", func(t *testing.T) { runKeys(t, eng) })
	t.Run("duplicates", func(t *testing.T) { runDuplicates(t, eng) })
}

// again repeats a request as a new call n and returns what CreateCall gives.
func again(t *testing.T, s Store, n int, number string, key *store.Key) (store.Call, bool, error) {
	t.Helper()
	c := newCall(n)
	c.Number = number
	return s.CreateCall(t.Context(), c, store.Admission{Key: key}, event("again"))
}

func runKeys(t *testing.T, eng Engine) {
	key := store.Key{Scope: "site", Value: "k", Hash: "h"}
	t.Run("a repeated key gives the call as it is now, also when it has ended", func(t *testing.T) {
		s := opened(t, eng)
		if _, dup, err := again(t, s, 1, "+7", &key); err != nil || dup {
			t.Fatalf("duplicate %v, error %v", dup, err)
		}
		first, err := s.Call(t.Context(), newCall(1).ID)
		if err != nil {
			t.Fatal(err)
		}
		now := ended(first)
		wait(t, s.SaveCall(now))
		got, dup, err := again(t, s, 2, "+7", &key)
		if err != nil || !dup {
			t.Fatalf("duplicate %v, error %v", dup, err)
		}
		same(t, "call", got, now)
		evs, _, err := s.Events(t.Context(), store.EventFilter{})
		if err != nil || len(evs) != 1 {
			t.Errorf("events %v, error %v", evs, err)
		}
	})
	t.Run("a key of another request is refused", func(t *testing.T) {
		s := opened(t, eng)
		if _, _, err := again(t, s, 1, "+7", &key); err != nil {
			t.Fatal(err)
		}
		other := key
		other.Hash = "other"
		if _, _, err := again(t, s, 2, "+8", &other); !errors.Is(err, store.ErrKeyReused) {
			t.Errorf("error %v", err)
		}
		other.Scope = "another"
		if _, dup, err := again(t, s, 3, "+9", &other); err != nil || dup {
			t.Errorf("in another scope: duplicate %v, error %v", dup, err)
		}
	})
	t.Run("a key that found an open callback keeps to it", func(t *testing.T) {
		s := opened(t, eng)
		create(t, s, newCall(1))
		number := newCall(1).Number
		if got, dup, err := again(t, s, 2, number, &key); err != nil || !dup || got.ID != newCall(1).ID {
			t.Fatalf("call %s, duplicate %v, error %v", got.ID, dup, err)
		}
		wait(t, s.SaveCall(ended(newCall(1))))
		if got, dup, err := again(t, s, 3, number, &key); err != nil || !dup || got.ID != newCall(1).ID {
			t.Errorf("call %s, duplicate %v, error %v", got.ID, dup, err)
		}
	})
	if eng.RealTime || eng.Restless {
		return
	}
	t.Run("a key is forgotten after 24 hours, with and without pruning", func(t *testing.T) {
		for _, prune := range []bool{false, true} {
			bubble(t, eng, func(t *testing.T, s Store) {
				if _, _, err := again(t, s, 1, "+7", &key); err != nil {
					t.Fatal(err)
				}
				wait(t, s.SaveCall(ended(newCall(1))))
				time.Sleep(24*time.Hour - time.Second)
				if prune {
					if err := s.Prune(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if _, dup, err := again(t, s, 2, "+8", &key); err != nil || !dup {
					t.Fatalf("within 24 hours: duplicate %v, error %v", dup, err)
				}
				time.Sleep(2 * time.Second)
				if prune {
					if err := s.Prune(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				other := key
				other.Hash = "other"
				if _, dup, err := again(t, s, 3, "+8", &other); err != nil || dup {
					t.Fatalf("after 24 hours: duplicate %v, error %v", dup, err)
				}
				if got, dup, err := again(t, s, 4, "+9", &other); err != nil || !dup || got.ID != newCall(3).ID {
					t.Errorf("used anew: call %s, duplicate %v, error %v", got.ID, dup, err)
				}
			})
		}
	})
}

func runDuplicates(t *testing.T, eng Engine) {
	t.Run("a callback is a duplicate while one to its line and number is open", func(t *testing.T) {
		s := opened(t, eng)
		first := newCall(1)
		create(t, s, first)
		if got, dup, err := again(t, s, 2, first.Number, nil); err != nil || !dup || got.ID != first.ID {
			t.Fatalf("call %s, duplicate %v, error %v", got.ID, dup, err)
		}
		line := newCall(3)
		line.Number, line.Line = first.Number, "other"
		create(t, s, line)
		inbound := newCall(4)
		inbound.Number, inbound.Kind = first.Number, store.KindInbound
		create(t, s, inbound)
		first.State = store.StateTalking
		wait(t, s.SaveCall(first))
		if got, dup, err := again(t, s, 5, first.Number, nil); err != nil || !dup || got.State != store.StateTalking {
			t.Fatalf("state %s, duplicate %v, error %v", got.State, dup, err)
		}
		wait(t, s.SaveCall(ended(first)))
		if _, dup, err := again(t, s, 6, first.Number, nil); err != nil || dup {
			t.Errorf("after the end: duplicate %v, error %v", dup, err)
		}
	})
	t.Run("inbound calls and calls without a number are never duplicates", func(t *testing.T) {
		s := opened(t, eng)
		for n := range 4 {
			c := newCall(n)
			c.Number = ""
			if n >= 2 {
				c.Number, c.Kind = "+7", store.KindInbound
			}
			create(t, s, c)
		}
	})
	t.Run("a create sees what was saved before it", func(t *testing.T) {
		s := opened(t, eng)
		for n := range 50 {
			c := newCall(n)
			c.Number = "+7"
			create(t, s, c) // the one before has ended, committed or not
			s.SaveCall(ended(c))
		}
	})
	t.Run("of many identical requests at once one creates the call", func(t *testing.T) {
		for _, key := range []*store.Key{nil, {Scope: "site", Value: "k", Hash: "h"}} {
			s := opened(t, eng)
			var mu sync.Mutex
			created, seen := 0, map[string]bool{}
			var wg sync.WaitGroup
			for n := range 20 {
				wg.Go(func() {
					got, dup, err := again(t, s, n, "+7", key)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Errorf("error %v", err)
					}
					if !dup {
						created++
					}
					seen[got.ID] = true
				})
			}
			wg.Wait()
			calls, _, err := s.Calls(t.Context(), store.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			if created != 1 || len(seen) != 1 || len(calls) != 1 {
				t.Errorf("%d created, %d different ones returned, %d stored", created, len(seen), len(calls))
			}
		}
	})
}
