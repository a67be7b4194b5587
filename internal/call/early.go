package call

import (
	"sync"

	"perezvon/media"
	"perezvon/sip"
)

// earlyPath is the one-way path from a ringing phone to the party that waits
// for it.
type earlyPath struct {
	mu   sync.Mutex
	over bool        // guarded by mu
	path *media.Path // guarded by mu; nil: none yet
}

// connect opens the path unless there is one or the waiting is over.
func (e *earlyPath) connect(s Sound, to, from *media.Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over && e.path == nil {
		e.path = s.Connect(to, from, media.PathConfig{OneWay: true})
	}
}

// stop closes the path for good.
func (e *earlyPath) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.path != nil {
		e.path.Close()
		e.path = nil
	}
}

// waitingTone is what a manager hears while the customer's phone rings:
// ringback until the far network sends sound of its own (RFC 3960 section
// 3.2).
type waitingTone struct {
	sound Sound
	to    *media.Session
	quiet func() // stops the ringback
	early earlyPath
}

func (c *Call) waitingTone(to *leg) *waitingTone {
	return &waitingTone{sound: c.svc.sound, to: to.media, quiet: to.media.Ringback()}
}

func (w *waitingTone) progress(from *leg, p sip.Progress) {
	if p.Media { // the ringback gives way to the first packet
		w.early.connect(w.sound, w.to, from.media)
	}
}

func (w *waitingTone) stop() {
	w.quiet()
	w.early.stop()
}
