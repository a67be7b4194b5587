package sip

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// bound is a binding and what goes on with it.
type bound struct {
	Binding // guarded by bindings.mu

	former  []netip.AddrPort // guarded by bindings.mu; where it was before, the latest last
	misses  int              // guarded by bindings.mu; OPTIONS in a row without a response
	renewed chan struct{}    // has a token when Expires is another
	gone    chan struct{}    // closed when it is none any more
}

// bindings are the phones that are registered.
type bindings struct {
	mu    sync.RWMutex
	byExt map[string][]*bound     // guarded by mu; the oldest first
	byIP  map[netip.Addr][]*bound // guarded by mu
}

func newBindings() *bindings {
	return &bindings{byExt: make(map[string][]*bound), byIP: make(map[netip.Addr][]*bound)}
}

// on reports whether a phone is registered from an address.
func (r *bindings) on(ip netip.Addr) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byIP[ip]) > 0
}

// holds reports whether a phone of an extension is registered from an address.
func (r *bindings) holds(ext string, ip netip.Addr) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.byIP[ip], func(b *bound) bool { return b.Extension == ext })
}

// at returns the extension whose phone sends from exactly this address; of
// several the one with this number. Empty if there is none.
func (r *bindings) at(from netip.AddrPort, user string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	found := ""
	for _, b := range r.byIP[from.Addr()] {
		if b.Address != from {
			continue
		}
		if b.Extension == user {
			return user
		}
		found = cmp.Or(found, b.Extension)
	}
	return found
}

// any returns the extension of a phone that is registered from an address, empty
// if none is.
func (r *bindings) any(ip netip.Addr) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, b := range r.byIP[ip] {
		return b.Extension
	}
	return ""
}

// of returns the live bindings of an extension, the newest first.
func (r *bindings) of(ext string, now time.Time) []Binding {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []Binding
	for _, b := range slices.Backward(r.byExt[ext]) {
		if now.Before(b.Expires) {
			all = append(all, b.Binding)
		}
	}
	return all
}

// count is how many there are.
func (r *bindings) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := 0
	for _, all := range r.byExt {
		n += len(all)
	}
	return n
}

// add is called with r.mu held.
func (r *bindings) add(b Binding) *bound {
	one := &bound{Binding: b, renewed: make(chan struct{}, 1), gone: make(chan struct{})}
	r.byExt[b.Extension] = append(r.byExt[b.Extension], one)
	r.byIP[b.Address.Addr()] = append(r.byIP[b.Address.Addr()], one)
	return one
}

// drop is called with r.mu held.
func (r *bindings) drop(b *bound) {
	without(r.byExt, b.Extension, b)
	without(r.byIP, b.Address.Addr(), b)
	close(b.gone)
}

func without[K comparable](m map[K][]*bound, key K, b *bound) {
	m[key] = slices.DeleteFunc(m[key], func(other *bound) bool { return other == b })
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// renew replaces what a REGISTER says again. r.mu is held.
func (r *bindings) renew(b *bound, as Binding) {
	if b.Address.Addr() != as.Address.Addr() {
		without(r.byIP, b.Address.Addr(), b)
		r.byIP[as.Address.Addr()] = append(r.byIP[as.Address.Addr()], b)
	}
	if b.Address != as.Address {
		b.moves(b.Address)
	}
	as.Since, as.RoundTrip, b.misses = b.Since, b.RoundTrip, 0
	b.Binding = as
	nudge(b.renewed)
}

// maxFormer is how many former addresses of a phone are remembered.
const maxFormer = 4

// moves notes where the phone was. r.mu is held.
func (b *bound) moves(from ...netip.AddrPort) {
	b.former = append(b.former, from...)
	b.former = slices.Clone(b.former[max(0, len(b.former)-maxFormer):])
}

// successor returns the binding of the phone that used to be at an address, or
// is registered from it: a phone that connects again has another port, and calls
// of before know the old one.
func (r *bindings) successor(transport string, at netip.AddrPort) (Binding, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, b := range r.byIP[at.Addr()] {
		if b.Transport == transport && (b.Address == at || slices.Contains(b.former, at)) {
			return b.Binding, true
		}
	}
	return Binding{}, false
}

// restore takes what a store has kept of an extension.
func (r *bindings) restore(b Binding) *bound {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.Reachable = true
	return r.add(b)
}

// expire drops a binding whose time is up, and reports whether it did.
func (r *bindings) expire(b *bound, now time.Time) (change, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-b.gone:
		return change{}, false
	default:
	}
	if now.Before(b.Expires) {
		return change{}, false
	}
	r.drop(b)
	return change{now: b.Binding, why: ReasonExpired}, true
}

// read returns a binding as it is now.
func (r *bindings) read(b *bound) Binding {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return b.Binding
}

// answered and missed take what an OPTIONS to a phone came to. They report
// whether Reachable is another now.
func (r *bindings) answered(b *bound, took time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := b.Reachable
	b.misses, b.Reachable = 0, true
	if unrepeated(b.Transport, took) {
		b.RoundTrip = &took
	}
	return !was
}

func (r *bindings) missed(b *bound) (misses int, changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := b.Reachable
	b.misses++
	b.Reachable = b.misses < maxMisses
	return b.misses, was && !b.Reachable
}
