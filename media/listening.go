package media

import (
	"sync/atomic"
	"time"

	"perezvon/media/g711"
)

// Listening takes what one leg says, without passing it on.
type Listening struct {
	session *Session
	route   *route
	since   time.Duration // engine time
	first   atomic.Int64  // engine time at which speech was first heard, 0: never
	last    atomic.Int64  // engine time at which it was last heard
}

// Listen writes what s says into r, on the right, in place of what took it
// before, and watches for speech, until Close. A path that is opened meanwhile
// takes over.
func (s *Session) Listen(r *Recorder) *Listening {
	l := &Listening{session: s, since: s.engine.now()}
	l.route = &route{rec: r, channel: right, listener: l}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		s.route.Store(l.route)
	}
	return l
}

// Hear gives what s says to f, packet by packet, in place of what took it
// before, until stop or until a path takes over. f runs in the reader's
// goroutine: it must not block, and the sound is not its own to keep.
func (s *Session) Hear(f func(law g711.Law, sound []byte)) (stop func()) {
	r := &route{heard: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		s.route.Store(r)
	}
	return func() { s.route.CompareAndSwap(r, nil) }
}

// Close stops listening. The Recorder stays the caller's to close.
func (l *Listening) Close() { l.session.route.CompareAndSwap(l.route, nil) }

// Quiet is how long nothing has been said: since the last speech, or since
// Listen. That no packets come at all is silence, too.
func (l *Listening) Quiet() time.Duration {
	return l.session.engine.now() - max(l.since, time.Duration(l.last.Load()))
}

// Spoken is how long it took from the first speech to the last, pauses
// included.
func (l *Listening) Spoken() time.Duration {
	first := l.first.Load()
	if first == 0 {
		return 0
	}
	return time.Duration(l.last.Load() - first)
}

// loud is the mean amplitude of a packet above which it is speech: -44 dB of
// full scale, above the noise of lines and below a soft voice.
const loud = 200

// hear looks at the sound of a packet, in the reader's goroutine.
func (l *Listening) hear(p *packet, now time.Duration) {
	body := p.body()
	if len(body) == 0 || amplitude(p.kind.law(), body) < loud {
		return
	}
	l.first.CompareAndSwap(0, int64(now-length(len(body))))
	l.last.Store(int64(now))
}

// amplitude is the mean distance from zero, of 32767.
func amplitude(law g711.Law, body []byte) int {
	sum := 0
	for _, b := range body {
		v := int(law.Decode(b))
		sum += max(v, -v)
	}
	return sum / len(body)
}
