package sip

import (
	"hash/maphash"
	"net/netip"
	"time"
)

const (
	// orderGap is how far apart two messages of one Call-ID are handed on. The
	// transaction layer starts a goroutine per message, and the newest runs
	// first: without a gap a 200 right behind a 183 is handled before it.
	orderGap = time.Millisecond
	maxHeld  = 256 // messages held back at once; above that order is not kept
)

// orderly keeps the order of messages of one call: one that follows too closely
// on another of the same Call-ID is held back, while all others pass. It is
// used by one goroutine.
type orderly struct {
	seed   maphash.Seed
	recent map[uint64]time.Time // Call-ID: when its last message is, or will be, handed on
	swept  time.Time
	held   []packet // ordered by due
}

// packet is a message as it was read.
type packet struct {
	data []byte
	from netip.AddrPort
	due  time.Time
}

func newOrderly() orderly {
	return orderly{seed: maphash.MakeSeed(), recent: make(map[uint64]time.Time)}
}

// ready returns a held message whose time has come.
func (o *orderly) ready(now time.Time) (packet, bool) {
	if len(o.held) == 0 || o.held[0].due.After(now) {
		return packet{}, false
	}
	p := o.held[0]
	o.held = o.held[1:]
	return p, true
}

// next says when a held message is due, if there is one.
func (o *orderly) next() (time.Time, bool) {
	if len(o.held) == 0 {
		return time.Time{}, false
	}
	return o.held[0].due, true
}

func (o *orderly) full() bool { return len(o.held) >= maxHeld }

// hold keeps a copy of the message back if it follows too closely on another of
// its Call-ID.
func (o *orderly) hold(p []byte, from netip.AddrPort, now time.Time) bool {
	id := sniffCallID(p)
	if id == nil {
		return false
	}
	o.sweep(now)
	key := maphash.Bytes(o.seed, id)
	due := o.recent[key].Add(orderGap)
	if !due.After(now) || o.full() {
		o.recent[key] = now
		return false
	}
	o.recent[key] = due
	at := len(o.held)
	for at > 0 && o.held[at-1].due.After(due) {
		at--
	}
	o.held = append(o.held, packet{})
	copy(o.held[at+1:], o.held[at:])
	o.held[at] = packet{data: append([]byte(nil), p...), from: from, due: due}
	return true
}

// sweep forgets Call-IDs whose last message is long handed on.
func (o *orderly) sweep(now time.Time) {
	if now.Sub(o.swept) < 64*orderGap {
		return
	}
	o.swept = now
	for key, at := range o.recent {
		if now.Sub(at) > orderGap {
			delete(o.recent, key)
		}
	}
}
