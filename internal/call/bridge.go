package call

import (
	"sync"
	"time"

	"perezvon/media"
)

// bridge joins the two sides of a call from the moment both are there. A side
// may wait while the other holds, see held.go, and another leg may take a side's
// place, see transfer.go.
type bridge struct {
	call     *Call
	recorder *recording // nil: nothing is kept
	began    time.Time
	changed  chan struct{} // holds one token when a side has changed
	keys     keyQueue

	mu     sync.Mutex
	sides  [2]*leg     // guarded by mu; by place
	path   *media.Path // guarded by mu; nil: the two do not hear each other
	way    way         // guarded by mu; of path
	waits  [2]waiting  // guarded by mu; what is played to a side that waits
	parked string      // guarded by mu; who put the call on hold from outside; empty: nobody
	told   string      // guarded by mu; what was told last of who holds; empty: nobody does
	parted bool        // guarded by mu; a transfer keeps the two apart
	over   bool        // guarded by mu

	moving *transferring // guarded by mu; nil: no transfer is under way
	lent   *leg          // guarded by mu; the side that goes over to another bridge, nil: none
	lentAt time.Time     // guarded by mu
}

// place is where a leg stands in a bridge.
type place int

const (
	managerSide place = iota
	customerSide
)

// way is which side of a path hears the other.
type way int

const (
	nobody way = iota
	both
	managerHears
	customerHears
)

// join connects two legs. The first words are not cut: who is heard already is
// heard by the other from here on.
func (c *Call) join(manager, customer *leg) *bridge {
	b := &bridge{
		call: c, recorder: c.startRecording(), began: time.Now(), changed: make(chan struct{}, 1),
		sides: [2]*leg{manager, customer},
	}
	b.open(both)
	b.take(managerSide)
	b.take(customerSide)
	return b
}

// take makes the leg of a side one that talks. b.mu is held, or nobody else
// knows b.
func (b *bridge) take(at place) {
	l := b.sides[at]
	l.talked = true
	if l.dialog != nil {
		l.dialog.SetInfo(func(contentType string, body []byte) { b.pressed(at, l, contentType, body) })
	}
	b.mayTransfer(l)
}

// open makes a path of which one, both or none of the sides hear the other, in
// place of the one there was. b.mu is held, or nobody else knows b.
func (b *bridge) open(w way) {
	old := b.path
	from, to := b.sides[managerSide].media, b.sides[customerSide].media
	cfg := media.PathConfig{Record: b.recorder.sound(), DTMF: true, OneWay: w != both}
	if w == customerHears {
		from, to = to, from
		cfg.Record = nil // its channels would be exchanged
	}
	if b.way, b.path = w, nil; w != nobody {
		b.path = b.call.svc.sound.Connect(from, to, cfg)
	}
	if old != nil {
		old.Close() // what is left of it: the new one has taken over whom both know
	}
}

// connect lets the two hear each other, as far as nobody holds. b.mu is held.
func (b *bridge) connect() {
	b.parted, b.way = false, nobody
	b.arrange()
}

// replace lets another leg, which is up, take the place of one of the two. The
// other side hears it at once; the leg that has lost its place is the caller's
// to hang up. It is false where that leg has no place, or has gone already
// without having passed the other side on.
func (b *bridge) replace(old, l *leg) bool {
	return b.replaceWith(old, func() *leg { return l }) != nil
}

// replaceWith is replace by a leg that comes about only once it has a place; nil
// where there is none, or no leg.
func (b *bridge) replaceWith(old *leg, come func() *leg) *leg {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.placeOf(old)
	if !ok || b.over || old.ctx.Err() != nil && !b.expendable(old) {
		return nil
	}
	l := come()
	if l == nil {
		return nil
	}
	b.play(at, nil)
	b.sides[at], b.parked = l, ""
	b.connect()
	b.take(at)
	b.wake()
	return l
}

// expendable reports whether the bridge goes on without a leg: it passes the
// other side on, or its other side goes over to another bridge. b.mu is
// held.
func (b *bridge) expendable(l *leg) bool {
	return b.moving != nil && b.moving.asker == l || b.lent != nil && b.lent != l
}

// placeOf finds a leg. b.mu is held.
func (b *bridge) placeOf(l *leg) (place, bool) {
	for at := range b.sides {
		if b.sides[at] == l {
			return place(at), true
		}
	}
	return 0, false
}

// watched returns the sides that may go, nil for one that has gone already and
// that the bridge can do without.
func (b *bridge) watched() (sides [2]*leg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, l := range b.sides {
		if l.ctx.Err() == nil || !b.expendable(l) {
			sides[at] = l
		}
	}
	return sides
}

// done is closed when a leg has gone, never for none.
func done(l *leg) <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.ctx.Done()
}

// lost reports whether a leg that has gone leaves the bridge with one side. It
// does not where another leg has taken its place, or need not come back.
func (b *bridge) lost(l *leg) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.placeOf(l)
	if ok && !b.expendable(l) {
		b.over = true
	}
	return b.over
}

// ended reports whether a side has gone for good.
func (b *bridge) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// talked is how long the two sides of a bridge that is over had each other.
func (b *bridge) talked() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lent != nil {
		return b.lentAt.Sub(b.began)
	}
	return time.Since(b.began)
}

// wake has the sides looked at anew. It does not block.
func (b *bridge) wake() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// close hangs both sides up.
func (b *bridge) close() {
	b.keys.close()
	b.mu.Lock()
	b.over = true
	manager, customer, path := b.sides[managerSide], b.sides[customerSide], b.path
	b.mu.Unlock()
	manager.hangup(errOver)
	customer.hangup(errOver)
	if path != nil {
		path.Close()
	}
}

// separate keeps the two apart until they are connected again, and what they
// hear is another's business. b.mu is held.
func (b *bridge) separate() {
	b.play(managerSide, nil)
	b.play(customerSide, nil)
	b.open(nobody)
	b.parted = true
}

// bridgeOf finds the bridge of a call in progress; nil: there is none.
func (s *Service) bridgeOf(id string) *bridge {
	s.mu.Lock()
	c := s.live[id]
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bridge
}
