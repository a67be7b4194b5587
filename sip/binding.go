package sip

import (
	"context"
	"net/netip"
	"time"
)

// maxBindings is how many phones may be registered as one extension. One more
// takes the place of that of the others whose registration ends first.
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

	// RoundTrip is how long the last OPTIONS took that it answered and that was
	// sent once; nil: there was none.
	RoundTrip *time.Duration `json:"-"`
	// Reachable is false after two OPTIONS in a row without a response, and
	// while there is no way to the phone: see Connected.
	Reachable bool `json:"-"`
	// Connected is false where the connection has ended that the phone
	// registered by. It is called at its Contact then, if that can be reached.
	// Over UDP there is none, and it is always true.
	Connected bool `json:"-"`
}

// BindingStore keeps bindings over a restart. Phones whose connection it has ended
// and that take none at their Contact are out of reach until they register again.
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
