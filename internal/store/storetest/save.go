package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"perezvon/internal/store"
)

func runSave(t *testing.T, eng Engine) {
	t.Run("a save replaces the whole record", func(t *testing.T) {
		s := opened(t, eng)
		create(t, s, newCall(1))
		for _, change := range []func(*store.Call){
			func(c *store.Call) { c.State = store.StateRingingManager },
			func(c *store.Call) { c.Result = store.ResultBusy },
			func(c *store.Call) { c.Number, c.Line, c.Kind = "+1", "second", store.KindInbound },
			func(c *store.Call) { c.CreatedAt = c.CreatedAt.Add(1) },
			func(c *store.Call) { *c = fullCall() },
			func(c *store.Call) { c.State = store.StateQueued },
			func(c *store.Call) { *c = ended(newCall(1)) },
		} {
			c, err := s.Call(t.Context(), newCall(1).ID)
			if err != nil {
				t.Fatal(err)
			}
			change(&c)
			wait(t, s.SaveCall(c))
			got, err := s.Call(t.Context(), c.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "stored", got, c)
			found, _, err := s.Calls(t.Context(), store.Filter{
				Kind: c.Kind, State: c.State, Result: c.Result, Number: c.Number, Line: c.Line,
				From: c.CreatedAt, To: c.CreatedAt.Add(1),
			})
			if err != nil || len(found) != 1 {
				t.Errorf("found %d by what was saved, error %v", len(found), err)
			}
			still, err := s.OpenCalls(t.Context())
			if err != nil || (len(still) == 1) != (c.State != store.StateEnded) {
				t.Errorf("state %s: %d open, error %v", c.State, len(still), err)
			}
		}
	})
	t.Run("a record is taken when it is saved", func(t *testing.T) {
		s := opened(t, eng)
		c := newCall(1)
		c.Attempts = []store.Attempt{{N: 1, Reason: "before"}}
		commit := s.SaveCall(c)
		c.Attempts[0].Reason = "after"
		wait(t, commit)
		got, err := s.Call(t.Context(), c.ID)
		if err != nil || got.Attempts[0].Reason != "before" {
			t.Errorf("stored %v, error %v", got.Attempts, err)
		}
	})
	t.Run("saves keep their order and every event", func(t *testing.T) {
		s := opened(t, eng)
		var want []string
		var last *store.Commit
		for n := range 300 {
			c := newCall(n % 3)
			c.Reason = fmt.Sprint(n)
			if n >= 297 {
				c = ended(c)
			}
			want = append(want, c.Reason)
			last = s.SaveCall(c, event(c.Reason))
		}
		wait(t, last) // the earlier ones are in the same commit or an older one
		for n := range 3 {
			got, err := s.Call(t.Context(), newCall(n).ID)
			if err != nil || got.Reason != fmt.Sprint(297+n) || got.State != store.StateEnded {
				t.Errorf("call %d has %s from save %s, error %v", n, got.State, got.Reason, err)
			}
		}
		evs, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "events", types(evs), want)
	})
	t.Run("a call needs an id", func(t *testing.T) {
		s := opened(t, eng)
		if err := s.SaveCall(store.Call{}).Wait(t.Context()); err == nil {
			t.Error("a call without an id was saved")
		}
	})
	t.Run("an unknown call is not found", func(t *testing.T) {
		s := opened(t, eng)
		if _, err := s.Call(t.Context(), newCall(1).ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("open calls come oldest first", func(t *testing.T) {
		s := opened(t, eng)
		var want []string
		for _, n := range []int{5, 2, 9, 1, 7} {
			c := newCall(n)
			if n == 9 {
				c = ended(c)
			} else {
				want = append(want, c.ID)
			}
			wait(t, s.SaveCall(c))
		}
		slices.Sort(want)
		calls, err := s.OpenCalls(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "open", ids(calls), want)
	})
}
