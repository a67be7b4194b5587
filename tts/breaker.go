package tts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// When an engine is left alone.
const (
	failuresToRest = 3 // in a row
	firstRest      = 30 * time.Second
	longestRest    = 5 * time.Minute  // each rest is twice as long as that before
	longestAsked   = 10 * time.Minute // that an engine may ask for by Retry-After
)

// kind says what an engine's failure means for what is asked next.
type kind int

const (
	broken  kind = iota // it does not work: after some of these it is left alone
	refused             // this request is at fault, others may do
	absent              // it is not there, which costs nothing to see again
	denied              // it knows us no more: it is left alone at once
	busy                // it asks to be left alone
)

// troubleError is a failure of an engine with its meaning.
type troubleError struct {
	kind  kind
	after time.Duration // busy: how long; 0: it does not say
	err   error
}

func (e *troubleError) Error() string { return e.err.Error() }
func (e *troubleError) Unwrap() error { return e.err }

// restingError says that an engine is left alone.
type restingError struct {
	until time.Time
	last  error
}

func (e *restingError) Error() string {
	return fmt.Sprintf("it is left alone until %s: %v", e.until.Format(time.TimeOnly), e.last)
}

func (e *restingError) Unwrap() error { return e.last }

// breaker keeps an engine that does not work from being asked again and again.
// Its zero value but for log is closed: the engine is asked. After failures it
// is open for a while; then one request is let through, whose fate decides.
type breaker struct {
	log *slog.Logger

	mu       sync.Mutex
	failures int           // in a row; guarded by mu, as all that follows
	rest     time.Duration // the last one; 0: the engine has worked since
	since    time.Time     // when it was opened; zero: it is closed
	until    time.Time     // when the next request is let through
	trying   bool          // one is on its way
	last     error         // the last failure
	lastAt   time.Time
}

// resting returns an error while the engine is left alone.
func (b *breaker) resting() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closedTo(time.Now())
}

// opened reports whether the engine is left alone, or is to be tried.
func (b *breaker) opened() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.since.IsZero()
}

// closedTo is called with mu held.
func (b *breaker) closedTo(now time.Time) error {
	if b.since.IsZero() || !b.trying && !now.Before(b.until) {
		return nil
	}
	return &restingError{b.until, b.last}
}

// enter lets a request through, or says why not; trial is the one that decides
// whether a rest is over. Each that is let through ends with leave.
func (b *breaker) enter() (trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.closedTo(time.Now()); err != nil {
		return false, err
	}
	b.trying = !b.since.IsZero()
	return b.trying, nil
}

// leave says what came of a request; one that was called off says nothing
// about the engine.
func (b *breaker) leave(ctx context.Context, trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial {
		b.trying = false
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil || errors.Is(err, ErrText) {
		b.close(ctx)
		return
	}
	b.last, b.lastAt = err, time.Now()
	trouble, ok := errors.AsType[*troubleError](err)
	if !ok {
		trouble = &troubleError{kind: broken}
	}
	switch {
	case trouble.kind == absent:
	case trouble.kind == refused:
		b.close(ctx)
	case trial || b.since.IsZero(): // what was on its way when it was opened does not count again
		if b.failures++; trouble.kind != broken || b.failures >= failuresToRest {
			b.open(ctx, trouble)
		}
	}
}

// open is called with mu held.
func (b *breaker) open(ctx context.Context, why *troubleError) {
	b.rest = min(max(2*b.rest, firstRest), longestRest)
	rest := b.rest
	if why.kind == busy && why.after > 0 {
		rest = min(max(why.after, time.Second), longestAsked)
	}
	b.until = b.lastAt.Add(rest)
	if b.since.IsZero() {
		b.since = b.lastAt
		b.log.WarnContext(ctx, "speech engine is left alone for a while", slog.Time("until", b.until), slog.Any("error", b.last))
	}
}

// close is called with mu held.
func (b *breaker) close(ctx context.Context) {
	if !b.since.IsZero() {
		b.log.InfoContext(ctx, "speech engine works again", slog.Duration("rested", time.Since(b.since)))
	}
	b.failures, b.rest, b.since, b.until = 0, 0, time.Time{}, time.Time{}
}

// EngineState is how an engine is.
type EngineState struct {
	Name      string
	Voices    int       // that are spoken by it
	Since     time.Time // when it was left alone; zero: it is asked
	Until     time.Time // when it is asked again
	LastError string    // empty: it has never failed
	LastAt    time.Time // when that was
}

// Engines says how every engine is, in the order of the configuration.
func (s *Service) Engines() []EngineState {
	states := make([]EngineState, 0, len(s.members))
	for _, m := range s.members {
		state := m.breaker.state()
		state.Name = m.Name()
		for _, v := range s.voices {
			if v.Engine == m.Name() {
				state.Voices++
			}
		}
		states = append(states, state)
	}
	return states
}

func (b *breaker) state() EngineState {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := EngineState{Since: b.since, Until: b.until, LastAt: b.lastAt}
	if b.last != nil {
		state.LastError = b.last.Error()
	}
	return state
}
