package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
)

func runBlocks(t *testing.T, eng Engine) {
	t.Run("so many failures in a row block a number for good", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		known(t, s, store.Block{Number: "+7"})
		for n := 1; n <= 4; n++ {
			want := store.Block{Number: "+7", Failures: n, FailedAt: start().Add(time.Duration(n) * time.Second), Reason: fmt.Sprint("no answer ", n)}
			if n >= 3 {
				want.BlockedAt = start().Add(3 * time.Second)
			}
			same(t, "failed", failed(t, s, "+7", n), want)
			known(t, s, want)
			if want.Blocked() != (n >= 3) {
				t.Errorf("after %d failures blocked: %v", n, want.Blocked())
			}
		}
		known(t, s, store.Block{Number: "+8"})
	})
	t.Run("a number that was reached begins anew", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		failed(t, s, "+7", 1)
		failed(t, s, "+7", 2)
		cleared(t, s, "+7")
		known(t, s, store.Block{Number: "+7"})
		failed(t, s, "+7", 3)
		if b := failed(t, s, "+7", 4); b.Failures != 2 || b.Blocked() {
			t.Errorf("got %+v", b)
		}
		b := failed(t, s, "+7", 5)
		cleared(t, s, "+7") // somebody answered a call that was under way: what is blocked stays so
		known(t, s, b)
		cleared(t, s, "unknown")
	})
	t.Run("somebody takes a block away", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		u := store.Unblock{By: "anna", Reason: "asked for it", At: start().Add(time.Hour)}
		unblock := func() error { return s.Unblock(t.Context(), "+7", u) }
		if err := unblock(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of an unknown number: error %v", err)
		}
		failed(t, s, "+7", 1)
		if err := unblock(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a number that is not blocked: error %v", err)
		}
		failed(t, s, "+7", 2)
		failed(t, s, "+7", 3)
		if err := unblock(); err != nil {
			t.Fatal(err)
		}
		known(t, s, store.Block{Number: "+7", Unblocked: &u})
		blocked(t, s)
		b := failed(t, s, "+7", 4)
		if b.Failures != 1 || b.Blocked() || b.Unblocked == nil {
			t.Errorf("the next failure: %+v", b)
		}
		cleared(t, s, "+7")
		known(t, s, store.Block{Number: "+7", Unblocked: &u})
	})
	t.Run("without a limit nothing is blocked", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for n := range 20 {
			if b, err := s.AddFailure(t.Context(), store.Failure{Number: "+7", At: start()}); err != nil || b.Blocked() || b.Failures != n+1 {
				t.Fatalf("got %+v, error %v", b, err)
			}
		}
	})
	t.Run("the blocked are listed in pages, the last first", func(t *testing.T) { blockPages(t, eng) })
	t.Run("a block outlives the process", func(t *testing.T) {
		dir := t.TempDir()
		first := eng.Open(t, dir)
		for n := range 3 {
			failed(t, domains(t, first), "+7", n)
		}
		closed(t, first)
		second := eng.Open(t, dir)
		defer closed(t, second)
		blocked(t, domains(t, second), "+7")
	})
	t.Run("a failure is of a number, at a time", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for _, f := range []store.Failure{{At: start()}, {Number: "+7"}} {
			if _, err := s.AddFailure(t.Context(), f); err == nil {
				t.Errorf("counted %+v", f)
			}
		}
	})
}

func blockPages(t *testing.T, eng Engine) {
	s := domains(t, opened(t, eng))
	var want []string
	for n := range 7 {
		number := fmt.Sprint("+7", n)
		for range 3 {
			failed(t, s, number, 10-n/2) // several at the same time
		}
		if n == 3 {
			if err := s.Unblock(t.Context(), number, store.Unblock{By: "anna", At: start()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	failed(t, s, "+79", 1)
	want = []string{"+71", "+70", "+72", "+75", "+74", "+76"}
	blocked(t, s, want...)
	for limit := 1; limit <= 7; limit++ {
		var got []string
		f := store.BlockFilter{Limit: limit}
		for more := true; more; more = f.Cursor != "" {
			page, next, err := s.Blocks(t.Context(), f)
			if err != nil || len(page) == 0 || len(page) > limit {
				t.Fatalf("%d of a page of %d, error %v", len(page), limit, err)
			}
			for _, b := range page {
				got = append(got, b.Number)
			}
			f.Cursor = next
		}
		same(t, fmt.Sprint("in pages of ", limit), got, want)
	}
	for _, cursor := range []string{"x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, _, err := s.Blocks(t.Context(), store.BlockFilter{Cursor: cursor}); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("cursor %q: error %v", cursor, err)
		}
	}
}

// failed counts a failure, n seconds after start, of a number that three
// failures block.
func failed(t *testing.T, s Domains, number string, n int) store.Block {
	t.Helper()
	b, err := s.AddFailure(t.Context(), store.Failure{Number: number, At: start().Add(time.Duration(n) * time.Second), Reason: fmt.Sprint("no answer ", n), Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func cleared(t *testing.T, s Domains, number string) {
	t.Helper()
	if err := s.ClearFailures(t.Context(), number); err != nil {
		t.Fatal(err)
	}
}

// known holds what is known of a number against want.
func known(t *testing.T, s Domains, want store.Block) {
	t.Helper()
	got, err := s.Block(t.Context(), want.Number)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "block", got, want)
}

// blocked holds the numbers that are blocked against want.
func blocked(t *testing.T, s Domains, want ...string) {
	t.Helper()
	all, next, err := s.Blocks(t.Context(), store.BlockFilter{})
	if err != nil || next != "" {
		t.Fatalf("next %q, error %v", next, err)
	}
	var got []string
	for _, b := range all {
		got = append(got, b.Number)
	}
	same(t, "blocked", got, want)
}
