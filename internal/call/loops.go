package call

import (
	"slices"
	"sync"
	"time"
)

// loopWindow is the time in which the same message to the same number is
// counted.
const loopWindow = time.Hour

// loops counts who was sent which message how often in the last hour. It is
// there for programs that run in circles; limits.per_number, which the store
// counts, holds after a restart, too.
type loops struct {
	mu     sync.Mutex
	sent   map[loopKey][]time.Time // guarded by mu; in their order
	pruned time.Time               // guarded by mu
}

type loopKey struct{ number, message string }

func newLoops() *loops { return &loops{sent: make(map[loopKey][]time.Time)} }

// note counts a call. over means that the limit, if there is one, was reached
// before it. undo takes the call back, which came to nothing; it may be called
// once.
func (l *loops) note(number, message string, now time.Time, limit int) (undo func(), over bool) {
	if limit <= 0 {
		return func() {}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(now)
	key := loopKey{number, message}
	sent := l.sent[key]
	for len(sent) > 0 && !sent[0].After(now.Add(-loopWindow)) {
		sent = sent[1:]
	}
	if len(sent) >= limit {
		return func() {}, true
	}
	l.sent[key] = append(sent, now)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.IndexFunc(l.sent[key], now.Equal); i >= 0 {
			l.sent[key] = slices.Delete(slices.Clone(l.sent[key]), i, i+1)
		}
	}, false
}

// prune forgets now and then what no longer counts. l.mu is held.
func (l *loops) prune(now time.Time) {
	if now.Sub(l.pruned) < loopWindow/12 {
		return
	}
	l.pruned = now
	for key, sent := range l.sent {
		if len(sent) == 0 || !sent[len(sent)-1].After(now.Add(-loopWindow)) {
			delete(l.sent, key)
		}
	}
}
