package storetest

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perezvon/internal/store"
)

func runCounts(t *testing.T, eng Engine) {
	day := func(name string) store.Counter {
		return store.Counter{Name: name, Until: time.Now().Add(12 * time.Hour)}
	}
	t.Run("a sum stops at its maximum, whole steps only", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		c := day("minutes")
		counted(t, s, c, 0)
		for _, step := range []struct {
			n, limit, total int64
			err             error
		}{
			{7, 10, 7, nil},
			{4, 10, 7, store.ErrExceeded},
			{3, 10, 10, nil},
			{1, 10, 10, store.ErrExceeded},
			{0, 10, 10, nil},
			{-4, 10, 6, nil},
			{-1, 3, 5, nil},
			{1, 3, 5, store.ErrExceeded},
			{0, 3, 5, nil},
			{1, math.MaxInt64, 6, nil},
			{store.MaxCount, math.MaxInt64, 6, store.ErrExceeded},
			{-6, 0, 0, nil},
			{1, 0, 0, store.ErrExceeded},
		} {
			got, err := s.AddCount(t.Context(), c, step.n, step.limit)
			if got.Total != step.total || !errors.Is(err, step.err) || got.Local {
				t.Errorf("%d of at most %d: %+v, error %v, want %d, error %v", step.n, step.limit, got, err, step.total, step.err)
			}
			counted(t, s, c, step.total)
		}
	})
	t.Run("other names and other windows are other sums", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		c, other := day("minutes"), day("money")
		tomorrow := store.Counter{Name: c.Name, Until: c.Until.Add(24 * time.Hour)}
		counts(t, s, c, 5)
		counts(t, s, other, 6)
		counts(t, s, tomorrow, 7)
		counts(t, s, c, 1)
		counted(t, s, c, 6)
		counted(t, s, other, 6)
		counted(t, s, tomorrow, 7)
	})
	t.Run("of many at once no more than the maximum is counted", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		c := day("minutes")
		var got atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				switch _, err := s.AddCount(t.Context(), c, 3, 31); {
				case err == nil:
					got.Add(3)
				case !errors.Is(err, store.ErrExceeded):
					t.Errorf("error %v", err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 30 {
			t.Errorf("%d were counted", got.Load())
		}
		counted(t, s, c, 30)
	})
	t.Run("a sum outlives the process", func(t *testing.T) {
		dir, c := t.TempDir(), day("minutes")
		first := eng.Open(t, dir)
		counts(t, domains(t, first), c, 5)
		closed(t, first)
		second := eng.Open(t, dir)
		defer closed(t, second)
		counted(t, domains(t, second), c, 5)
	})
	t.Run("a window ends, with and without pruning", func(t *testing.T) {
		for _, prune := range []bool{false, true} {
			timed(t, eng, func(t *testing.T, st Store) {
				s := domains(t, st)
				c := store.Counter{Name: "minutes", Until: time.Now().Add(eng.span())}
				later := day("minutes")
				counts(t, s, c, 5)
				counts(t, s, later, 6)
				eng.pass()
				if prune {
					if err := st.Prune(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				counted(t, s, c, 0)
				counts(t, s, c, 3) // too late
				counted(t, s, c, 0)
				counted(t, s, later, 6)
			})
		}
	})
	t.Run("a counter has a name and an end, and a step a size", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for _, c := range []store.Counter{{}, {Name: "n"}, {Until: time.Now().Add(time.Hour)}} {
			if _, err := s.AddCount(t.Context(), c, 1, 10); err == nil {
				t.Errorf("counted for %+v", c)
			}
			if _, err := s.ReadCount(t.Context(), c); err == nil {
				t.Errorf("read for %+v", c)
			}
		}
		for _, n := range []int64{store.MaxCount + 1, math.MinInt64} {
			if _, err := s.AddCount(t.Context(), day("n"), n, math.MaxInt64); err == nil {
				t.Errorf("%d was counted", n)
			}
		}
	})
}

// counts adds n without a maximum.
func counts(t *testing.T, s Domains, c store.Counter, n int64) {
	t.Helper()
	if _, err := s.AddCount(t.Context(), c, n, store.MaxCount); err != nil {
		t.Fatal(err)
	}
}

// counted holds a counter's sum against want.
func counted(t *testing.T, s Domains, c store.Counter, want int64) {
	t.Helper()
	if got, err := s.ReadCount(t.Context(), c); err != nil || got != (store.Count{Total: want}) {
		t.Errorf("%s is %+v, error %v, want %d", c.Name, got, err, want)
	}
}
