package storetest

import (
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
)

func runTraces(t *testing.T, eng Engine) {
	part := func(call, n int) store.TracePart {
		return store.TracePart{CallID: newCall(call).ID, At: start().Add(time.Duration(n) * time.Hour), Data: []byte(fmt.Sprint("\x00part ", n))}
	}
	traces := func(t *testing.T, s Store, call int) []store.TracePart {
		t.Helper()
		all, err := s.Traces(t.Context(), newCall(call).ID)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	t.Run("the parts of a call come in their order", func(t *testing.T) {
		s := opened(t, eng)
		s.SaveTrace(part(1, 2))
		s.SaveTrace(part(2, 1))
		wait(t, s.SaveTrace(part(1, 1)))
		same(t, "traces", traces(t, s, 1), []store.TracePart{part(1, 2), part(1, 1)})
		same(t, "traces of the other", traces(t, s, 2), []store.TracePart{part(2, 1)})
		same(t, "traces of nobody", traces(t, s, 3), []store.TracePart(nil))
	})
	t.Run("old ones are forgotten", func(t *testing.T) {
		s := opened(t, eng)
		for n := range 4 {
			wait(t, s.SaveTrace(part(1, n)))
		}
		if err := s.PruneTraces(t.Context(), part(1, 2).At); err != nil {
			t.Fatal(err)
		}
		same(t, "traces", traces(t, s, 1), []store.TracePart{part(1, 2), part(1, 3)})
	})
	t.Run("a call has so many parts and no more", func(t *testing.T) {
		s := opened(t, eng)
		for n := range store.MaxTraceParts + 3 {
			s.SaveTrace(part(1, n))
		}
		wait(t, s.SaveTrace(part(2, 1)))
		got := traces(t, s, 1)
		if len(got) != store.MaxTraceParts {
			t.Fatalf("%d parts, want %d", len(got), store.MaxTraceParts)
		}
		same(t, "the last", got[len(got)-1], part(1, store.MaxTraceParts-1))
	})
	t.Run("the data is taken when it is saved", func(t *testing.T) {
		s := opened(t, eng)
		p := part(1, 1)
		commit := s.SaveTrace(p)
		clear(p.Data)
		wait(t, commit)
		same(t, "traces", traces(t, s, 1), []store.TracePart{part(1, 1)})
	})
	t.Run("a time that was never set stays so", func(t *testing.T) {
		s := opened(t, eng)
		p := store.TracePart{CallID: newCall(1).ID, Data: []byte("x")}
		wait(t, s.SaveTrace(p))
		same(t, "traces", traces(t, s, 1), []store.TracePart{p})
	})
	t.Run("a trace is of a call", func(t *testing.T) {
		s := opened(t, eng)
		if err := s.SaveTrace(store.TracePart{Data: []byte("x")}).Wait(t.Context()); err == nil {
			t.Error("a trace of no call was saved")
		}
	})
}
