package sip

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// change is one binding that became another.
type change struct {
	now   Binding
	since *bound         // nil: it is no more
	fresh bool           // it was not there before
	why   string         // where it is no more
	moved netip.AddrPort // where it was before, if that was elsewhere
	at    time.Time      // set when it is told of
}

// errOldRequest says that a REGISTER was overtaken by a later one of the phone.
var errOldRequest = errors.New("a later REGISTER of the same Call-ID has been seen")

// update does what a REGISTER asks for, all of it or nothing (RFC 3261 section
// 10.3 steps 6 and 7). One that was seen before changes nothing.
func (r *bindings) update(o regOrder) ([]change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.byExt[o.extension] {
		if b.CallID != o.callID || !o.concerns(b) {
			continue
		}
		switch {
		case o.cseq < b.CSeq:
			return nil, errOldRequest
		case o.cseq == b.CSeq:
			return nil, nil
		}
	}
	var changes []change
	remove := func(b *bound, why string) {
		r.drop(b)
		changes = append(changes, change{now: b.Binding, why: why})
	}
	for _, b := range slices.Clone(r.byExt[o.extension]) {
		if o.all {
			remove(b, ReasonUnregistered)
		}
	}
	for _, w := range o.wishes {
		i := slices.IndexFunc(r.byExt[o.extension], func(b *bound) bool { return b.Contact == w.contact })
		switch {
		case w.life == 0:
			if i >= 0 {
				remove(r.byExt[o.extension][i], ReasonUnregistered)
			}
		case i >= 0:
			b := r.byExt[o.extension][i]
			c := change{since: b}
			if was := b.Address; was != o.address {
				c.moved = was
			}
			r.renew(b, o.binding(w))
			c.now = b.Binding
			changes = append(changes, c)
		default:
			var former []netip.AddrPort
			for _, b := range slices.Clone(r.byExt[o.extension]) {
				if w.instance != "" && b.Instance == w.instance {
					former = append(append(former, b.former...), b.Address)
					remove(b, ReasonReplaced)
				}
			}
			b := r.add(o.binding(w))
			b.moves(former...)
			changes = append(changes, change{now: b.Binding, since: b, fresh: true})
		}
	}
	for len(r.byExt[o.extension]) > maxBindings {
		remove(r.spare(o), ReasonReplaced)
	}
	return changes, nil
}

// spare is the binding that makes room for an order: the one that ends first of
// those that it does not name, which one of more than maxBindings never is. r.mu
// is held.
func (r *bindings) spare(o regOrder) *bound {
	others := slices.DeleteFunc(slices.Clone(r.byExt[o.extension]), func(b *bound) bool {
		return slices.ContainsFunc(o.wishes, func(w wish) bool { return w.contact == b.Contact })
	})
	return slices.MinFunc(others, func(x, y *bound) int { return x.Expires.Compare(y.Expires) })
}

// expel ends all registrations of an extension.
func (r *bindings) expel(ext string) (changes []change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range slices.Clone(r.byExt[ext]) {
		r.drop(b)
		changes = append(changes, change{now: b.Binding, why: ReasonRevoked})
	}
	return changes
}

// regOrder is what a REGISTER asks for.
type regOrder struct {
	extension string
	callID    string
	cseq      uint32
	userAgent string
	address   netip.AddrPort
	listener  string
	transport string
	at        time.Time
	all       bool // every binding is to be removed
	wishes    []wish
}

// wish is one Contact of a REGISTER.
type wish struct {
	contact  string
	instance string
	life     time.Duration // 0: the binding is to be removed
}

// concerns reports whether the order is about a binding.
func (o *regOrder) concerns(b *bound) bool {
	return o.all || slices.ContainsFunc(o.wishes, func(w wish) bool {
		return w.contact == b.Contact || w.instance != "" && w.instance == b.Instance
	})
}

func (o *regOrder) binding(w wish) Binding {
	sum := sha256.Sum256([]byte(o.extension + "\x00" + w.contact))
	return Binding{
		ID: hex.EncodeToString(sum[:8]), Extension: o.extension, Contact: w.contact, Instance: w.instance,
		Address: o.address, Listener: o.listener, Transport: o.transport, Expires: o.at.Add(w.life), Since: o.at,
		UserAgent: o.userAgent, CallID: o.callID, CSeq: o.cseq, Reachable: true,
	}
}
