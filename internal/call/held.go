package call

import (
	"time"

	"perezvon/internal/store"
	"perezvon/media/g711"
)

// listenEvery is how often it is looked whether who waits still hears music.
const listenEvery = time.Second

// turned tells when a leg's far side has put us on hold, or resumed; never for
// no leg.
func turned(l *leg) <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.turned
}

// turn says that it is looked anew whether a leg's far side holds.
func (l *leg) turn() {
	select {
	case l.turned <- struct{}{}:
	default:
	}
	if heir := l.heir.Load(); heir != nil {
		heir.turn()
	}
}

// settle brings what the two sides hear in line with who holds whom, and tells
// it where that has changed; the commit is nil where it has not.
func (b *bridge) settle() *store.Commit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.arrange()
}

// arrange is settle; b.mu is held.
//
// A phone of the office that holds is not heard: who waits hears the music. A
// far network that holds may have music of its own, which goes before ours; so
// may a phone, where there is none of ours. Who is put on hold from outside has
// a phone that knows nothing of it and sends on: neither side hears the other.
func (b *bridge) arrange() *store.Commit {
	if b.over || b.parted {
		return nil
	}
	var holds [2]bool
	for at, l := range b.sides {
		holds[at] = l.media.Held()
	}
	w := b.wayFor(holds)
	if w != b.way && w != nobody {
		b.open(w) // before the music stops: the first word after a hold is heard
	}
	for at := range b.sides {
		b.play(place(at), b.soundFor(place(at), holds))
	}
	if w != b.way {
		b.open(w)
	}
	return b.tell(holds)
}

// wayFor is who hears whom. b.mu is held.
func (b *bridge) wayFor(holds [2]bool) way {
	switch {
	case b.parked != "":
		return nobody
	case b.call.svc.music == nil:
		return both
	case holds[managerSide] && b.sides[managerSide].to.extension != "":
		return managerHears
	case holds[customerSide] && b.sides[customerSide].to.extension != "":
		return customerHears
	}
	return both
}

// hears reports whether a side is sent the sound of the other. b.mu is held.
func (b *bridge) hears(at place) bool {
	return b.way == both || b.way == managerHears && at == managerSide || b.way == customerHears && at == customerSide
}

// soundFor is what is played to a side; nil: it does not wait. Silence is sent,
// too: a stream that stops would be taken for a phone that is gone. b.mu is
// held.
func (b *bridge) soundFor(at place, holds [2]bool) *g711.Clip {
	switch s := b.call.svc; {
	case b.parked == "" && !holds[1-at]:
		return nil
	case b.parked != "" && at == managerSide, s.music == nil:
		return s.silence
	default:
		return s.music
	}
}

// waiting is what is played to a side that waits.
type waiting struct {
	clip  *g711.Clip // nil: nothing, it does not wait
	stop  func()
	over  <-chan struct{} // closed when something else has taken its place
	heard uint64          // packets of the other side, when it was looked last
}

// play lets a side hear a clip again and again; nil: only the other side. b.mu
// is held.
func (b *bridge) play(at place, clip *g711.Clip) {
	w := &b.waits[at]
	if w.clip == clip {
		return
	}
	if w.clip != nil {
		w.stop()
	}
	*w = waiting{clip: clip}
	if clip != nil {
		w.stop, w.over = b.sides[at].media.Filler(clip)
	}
}

// whileWaiting is when listen is due; never while nobody waits.
func (b *bridge) whileWaiting() <-chan time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waits[managerSide].clip == nil && b.waits[customerSide].clip == nil {
		return nil
	}
	return time.After(listenEvery)
}

// listen lets those who wait hear their music again where what took its place
// is over: keys, a text, the first sound of somebody who holds.
func (b *bridge) listen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := range b.waits {
		w := &b.waits[at]
		if w.clip == nil || b.over {
			continue
		}
		heard := b.sides[1-at].media.Stats().PacketsIn
		speaks := b.hears(place(at)) && heard != w.heard
		w.heard = heard
		select {
		case <-w.over:
			if !speaks {
				w.stop, w.over = b.sides[at].media.Filler(w.clip)
			}
		default:
		}
	}
}

// tell records who holds whom, where that has changed. b.mu is held.
func (b *bridge) tell(holds [2]bool) *store.Commit {
	who := ""
	switch {
	case b.parked != "":
		who = "put on hold by " + b.parked
	case holds[managerSide] && holds[customerSide]:
		who = "both sides hold"
	case holds[managerSide]:
		who = "the manager holds"
	case holds[customerSide]:
		who = "the customer holds"
	}
	if who == b.told {
		return nil
	}
	b.told = who
	state, text := store.StateHeld, who
	if who == "" {
		state, text = store.StateTalking, "the hold is over"
	}
	return b.call.change(store.EventCallState, func(r *store.Call) any {
		return stateData{State: state, Attempt: len(r.Attempts), Text: text}
	}, func(r *store.Call) { r.State = state })
}
