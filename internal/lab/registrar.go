package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RegistrarOptions say how a registrar treats its one account.
type RegistrarOptions struct {
	// Credentials are the account and its password. The status is 401 unless
	// Status says 407.
	Credentials
	Granted   time.Duration // how long a registration lasts; 0: as long as is asked for
	Least     time.Duration // who asks for less gets 423; 0: nobody does
	NonceUses int           // how often a nonce may be used; 0: any number of times
	NextNonce bool          // every 200 names the nonce to be used next (RFC 7616 section 3.5)
	// EditContacts changes what a 200 lists; nil: nothing.
	EditContacts func(contacts []string) []string
}

// Binding is one registered Contact.
type Binding struct {
	Contact string         // its URI
	Source  netip.AddrPort // where the REGISTER came from
	Expires time.Time
	CallID  string
}

// Registrar is where the account of a carrier registers (RFC 3261 section
// 10.3). All methods are safe for concurrent use.
type Registrar struct {
	c *Carrier
	o RegistrarOptions

	// All below is guarded by c.mu.
	bindings []Binding
	nonces   map[string]*nonce
	current  string            // the nonce to be used, where NextNonce is set
	seqs     map[string]uint32 // by Call-ID
	requests []*Message        // repeated ones not
	granted  int
	wrong    int
	status   int // what every REGISTER gets; 0: what it deserves
	phrase   string
	headers  []string
	silent   bool
}

// nonce is one that was given out.
type nonce struct {
	uses  int
	count uint64 // the last nc
	spent bool   // is to be called stale
}

// NewRegistrar lets the carrier's account register. It replaces an earlier
// registrar.
func (c *Carrier) NewRegistrar(o RegistrarOptions) *Registrar {
	if o.Status == 0 {
		o.Status = 401
	}
	r := &Registrar{c: c, o: o, nonces: make(map[string]*nonce), seqs: make(map[string]uint32)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.regs = r
	return r
}

// Answer makes every REGISTER from now on get this response; headers are
// written "Name: value". The status 0 makes the registrar work again.
func (r *Registrar) Answer(status int, phrase string, headers ...string) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.status, r.phrase, r.headers = status, phrase, headers
}

// Silence makes every REGISTER from now on get no response, or makes the
// registrar work again.
func (r *Registrar) Silence(on bool) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.silent = on
}

// Restart forgets all registrations and nonces, as a registrar does that keeps
// them in memory.
func (r *Registrar) Restart() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.bindings, r.nonces, r.current = nil, make(map[string]*nonce), ""
	clear(r.seqs)
}

// Expire makes all nonces stale that were given out so far.
func (r *Registrar) Expire() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for _, n := range r.nonces {
		n.spent = true
	}
}

// Bind registers a Contact of another device until expires.
func (r *Registrar) Bind(contact string, expires time.Time) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.bindings = append(r.bindings, Binding{Contact: contact, Expires: expires, CallID: newTag()})
	r.c.touch()
}

// Bindings are the registrations that are alive, the oldest first.
func (r *Registrar) Bindings() []Binding {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return slices.Clone(r.alive())
}

func (r *Registrar) alive() []Binding {
	now := time.Now()
	r.bindings = slices.DeleteFunc(r.bindings, func(b Binding) bool { return !now.Before(b.Expires) })
	return r.bindings
}

// Requests are all REGISTER requests so far, repeated ones not.
func (r *Registrar) Requests() []*Message {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return slices.Clone(r.requests)
}

// Granted counts the REGISTER requests that got a 200, Wrong those with a
// wrong user name or password.
func (r *Registrar) Granted() int { return r.count(&r.granted) }

// Wrong counts the REGISTER requests with a wrong user name or password.
func (r *Registrar) Wrong() int { return r.count(&r.wrong) }

func (r *Registrar) count(n *int) int {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return *n
}

// Wait waits until n Contacts are registered and returns them.
func (r *Registrar) Wait(ctx context.Context, n int) ([]Binding, error) {
	var found []Binding
	err := r.c.until(ctx, func() bool {
		found = slices.Clone(r.alive())
		return len(found) == n
	})
	if err != nil {
		return nil, fmt.Errorf("lab: wait for %d registrations: %w", n, err)
	}
	return found, nil
}

// callee is the Request-URI of a call of ours. That of one to an account is
// its newest Contact, and To becomes where it registered from.
func (c *Carrier) callee(o *CallOptions) (string, error) {
	if o.Account == "" {
		return fmt.Sprintf("sip:%s@%s", o.User, o.To), nil
	}
	if c.regs == nil || c.regs.o.Username != o.Account {
		return "", fmt.Errorf("nobody registers as %s here", o.Account)
	}
	all := c.regs.alive()
	if len(all) == 0 {
		return "", errors.New("nobody is registered")
	}
	newest := all[len(all)-1]
	o.To = newest.Source
	return newest.Contact, nil
}

// take answers a REGISTER. c.mu is held, as in all that follows.
func (r *Registrar) take(m *Message, from netip.AddrPort) {
	r.requests = append(r.requests, m)
	tx := r.c.begin(m, from, nil)
	r.check(m)
	switch {
	case r.silent:
		return
	case r.status > 0:
		res := tx.response(r.status, r.phrase, newTag())
		res.addLines(r.headers)
		r.c.respond(tx, res)
		return
	case !r.admit(tx, m):
		return
	}
	asked, contacts, gone := r.wishes(m)
	if r.o.Least > 0 && asked > 0 && asked < r.o.Least {
		res := tx.response(423, "Interval Too Brief", newTag())
		res.add("Min-Expires", strconv.Itoa(int(r.o.Least/time.Second)))
		r.c.respond(tx, res)
		return
	}
	if r.o.Granted > 0 && asked > r.o.Granted {
		asked = r.o.Granted
	}
	for _, uri := range contacts {
		r.bind(uri, asked, m, from)
	}
	for _, uri := range gone {
		r.bind(uri, 0, m, from)
	}
	r.granted++
	r.c.respond(tx, r.success(tx))
}

// wishes are the Contacts of a REGISTER and for how long they are to be kept,
// and those that are to go.
func (r *Registrar) wishes(m *Message) (asked time.Duration, uris, gone []string) {
	asked = time.Hour
	if n, err := strconv.Atoi(m.Get("Expires")); err == nil {
		asked = time.Duration(n) * time.Second
	}
	for i, contact := range m.All("Contact") {
		n, err := strconv.Atoi(param(contact, "expires"))
		switch {
		case i > 0 && err == nil && n == 0:
			gone = append(gone, uriOf(contact))
			continue
		case err == nil:
			asked = time.Duration(n) * time.Second
		}
		uris = append(uris, uriOf(contact))
	}
	return asked, uris, gone
}

func (r *Registrar) bind(uri string, life time.Duration, m *Message, from netip.AddrPort) {
	r.bindings = slices.DeleteFunc(r.alive(), func(b Binding) bool { return b.Contact == uri })
	if life > 0 {
		r.bindings = append(r.bindings, Binding{Contact: uri, Source: from, Expires: time.Now().Add(life), CallID: m.callID()})
	}
}

// success lists all that is registered (RFC 3261 section 10.3, step 8).
func (r *Registrar) success(tx *serverTx) *Message {
	res := tx.response(200, "OK", newTag())
	var contacts []string
	for _, b := range r.alive() {
		contacts = append(contacts, fmt.Sprintf("<%s>;expires=%d", b.Contact, int(time.Until(b.Expires)/time.Second)))
	}
	if r.o.EditContacts != nil {
		contacts = r.o.EditContacts(contacts)
	}
	if len(contacts) > 0 {
		res.add("Contact", strings.Join(contacts, ", "))
	}
	if r.o.NextNonce {
		r.current = r.newNonce()
		res.add("Authentication-Info", fmt.Sprintf("nextnonce=%q", r.current))
	}
	return res
}
