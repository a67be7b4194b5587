package tts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow speaks after a while, or gives up when it is told to.
func slow(d time.Duration) func(context.Context, Request) ([]int16, int, error) {
	return func(ctx context.Context, _ Request) ([]int16, int, error) {
		select {
		case <-time.After(d):
			return tone(8000, 1, 0.3), 8000, nil
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func TestConcurrentCallersShareOneSynthesis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(time.Second)}
		s := newService(t, e, nil)
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { render(t, s, "Привет", "") })
		}
		callers.Wait()
		if e.count() != 1 {
			t.Errorf("%d syntheses", e.count())
		}
	})
}

func TestOneCallerLeavingDoesNotDisturbTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(time.Second)}
		s := newService(t, e, nil)
		gone := errors.New("manager hung up")
		ctx, leave := context.WithCancelCause(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() { // the first caller, who begins the synthesis, leaves
			if _, err := s.Render(ctx, "Привет", ""); !errors.Is(err, gone) {
				t.Errorf("the one who left got %v", err)
			}
		})
		synctest.Wait()
		callers.Go(func() { render(t, s, "Привет", "") })
		time.Sleep(500 * time.Millisecond)
		leave(gone)
		callers.Wait()
		if e.count() != 1 {
			t.Errorf("%d syntheses", e.count())
		}
	})
}

func TestSynthesisEndsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(10 * time.Second)}
		s := newService(t, e, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.Render(ctx, "Привет", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if e.running != 0 || time.Since(began) > time.Second {
			t.Errorf("%d engines still at work after %v", e.running, time.Since(began))
		}
		render(t, s, "Привет", "") // begins anew instead of joining what was given up
		if e.count() != 2 {
			t.Errorf("%d syntheses", e.count())
		}
	})
}

func TestSlowEngineIsGivenUpAndAnotherAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := &fakeEngine{name: "second"}
		s := newService(t, &fakeEngine{speak: slow(time.Hour)}, func(c *Config) {
			c.Timeout = 3 * time.Second
			c.Engines = append(c.Engines, second)
			c.Voices["carla"] = Voice{Engine: "second", Voice: "c", Language: "ru"}
		})
		began := time.Now()
		render(t, s, "Привет", "anna")
		if took := time.Since(began); took != 3*time.Second || second.count() != 1 {
			t.Errorf("took %v, second engine asked %d times", took, second.count())
		}
		_, err := s.Render(t.Context(), "Hello", "bob")
		if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "no sound within 3s") {
			t.Errorf("got %v", err)
		}
	})
}

func TestNoMoreEnginesAtWorkThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(time.Second)}
		s := newService(t, e, func(c *Config) { c.Parallel = 3 })
		began := time.Now()
		var callers sync.WaitGroup
		for i := range 30 {
			callers.Go(func() { render(t, s, fmt.Sprint("Заказ ", i), "") })
		}
		callers.Wait()
		if e.most != 3 || time.Since(began) != 10*time.Second {
			t.Errorf("%d at the same time, %v in all", e.most, time.Since(began))
		}
	})
}

func TestWaitingForASlotCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(10 * time.Second)}
		s := newService(t, e, func(c *Config) { c.Parallel = 1 })
		var callers sync.WaitGroup
		callers.Go(func() { render(t, s, "Первый", "") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.Render(ctx, "Второй", ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		callers.Wait()
		if e.count() != 1 {
			t.Errorf("%d syntheses", e.count())
		}
	})
}

func TestFailureIsNotRemembered(t *testing.T) {
	fail := true
	e := &fakeEngine{speak: func(context.Context, Request) ([]int16, int, error) {
		if fail {
			return nil, 0, errors.New("not yet")
		}
		return tone(8000, 1, 0.3), 8000, nil
	}}
	s := newService(t, e, nil)
	if _, err := s.Render(t.Context(), "Привет", ""); err == nil {
		t.Fatal("no error")
	}
	fail = false
	render(t, s, "Привет", "")
}

func TestCloseEndsAllAndIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(time.Hour)}
		s := newService(t, e, func(c *Config) { c.Timeout = 2 * time.Hour })
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				if _, err := s.Render(t.Context(), "Привет", ""); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		callers.Wait()
		if e.running != 0 {
			t.Error("an engine is still at work")
		}
		if _, err := s.Render(t.Context(), "Привет", ""); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
