package redis

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
)

func newTestLink() *link { return newLink(slog.New(slog.DiscardHandler)) }

func TestNobodyWaitsForRedisBehindWhoRanIntoTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLink()
		l.restore()
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		began := time.Now()
		other := make(chan error, 1)
		go func() { other <- l.ask(t.Context(), readLimit, hang) }()
		synctest.Wait()
		err := l.ask(t.Context(), callLimit, hang)
		if !errors.Is(err, store.ErrAway) || !errors.Is(err, errSlow) || time.Since(began) != callLimit {
			t.Errorf("the first waited %v: error %v", time.Since(began), err)
		}
		if err := <-other; !errors.Is(err, store.ErrAway) || time.Since(began) != callLimit {
			t.Errorf("who was waiting beside it waited %v: error %v", time.Since(began), err)
		}
		for range 3 {
			if err := l.ask(t.Context(), callLimit, hang); !errors.Is(err, store.ErrAway) || time.Since(began) != callLimit {
				t.Errorf("behind it %v: error %v", time.Since(began), err)
			}
		}
		l.restore()
		if err := l.ask(t.Context(), callLimit, func(context.Context) error { return nil }); err != nil {
			t.Errorf("when it was back: %v", err)
		}
	})
}

func TestWhatRedisAnswersIsNoOutage(t *testing.T) {
	l := newTestLink()
	l.restore()
	for _, want := range []error{store.ErrNotFound, store.ErrHeld, store.ErrTooMany, store.ErrKeyReused, store.ErrBadCursor, errors.New("WRONGTYPE no list")} {
		if err := l.ask(t.Context(), callLimit, func(context.Context) error { return want }); !errors.Is(err, want) || errors.Is(err, store.ErrAway) {
			t.Errorf("%v became %v", want, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.ask(gone, callLimit, func(ctx context.Context) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("of a caller who has gone: %v", err)
	}
	if up, _ := l.state(); !up {
		t.Error("the link is down")
	}
	if err := l.ask(t.Context(), callLimit, func(context.Context) error { return io.EOF }); !errors.Is(err, store.ErrAway) {
		t.Errorf("error %v", err)
	}
	if up, _ := l.state(); up {
		t.Error("the link is up")
	}
}

func TestAnErrorFromBeforeAnOutageDoesNotBeginAnotherOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLink()
		l.restore()
		late, goOn := make(chan error, 1), make(chan struct{})
		go func() {
			late <- l.ask(t.Context(), time.Minute, func(context.Context) error {
				<-goOn // it does not care for its context
				return io.EOF
			})
		}()
		synctest.Wait()
		_ = l.ask(t.Context(), callLimit, func(context.Context) error { return io.EOF })
		l.restore()
		close(goOn)
		if err := <-late; !errors.Is(err, store.ErrAway) {
			t.Errorf("error %v", err)
		}
		if up, _ := l.state(); !up {
			t.Error("the link is down again")
		}
	})
}

func TestProbesComeEverMoreSeldomAndBeginAnewAfterASteadyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLink()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var mu sync.Mutex
		var at []time.Duration          // guarded by mu
		answer := errors.New("refused") // guarded by mu
		begin := func(with error) {
			mu.Lock()
			defer mu.Unlock()
			at, answer, began = nil, with, time.Now()
		}
		probed := func() []time.Duration {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return at
		}
		lose := func() {
			l.mu.Lock()
			in := l.life
			l.mu.Unlock()
			l.lost(in, io.EOF)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.keep(ctx, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(began))
				return answer
			}, func(context.Context) error { return nil })
		}()
		time.Sleep(10 * time.Second)
		want := []time.Duration{100, 300, 700, 1500, 3100, 5100, 7100, 9100}
		for i, got := 0, probed(); i < len(want); i++ {
			if len(got) != len(want) || got[i] != want[i]*time.Millisecond {
				t.Fatalf("probed at %v", got)
			}
		}
		begin(nil)
		time.Sleep(2 * time.Second) // up at 11.1 s
		if up, _ := l.state(); !up {
			t.Fatal("the link is down")
		}
		// An outage that follows at once is not looked at as often as a first one.
		begin(io.EOF)
		lose()
		time.Sleep(time.Second)
		if got := probed(); len(got) != 0 {
			t.Errorf("probed at %v", got)
		}
		begin(nil)
		time.Sleep(10 * time.Second)
		begin(nil)
		lose()
		time.Sleep(150 * time.Millisecond)
		if got := probed(); len(got) != 1 || got[0] != probeFirst {
			t.Errorf("after a steady time probed at %v", got)
		}
		cancel()
		<-done
	})
}
