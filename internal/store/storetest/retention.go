package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
)

// endedAt returns a call that was created n seconds after start and ended then.
func endedAt(n int, at time.Time) store.Call {
	c := ended(newCall(n))
	c.EndedAt = &at
	return c
}

func runRetention(t *testing.T, eng Engine) {
	t.Run("a call goes with its events and its trace", func(t *testing.T) { timed(t, eng, runPruneCalls) })
	t.Run("a call with a great many events goes wholly", func(t *testing.T) { timed(t, eng, runPruneLong) })
	t.Run("of events of no call the old ones go", func(t *testing.T) { timed(t, eng, runPruneEvents) })
	t.Run("an event's id is never given again", func(t *testing.T) { runPruneIDs(t, eng) })
	t.Run("nothing has served its time before the zero time", func(t *testing.T) {
		timed(t, eng, func(t *testing.T, s Store) {
			wait(t, s.SaveCall(endedAt(1, start()), event("a")))
			wait(t, s.SaveEvents(event("b")))
			same(t, "expired", expired(t, s, store.Expiry{}), store.Expired{})
			prune(t, s, store.Expiry{}, store.Expired{})
		})
	})
	t.Run("whoever stops it gets his error, and the rest goes the next time", func(t *testing.T) {
		timed(t, eng, func(t *testing.T, s Store) {
			for n := range 600 {
				s.SaveCall(endedAt(n, start()), event("a"))
			}
			wait(t, s.SaveEvents(event("b")))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if n, err := s.PruneCalls(ctx, start().Add(time.Hour)); !errors.Is(err, context.Canceled) || n >= 600 {
				t.Errorf("%d calls, error %v", n, err)
			}
			if _, err := s.PruneCalls(t.Context(), start().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			evs, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
			if calls, _, errCalls := s.Calls(t.Context(), store.Filter{}); err != nil || errCalls != nil || len(calls) != 0 || len(evs) != 1 {
				t.Errorf("%d calls and %d events are left, errors %v, %v", len(calls), len(evs), errCalls, err)
			}
		})
	})
	t.Run("a request whose call has gone makes a new one", func(t *testing.T) {
		timed(t, eng, func(t *testing.T, s Store) {
			key := &store.Key{Scope: "site", Value: "form", Hash: "1"}
			if _, _, err := s.CreateCall(t.Context(), newCall(1), store.Admission{Key: key}); err != nil {
				t.Fatal(err)
			}
			wait(t, s.SaveCall(endedAt(1, start())))
			prune(t, s, store.Expiry{Calls: start().Add(time.Hour)}, store.Expired{Calls: 1})
			c, dup, err := s.CreateCall(t.Context(), newCall(2), store.Admission{Key: key})
			if err != nil || dup || c.ID != newCall(2).ID {
				t.Errorf("call %s, duplicate %v, error %v", c.ID, dup, err)
			}
		})
	})
}

func runPruneCalls(t *testing.T, s Store) {
	before := start().Add(time.Hour)
	early, late := before.Add(-time.Nanosecond), before
	wait(t, s.SaveCall(endedAt(1, early), event("a"), event("b")))
	wait(t, s.SaveCall(endedAt(2, late), event("a")))
	wait(t, s.SaveCall(newCall(3), event("a"))) // is still open
	wait(t, s.SaveCall(endedAt(4, early.In(time.FixedZone("", -5*3600))), event("a")))
	wait(t, s.SaveCall(ended(newCall(5)), event("a"))) // nobody wrote down when it ended
	wait(t, s.SaveCall(endedAt(2*3600, early), event("a")))
	wait(t, s.SaveEvents(event("of no call")))
	for n := 1; n < 4; n++ {
		wait(t, s.SaveTrace(store.TracePart{CallID: newCall(n).ID, At: start(), Data: []byte("x")}))
	}
	same(t, "expired", expired(t, s, store.Expiry{Calls: before, Traces: start().Add(1)}), store.Expired{Calls: 3, Traces: 2})
	prune(t, s, store.Expiry{Calls: before}, store.Expired{Calls: 3})
	calls, _, err := s.Calls(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "calls", ids(calls), []string{newCall(2 * 3600).ID, newCall(3).ID, newCall(2).ID})
	evs, _, err := s.Events(t.Context(), store.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "events", types(evs), []string{"a", "a", "a", "of no call"})
	for n, want := range map[int]int{1: 0, 2: 1, 3: 1} {
		if parts, err := s.Traces(t.Context(), newCall(n).ID); err != nil || len(parts) != want {
			t.Errorf("call %d: %d parts of a trace, want %d, error %v", n, len(parts), want, err)
		}
	}
	if _, err := s.Call(t.Context(), newCall(1).ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the call that has gone: %v", err)
	}
	same(t, "expired afterwards", expired(t, s, store.Expiry{Calls: before}), store.Expired{})
}

func runPruneLong(t *testing.T, s Store) {
	for n := range 4 {
		for range 12 {
			evs := make([]store.Event, 100)
			for i := range evs {
				evs[i] = event(fmt.Sprint(n))
			}
			s.SaveCall(endedAt(n, start()), evs...)
		}
	}
	wait(t, s.SaveCall(newCall(5), event("last")))
	prune(t, s, store.Expiry{Calls: start().Add(time.Hour)}, store.Expired{Calls: 4})
	evs, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "events", types(evs), []string{"last"})
}

func runPruneEvents(t *testing.T, s Store) {
	before := start().Add(time.Hour)
	at := func(kind string, at time.Time) store.Event {
		e := event(kind)
		e.At = at
		return e
	}
	wait(t, s.SaveCall(endedAt(1, start()), event("of a call")))
	for range 700 {
		s.SaveEvents(at("old", before.Add(-time.Second)))
	}
	wait(t, s.SaveEvents(at("new", before), at("late to come", before.Add(-1)), at("newer", before.Add(1))))
	same(t, "expired", expired(t, s, store.Expiry{Events: before}), store.Expired{Events: 701})
	prune(t, s, store.Expiry{Events: before}, store.Expired{Events: 701})
	evs, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "events", types(evs), []string{"of a call", "new", "newer"})
}

func runPruneIDs(t *testing.T, eng Engine) {
	dir := t.TempDir()
	s := eng.Open(t, dir)
	wait(t, s.SaveCall(endedAt(1, start()), event("a"), event("b")))
	wait(t, s.SaveEvents(event("c")))
	evs, _, err := s.Events(t.Context(), store.EventFilter{})
	if err != nil || len(evs) != 3 {
		t.Fatalf("events %v, error %v", evs, err)
	}
	prune(t, s, store.Expiry{Events: start().Add(time.Hour), Calls: start().Add(time.Hour)}, store.Expired{Events: 1, Calls: 1})
	for range 2 {
		if last, err := s.LastEvent(t.Context()); err != nil || last != evs[2].ID {
			t.Errorf("the last event is %q, not %q, error %v", last, evs[2].ID, err)
		}
		closed(t, s)
		s = eng.Open(t, dir)
	}
	defer closed(t, s)
	wait(t, s.SaveEvents(event("d")))
	after, _, err := s.Events(t.Context(), store.EventFilter{After: evs[0].ID}) // whoever has missed some goes on
	if err != nil || len(after) != 1 || after[0].ID <= evs[2].ID {
		t.Errorf("events %v after %q, error %v", after, evs[2].ID, err)
	}
}

func expired(t *testing.T, s Store, e store.Expiry) store.Expired {
	t.Helper()
	n, err := s.Expired(t.Context(), e)
	if err != nil {
		t.Fatalf("expired: %v", err)
	}
	return n
}

// prune removes calls and events and fails the test when these are not so many.
func prune(t *testing.T, s Store, e store.Expiry, want store.Expired) {
	t.Helper()
	calls, err := s.PruneCalls(t.Context(), e.Calls)
	if err != nil {
		t.Fatalf("prune calls: %v", err)
	}
	events, err := s.PruneEvents(t.Context(), e.Events)
	if err != nil {
		t.Fatalf("prune events: %v", err)
	}
	same(t, "removed", store.Expired{Calls: calls, Events: events}, want)
}
