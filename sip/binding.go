package sip

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxBindings is how many phones may be registered as one extension. One more
// takes the place of the one whose registration ends first.
const maxBindings = 10

// Binding is a phone that has registered (RFC 3261 section 10.3).
type Binding struct {
	// ID is the same as long as the phone registers the same Contact, also
	// after a restart.
	ID        string `json:"id"`
	Extension string `json:"extension"`
	Contact   string `json:"contact"` // its URI as the phone gave it
	// Address is where the phone's requests come from. Ours go there, whatever
	// its Contact says: it may name an address behind a NAT.
	Address   netip.AddrPort `json:"address"`
	Listener  string         `json:"listener,omitempty"` // our address that it sends to; empty: whichever faces it
	Transport string         `json:"transport"`
	Expires   time.Time      `json:"expires"` // of the registration
	Since     time.Time      `json:"since"`   // when it began; refreshes do not change it
	UserAgent string         `json:"user_agent,omitempty"`
	Instance  string         `json:"instance,omitempty"` // +sip.instance of its Contact (RFC 5626); empty: none
	CallID    string         `json:"call_id"`            // of the REGISTER that was last
	CSeq      uint32         `json:"cseq"`

	// What is known of it now; not kept in the store.

	// RoundTrip is how long the last OPTIONS took that it answered; nil: it has
	// answered none.
	RoundTrip *time.Duration `json:"-"`
	// Reachable is false after two OPTIONS in a row without a response, and
	// while there is no way to the phone: see Connected.
	Reachable bool `json:"-"`
	// Connected is false where the connection has ended that the phone
	// registered by. It is called at its Contact then, if that can be reached.
	// Over UDP there is none, and it is always true.
	Connected bool `json:"-"`
}

// BindingStore keeps bindings, so that a restart loses none.
type BindingStore interface {
	// SaveBinding keeps a binding, in place of an older one of the same ID. It
	// must not wait; commit does, until it is kept.
	SaveBinding(b Binding) (commit func(context.Context) error)
	// DeleteBinding forgets one; that there is none is no error.
	DeleteBinding(id string) (commit func(context.Context) error)
	// Bindings returns all that are kept.
	Bindings(ctx context.Context) ([]Binding, error)
}

// BindingEvent tells that a phone has registered for the first time, or that
// its registration has ended.
type BindingEvent struct {
	Binding    Binding
	Registered bool
	Reason     string // why it has ended: one of the reasons below
	At         time.Time
}

// Reasons why a registration ends.
const (
	ReasonUnregistered = "unregistered" // the phone asked for it
	ReasonExpired      = "expired"      // it was not refreshed
	ReasonRevoked      = "revoked"      // the extension is configured no more, or has another password
	ReasonReplaced     = "replaced"     // by another of the same phone, or by a newer phone where there were too many
)

// bound is a binding and what goes on with it.
type bound struct {
	Binding // guarded by bindings.mu

	misses  int           // guarded by bindings.mu; OPTIONS in a row without a response
	renewed chan struct{} // has a token when Expires is another
	gone    chan struct{} // closed when it is none any more
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
	as.Since, as.RoundTrip, b.misses = b.Since, b.RoundTrip, 0
	b.Binding = as
	nudge(b.renewed)
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
			for _, b := range slices.Clone(r.byExt[o.extension]) {
				if w.instance != "" && b.Instance == w.instance {
					remove(b, ReasonReplaced)
				}
			}
			b := r.add(o.binding(w))
			changes = append(changes, change{now: b.Binding, since: b, fresh: true})
		}
	}
	for len(r.byExt[o.extension]) > maxBindings {
		remove(slices.MinFunc(r.byExt[o.extension], func(x, y *bound) int { return x.Expires.Compare(y.Expires) }), ReasonReplaced)
	}
	return changes, nil
}

// order is what a REGISTER asks for.
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
	b.misses, b.RoundTrip, b.Reachable = 0, &took, true
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
