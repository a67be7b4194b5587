package media

import (
	"time"

	"perezvon/media/g711"
)

// PathConfig describes a path between two sessions.
type PathConfig struct {
	OneWay bool      // only from b to a, as for early media; what a says goes where it went before
	Record *Recorder // gets what a says on the left and what b says on the right; nil none
	DTMF   bool      // telephone events pass
}

// Path is a connection of two sessions. It lasts until Close, or until another
// path takes over the sessions' sound.
type Path struct {
	a, b   *Session
	ab, ba *route
}

// route is one direction of a path.
type route struct {
	id      uint64
	dst     *Session
	events  bool
	rec     *Recorder
	channel channel

	// Where there is no dst one of these is set. Neither is an interface: what
	// one is called with would be allocated for every packet.
	listener *Listening
	heard    func(law g711.Law, sound []byte)
}

// Connect relays between a and b from now on, in place of what relayed for
// them before.
func (e *Engine) Connect(a, b *Session, c PathConfig) *Path {
	p := &Path{a: a, b: b}
	p.ba = &route{id: e.sources.Add(1), dst: a, events: c.DTMF, rec: c.Record, channel: right}
	b.setRoute(p.ba)
	if !c.OneWay {
		p.ab = &route{id: e.sources.Add(1), dst: b, events: c.DTMF, rec: c.Record, channel: left}
		a.setRoute(p.ab)
	}
	return p
}

// setRoute sends what s receives along r, which from now on is the only one
// that may feed its destination.
func (s *Session) setRoute(r *route) {
	r.dst.tx.feedFrom(r.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		s.route.Store(r)
	}
}

// Close stops relaying. It does not touch the sessions otherwise, nor what
// another path has taken over.
func (p *Path) Close() {
	p.b.endRoute(p.ba)
	if p.ab != nil {
		p.a.endRoute(p.ab)
	}
}

func (s *Session) endRoute(r *route) {
	s.route.CompareAndSwap(r, nil)
	r.dst.tx.feedEnd(r.id)
}

func (r *route) forward(p *packet, now time.Duration) {
	audio := p.kind.audio()
	if r.rec != nil && audio {
		r.rec.push(r.channel, p, now)
	}
	switch {
	case r.dst != nil:
		r.dst.tx.relay(r.id, p, r.events, now)
	case !audio:
	case r.listener != nil:
		r.listener.hear(p, now)
	default:
		r.heard(p.kind.law(), p.body())
	}
}
