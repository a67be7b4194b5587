package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"perezvon/internal/store"
)

// How long anybody waits for Redis.
const (
	callLimit    = 300 * time.Millisecond // in the path of a call
	readLimit    = 2 * time.Second        // for a list, and for what is to be in it while nothing of that gets there
	shipLimit    = 5 * time.Second        // for a batch of the shipper
	arrivalLimit = 10 * time.Second       // for what is to be in a list while it gets there bit by bit
	probeLimit   = time.Second            // for the look whether it is there again
)

// A link that went away is looked at after probeFirst, then ever more seldom,
// up to probeLast. One that has been up for steady begins anew.
const (
	probeFirst = 100 * time.Millisecond
	probeLast  = 2 * time.Second
	steady     = 5 * time.Second
)

// errSlow is why an operation was given up.
var errSlow = errors.New("redis did not answer in time")

// errBehind is why Redis is not asked for a list.
var errBehind = errors.New("redis does not have yet what this node has stored")

// link knows whether Redis answers. After one operation has failed or has run
// into its limit nobody waits for the next one, until a probe has succeeded.
type link struct {
	log      *slog.Logger
	patience time.Duration // how many times a limit is waited for, 1 but in tests of what is no matter of time

	mu      sync.Mutex
	up      bool          // guarded by mu
	life    *uptime       // guarded by mu; since it came up last
	since   time.Time     // guarded by mu; of up
	err     error         // guarded by mu; why it went away, also when it is back
	changed chan struct{} // guarded by mu; closed and renewed when up changes
}

// uptime is a time during which Redis answers. Its end ends what waits for Redis.
type uptime struct {
	ctx context.Context
	end context.CancelFunc
}

func newLink(log *slog.Logger) *link {
	return &link{log: log, patience: 1, since: time.Now(), changed: make(chan struct{})}
}

// state says whether Redis answers; changed is closed when that is no longer so.
func (l *link) state() (up bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.changed
}

// ask runs an operation on Redis, for limit at most. Where Redis is away, or
// goes away by this, the error is store.ErrAway. What Redis answers, refusals
// included, is the operation's own.
func (l *link) ask(ctx context.Context, limit time.Duration, op func(context.Context) error) error {
	l.mu.Lock()
	up, life, why := l.up, l.life, l.err
	l.mu.Unlock()
	if !up {
		return away(why)
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit*l.patience, errSlow)
	defer cancel()
	defer context.AfterFunc(life.ctx, cancel)()
	err := op(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // the caller has gone, which says nothing about Redis
		return context.Cause(ctx)
	case life.ctx.Err() != nil:
		return store.ErrAway
	case limited.Err() != nil:
		err = fmt.Errorf("%w, within %v", errSlow, limit)
	case !ofTheLink(err):
		return err
	}
	l.lost(life, err)
	return away(err)
}

// away says why there is no answer.
func away(why error) error {
	switch {
	case why == nil:
		return store.ErrAway
	case errors.Is(why, store.ErrAway):
		return why
	}
	return fmt.Errorf("%w: %w", store.ErrAway, why)
}

// lost notes that an operation which began in the link's given life has failed.
// One that began before the link came up again says nothing about it now.
func (l *link) lost(in *uptime, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up || l.life != in {
		return
	}
	l.err = err
	l.life.end()
	l.set(false)
	l.log.Error("redis is away; calls go on with what this node knows, and what happens is carried there later", "error", err)
}

// restore notes that Redis answers.
func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		return
	}
	was := time.Since(l.since)
	ctx, end := context.WithCancel(context.Background())
	l.life = &uptime{ctx, end}
	l.set(true)
	if l.err != nil {
		l.log.Info("redis is back", "away_for", was.Round(time.Millisecond).String())
	}
}

// fail notes why the link is still away.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		return
	}
	if l.err == nil || l.err.Error() != err.Error() {
		l.log.Warn("redis is still away", "error", err)
	}
	l.err = err
}

// set changes up; mu is held.
func (l *link) set(up bool) {
	l.up, l.since = up, time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
}

// health is what the link knows of itself.
func (l *link) health() (up bool, since time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.since, l.err
}

// keep looks after the link until ctx ends: while it is up, look runs every
// lookEvery; while it is away probe runs until it succeeds, ever more seldom. A
// look that fails takes the link down by itself, as any other operation does.
func (l *link) keep(ctx context.Context, probe, look func(context.Context) error) {
	wait := probeFirst
	for ctx.Err() == nil {
		up, changed := l.state()
		if up {
			_, since, _ := l.health()
			if !pause(ctx, lookEvery, changed) {
				_ = look(ctx) // it has taken the link down if it had to
			}
			if time.Since(since) >= steady {
				wait = probeFirst
			}
			continue
		}
		pause(ctx, wait, changed)
		if ctx.Err() != nil {
			return
		}
		wait = min(2*wait, probeLast)
		switch err := probe(ctx); {
		case err == nil:
			l.restore()
		case ctx.Err() == nil:
			l.fail(err)
		}
	}
}

// pause waits; it reports whether it was cut short.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-early:
	case <-ctx.Done():
	}
	return true
}
