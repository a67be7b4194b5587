package redis

import (
	"errors"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestCallsThatEndedLongAgoAreRemovedWithAllTheyHave(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		at := start().Add(time.Hour)
		for n := range 2*pruneCalls + 5 {
			c := ended(newCall(n))
			switch n {
			case 3:
				c = newCall(n) // it is open
			case 4:
				c.EndedAt = &at // it lasted
			}
			b.call(c, "a", "b")
			b.trace(c, n)
		}
		b.add(store.Change{Type: store.ChangeEvents, Events: []store.Event{{Type: "trunk.up", At: start()}}})
		ship(t, r, b.all)
		before := newCall(2*pruneCalls + 2).CreatedAt
		want := 2 * pruneCalls // all but two of them
		if n, err := r.expired(t.Context(), store.Expiry{Calls: before}); err != nil || n != (store.Expired{Calls: want}) {
			t.Errorf("expired %+v, error %v", n, err)
		}
		if n, err := r.pruneEnded(t.Context(), before); err != nil || n != want {
			t.Errorf("%d removed, want %d, error %v", n, want, err)
		}
		if n, err := r.pruneEnded(t.Context(), before); err != nil || n != 0 {
			t.Errorf("%d removed again, error %v", n, err)
		}
		check := func() {
			t.Helper()
			got := read(t, r)
			if len(got.Calls) != 5 || len(got.Events) != 11 || len(got.Open) != 1 {
				t.Errorf("%d calls, %d open, events %v", len(got.Calls), len(got.Open), got.Events)
			}
			for n, left := range map[int]int{0: 0, 3: 1, 4: 1} {
				parts, err := r.traces(t.Context(), newCall(n).ID)
				evs, _, err2 := r.events(t.Context(), store.EventFilter{CallID: newCall(n).ID})
				if err := errors.Join(err, err2); err != nil || len(parts) != left || len(evs) != 2*left {
					t.Errorf("call %d: %d parts, %d events, error %v", n, len(parts), len(evs), err)
				}
			}
		}
		check()
		ship(t, r, b.all) // a node sends what it has again
		check()
	})
}

func TestOldEventsOfNoCallAreRemoved(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.call(newCall(1), "a")
		for n := range 10 {
			at := start().Add(time.Duration(n) * time.Hour)
			b.add(store.Change{Type: store.ChangeEvents, Events: []store.Event{{Type: "trunk.up", At: at}}})
		}
		ship(t, r, b.all)
		before := start().Add(4 * time.Hour)
		if n, err := r.expired(t.Context(), store.Expiry{Events: before}); err != nil || n != (store.Expired{Events: 4}) {
			t.Errorf("expired %+v, error %v", n, err)
		}
		for _, want := range []int{4, 0} {
			if n, err := r.pruneEvents(t.Context(), before); err != nil || n != want {
				t.Errorf("%d removed, want %d, error %v", n, want, err)
			}
		}
		if n, err := r.pruneEvents(t.Context(), time.Time{}); err != nil || n != 0 {
			t.Errorf("%d removed though they are kept, error %v", n, err)
		}
		if got := read(t, r); len(got.Events) != 7 {
			t.Errorf("events %v", got.Events)
		}
		if n, err := r.pruneEvents(t.Context(), start().Add(24*time.Hour)); err != nil || n != 6 {
			t.Errorf("%d removed, error %v", n, err)
		}
		last, err := r.lastEvent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.call(newCall(2), "next")
		ship(t, r, b.all)
		evs, _, err := r.events(t.Context(), store.EventFilter{After: last})
		if err != nil || len(evs) != 1 || evs[0].Type != "next" {
			t.Errorf("events %v, error %v", evs, err)
		}
	})
}

func TestTheLastEventIsRememberedWhenAllAreGone(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.add(store.Change{Type: store.ChangeEvents, Events: []store.Event{{Type: "a", At: start()}, {Type: "b", At: start()}}})
		ship(t, r, b.all)
		if n, err := r.pruneEvents(t.Context(), start().Add(time.Hour)); err != nil || n != 2 {
			t.Fatalf("%d removed, error %v", n, err)
		}
		if last, err := r.lastEvent(t.Context()); err != nil || last != store.EventID(2) {
			t.Errorf("last %s, error %v", last, err)
		}
	})
}

func TestOldTracesAreForgotten(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.call(newCall(1))
		b.call(newCall(2))
		for n := range 4 {
			b.trace(newCall(1), n)
		}
		b.trace(newCall(2), 1)
		ship(t, r, b.all)
		before := start().Add(2 * time.Hour)
		if n, err := r.expired(t.Context(), store.Expiry{Traces: before}); err != nil || n != (store.Expired{Traces: 3}) {
			t.Errorf("expired %+v, error %v", n, err)
		}
		for _, want := range []int{3, 0} {
			if n, err := r.pruneTraces(t.Context(), before); err != nil || n != want {
				t.Errorf("%d removed, want %d, error %v", n, want, err)
			}
		}
		ship(t, r, b.all) // they do not come back
		got := read(t, r).Traces
		if len(got[newCall(1).ID]) != 2 || len(got[newCall(2).ID]) != 0 || !got[newCall(1).ID][0].At.Equal(before) {
			t.Errorf("left: %v", got)
		}
	})
}
