package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"perezvon/internal/store"
)

func runEvents(t *testing.T, eng Engine) {
	t.Run("an event comes back as it was, with the id of its call", func(t *testing.T) {
		s := opened(t, eng)
		at := start().Add(123456789)
		wait(t, s.SaveCall(newCall(1),
			store.Event{Type: "a", At: at, Data: json.RawMessage(`{"x":"ж"}`)},
			store.Event{Type: "b", At: at, CallID: newCall(1).ID}))
		evs, next, err := s.Events(t.Context(), store.EventFilter{})
		if err != nil || next != "" || len(evs) != 2 {
			t.Fatalf("%d events, next %q, error %v", len(evs), next, err)
		}
		same(t, "events", evs, []store.Event{
			{ID: evs[0].ID, Type: "a", At: at, CallID: newCall(1).ID, Data: json.RawMessage(`{"x":"ж"}`)},
			{ID: evs[1].ID, Type: "b", At: at, CallID: newCall(1).ID},
		})
		if evs[0].ID >= evs[1].ID || len(evs[0].ID) != len(evs[1].ID) {
			t.Errorf("ids %q and %q do not sort", evs[0].ID, evs[1].ID)
		}
	})
	t.Run("events of no call stand among the others, in their order", func(t *testing.T) {
		timed(t, eng, func(t *testing.T, s Store) {
			s.SaveCall(newCall(1), event("a"))
			s.SaveEvents(event("b"), event("c"))
			named := event("d")
			named.CallID = newCall(1).ID
			s.SaveEvents(named)
			wait(t, s.SaveCall(newCall(1), event("e")))
			changed := s.EventsChanged()
			wait(t, s.SaveEvents(event("f")))
			<-changed
			evs, _, err := s.Events(t.Context(), store.EventFilter{})
			if err != nil || len(evs) != 6 {
				t.Fatalf("events %v, error %v", evs, err)
			}
			same(t, "events", types(evs), []string{"a", "b", "c", "d", "e", "f"})
			want := event("b")
			want.ID = evs[1].ID
			same(t, "an event of no call", evs[1], want)
			if evs, _, err = s.Events(t.Context(), store.EventFilter{CallID: newCall(1).ID}); err != nil {
				t.Fatal(err)
			}
			same(t, "events of the call", types(evs), []string{"a", "d", "e"})
		})
	})
	t.Run("writers at once keep each call's order", func(t *testing.T) { runWriters(t, eng) })
	t.Run("pages hold every event once, oldest first", func(t *testing.T) { runEventPages(t, eng) })
	t.Run("the last event is where a follower begins", func(t *testing.T) {
		s := opened(t, eng)
		last := func() string {
			t.Helper()
			id, err := s.LastEvent(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		before := last()
		wait(t, s.SaveCall(newCall(1), event("a"), event("b")))
		evs, _, err := s.Events(t.Context(), store.EventFilter{After: before})
		if err != nil || len(evs) != 2 || last() != evs[1].ID {
			t.Errorf("events %v after %q, last %q, error %v", evs, before, last(), err)
		}
	})
	t.Run("a foreign id is refused", func(t *testing.T) {
		s := opened(t, eng)
		wait(t, s.SaveCall(newCall(1), event("a")))
		evs, _, err := s.Events(t.Context(), store.EventFilter{})
		if err != nil || len(evs) != 1 {
			t.Fatalf("events %v, error %v", evs, err)
		}
		good := evs[0].ID
		for _, after := range []string{"x", "-1", "0", good[1:], good + "0", " " + good, "-" + good[1:], "+" + good[1:], strings.Repeat("f", len(good))} {
			if _, _, err := s.Events(t.Context(), store.EventFilter{After: after}); !errors.Is(err, store.ErrBadCursor) {
				t.Errorf("after %q: error %v", after, err)
			}
		}
	})
	t.Run("a follower is woken by new events only", func(t *testing.T) {
		timed(t, eng, func(t *testing.T, s Store) {
			changed := s.EventsChanged()
			wait(t, s.SaveCall(newCall(1)))
			if !eng.RealTime {
				synctest.Wait()
			}
			select {
			case <-changed:
				t.Error("woken without an event")
			default:
			}
			wait(t, s.SaveCall(newCall(1), event("a")))
			<-changed
			evs, _, err := s.Events(t.Context(), store.EventFilter{})
			if err != nil || len(evs) != 1 {
				t.Errorf("events %v, error %v", evs, err)
			}
		})
	})
}

func runWriters(t *testing.T, eng Engine) {
	const writers, each = 8, 40
	s := opened(t, eng)
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			var last *store.Commit
			for i := range each {
				last = s.SaveCall(newCall(n), event(fmt.Sprint(i)))
			}
			if err := last.Wait(t.Context()); err != nil {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	all, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
	if err != nil || len(all) != writers*each {
		t.Fatalf("%d events, error %v", len(all), err)
	}
	count, last := map[string]int{}, ""
	for _, e := range all {
		if e.ID <= last {
			t.Fatalf("id %s follows %s", e.ID, last)
		}
		if last = e.ID; e.Type != fmt.Sprint(count[e.CallID]) {
			t.Fatalf("call %s: event %s is number %d", e.CallID, e.Type, count[e.CallID])
		}
		count[e.CallID]++
	}
	one, _, err := s.Events(t.Context(), store.EventFilter{CallID: newCall(3).ID, Limit: 1000})
	if err != nil || len(one) != each {
		t.Fatalf("%d events of one call, error %v", len(one), err)
	}
}

func runEventPages(t *testing.T, eng Engine) {
	s := opened(t, eng)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round += 2
		mark, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
		if err != nil {
			rt.Fatal(err)
		}
		f := store.EventFilter{Limit: rapid.IntRange(1, 9).Draw(rt, "limit")}
		if rapid.Bool().Draw(rt, "of one call") {
			f.CallID = newCall(round).ID
		}
		for len(mark) > 0 { // to the end of what earlier rounds wrote
			f.After = mark[len(mark)-1].ID
			if mark, _, err = s.Events(t.Context(), store.EventFilter{After: f.After, Limit: 1000}); err != nil {
				rt.Fatal(err)
			}
		}
		var want []string
		var last *store.Commit
		for i := range rapid.IntRange(0, 30).Draw(rt, "events") {
			n := round + rapid.IntRange(0, 1).Draw(rt, "call")
			c := newCall(n)
			if f.CallID == "" || f.CallID == c.ID {
				want = append(want, fmt.Sprint(i))
			}
			last = s.SaveCall(c, event(fmt.Sprint(i)))
		}
		if last != nil {
			wait(t, last)
		}
		var got []string
		for {
			evs, next, err := s.Events(t.Context(), f)
			if err != nil || len(evs) > f.Limit {
				rt.Fatalf("%d events, limit %d, error %v", len(evs), f.Limit, err)
			}
			got = append(got, types(evs)...)
			if next == "" {
				break
			}
			if f.After = next; next != evs[len(evs)-1].ID {
				rt.Fatalf("next %s is not the last id %s", next, evs[len(evs)-1].ID)
			}
		}
		same(t, "events", strings.Join(got, " "), strings.Join(want, " "))
	})
}
