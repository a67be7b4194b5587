package sip

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

type trunk struct {
	Trunk
	host   *endpoint
	proxy  *endpoint   // nil: none
	secure *tls.Config // for connections to it; nil: it is not over TLS
	health condition
	load   *load
	mirror *mirror
	life   context.Context // ends when it is configured no more, or otherwise
	end    context.CancelFunc
	heir   atomic.Bool // at its end another trunk has taken over its registration

	// Of a trunk that registers.
	token      string        // in our Contact
	moved      chan struct{} // has a token when its addresses may have changed
	disturbed  chan struct{} // has a token when it may have forgotten us
	renumbered chan struct{} // has a token when we may be seen somewhere else
	introduced chan struct{} // closed when the first try to register is over
}

// hop is where requests to the trunk are sent.
func (t *trunk) hop() *endpoint {
	if t.proxy != nil {
		return t.proxy
	}
	return t.host
}

// label says what the host and the proxy are there for. Calls to the trunk need
// the hop; calls from it need every address, unless peers says where they come
// from.
func (t *trunk) label() {
	t.host.owner, t.host.setting, t.host.fails = "trunk "+t.Name, "trunks[].host", bothWays
	switch {
	case t.proxy != nil && len(t.Peers) > 0:
		t.host.fails = ""
	case t.proxy != nil:
		t.host.fails = "calls from it"
	case len(t.Peers) > 0:
		t.host.fails = "calls to it"
	}
	if t.proxy != nil {
		t.proxy.owner, t.proxy.setting, t.proxy.fails = "trunk "+t.Name, "trunks[].proxy", bothWays
		if len(t.Peers) > 0 {
			t.proxy.fails = "calls to it"
		}
	}
}

// domain is the host part of the URIs that name somebody at the trunk.
func (t *trunk) domain() (host string, port int) {
	if t.Domain != "" {
		return t.Domain, 0
	}
	if t.host.port != 0 && t.host.port != defaultPort(t.host.transport) {
		return t.host.host, int(t.host.port)
	}
	return t.host.host, 0
}

// at reports whether this is exactly one of the trunk's own addresses.
func (t *trunk) at(a netip.AddrPort) bool {
	return t.host.at(a) || t.proxy != nil && t.proxy.at(a)
}

type extension struct {
	Extension
	uri sipmsg.Uri
	hop *endpoint // nil: it has no fixed contact

	lastFailure atomic.Pointer[LoginFailure] // nil: there was none
}

// registers reports whether phones may register as the extension.
func (e *extension) registers() bool { return !e.HA1.IsZero() }

// directory knows who may speak to us, and from where.
type directory struct {
	look       lookUps
	secret     []byte
	book       atomic.Pointer[book]
	phones     *bindings                               // that are registered
	known      atomic.Pointer[map[netip.Addr]struct{}] // addresses of hosts, as resolved
	publishing sync.Mutex                              // held while known is made
	onResolved func()                                  // called when addresses may have changed; nil: nobody asks

	mu      sync.RWMutex
	dialogs map[netip.Addr]int // guarded by mu; how many open dialogs there are with it
}

func newDirectory(cfg *Config, secret []byte) (*directory, error) {
	d := &directory{look: newLookUps(cfg), phones: newBindings(), secret: secret, dialogs: make(map[netip.Addr]int)}
	b, err := d.write(cfg.Trunks, cfg.Extensions)
	if err != nil {
		return nil, err
	}
	d.book.Store(b)
	d.publish()
	return d, nil
}

// book is who is configured. It is replaced as a whole, and never changed.
type book struct {
	trunks     []*trunk
	extensions []*extension
	prefixes   []netip.Prefix // of trunks

	byName   map[string]*trunk
	byNumber map[string]*extension
}

func (d *directory) trunks() []*trunk         { return d.book.Load().trunks }
func (d *directory) extensions() []*extension { return d.book.Load().extensions }

// write makes a book.
func (d *directory) write(trunks []Trunk, extensions []Extension) (*book, error) {
	b := &book{}
	for _, t := range trunks {
		one, err := newTrunk(t, d.secret)
		if err != nil {
			return nil, fmt.Errorf("sip: trunk %s: %w", t.Name, err)
		}
		b.trunks = append(b.trunks, one)
		b.prefixes = append(b.prefixes, t.Peers...)
	}
	for _, e := range extensions {
		one, err := newExtension(e)
		if err != nil {
			return nil, fmt.Errorf("sip: extension %s: %w", e.Number, err)
		}
		b.extensions = append(b.extensions, one)
	}
	b.index()
	return b, nil
}

// index has trunks and extensions found. Of several of one name it is the first.
func (b *book) index() {
	b.byName, b.byNumber = make(map[string]*trunk, len(b.trunks)), make(map[string]*extension, len(b.extensions))
	for _, t := range slices.Backward(b.trunks) {
		b.byName[t.Name] = t
	}
	for _, e := range slices.Backward(b.extensions) {
		b.byNumber[e.Number] = e
	}
}

func newTrunk(t Trunk, secret []byte) (*trunk, error) {
	host, err := newEndpoint(t.Host, t.Transport)
	if err != nil {
		return nil, err
	}
	one := &trunk{
		Trunk: t, host: host, health: condition{last: verdict{up: true}, since: time.Now()},
		load: &load{most: t.MaxCalls, pace: t.CPS}, mirror: &mirror{},
	}
	one.life, one.end = context.WithCancel(context.Background())
	if t.Proxy != "" {
		if one.proxy, err = newEndpoint(t.Proxy, t.Transport); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	if t.Register {
		if t.Username == "" {
			return nil, errors.New("registers and has no user name")
		}
		one.token = contactToken(&t, secret)
		one.moved, one.disturbed, one.renumbered = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
		one.introduced = make(chan struct{})
	}
	one.secure = clientTLS(one)
	one.label()
	return one, nil
}

func newExtension(e Extension) (*extension, error) {
	one := &extension{Extension: e}
	if e.Contact == "" && one.registers() {
		return one, nil
	}
	if err := sipmsg.ParseUri(e.Contact, &one.uri); err != nil || one.uri.Host == "" {
		return nil, fmt.Errorf("contact %q is not sip:user@host:port", e.Contact)
	}
	hostport := one.uri.Host
	if one.uri.Port > 0 {
		hostport = net.JoinHostPort(hostport, strconv.Itoa(one.uri.Port))
	}
	var err error
	transport, _ := param(one.uri.UriParams, "transport")
	if one.hop, err = newEndpoint(hostport, strings.ToLower(transport)); err != nil {
		return nil, err
	}
	one.hop.owner, one.hop.setting, one.hop.fails = "extension "+e.Number, "extensions[].contact", bothWays
	return one, nil
}

// endpoints are all hosts that are configured.
func (t *trunk) endpoints() []*endpoint {
	if t.proxy != nil {
		return []*endpoint{t.host, t.proxy}
	}
	return []*endpoint{t.host}
}

func (d *directory) endpoints() []*endpoint {
	var all []*endpoint
	for _, t := range d.trunks() {
		all = append(all, t.endpoints()...)
	}
	for _, e := range d.extensions() {
		if e.hop != nil {
			all = append(all, e.hop)
		}
	}
	return all
}

// publish renews the set that allows looks into.
func (d *directory) publish() {
	if d.onResolved != nil {
		defer d.onResolved()
	}
	d.publishing.Lock() // or an older set could replace a newer one
	defer d.publishing.Unlock()
	set := make(map[netip.Addr]struct{})
	for _, e := range d.endpoints() {
		for _, a := range e.current() {
			set[a.Addr()] = struct{}{}
		}
	}
	d.known.Store(&set)
}

// resolve returns the addresses to send to, in order, at most maxAddresses.
func (d *directory) resolve(ctx context.Context, e *endpoint) ([]netip.AddrPort, error) {
	if err := e.resolve(ctx, d.look); err != nil {
		return nil, err
	}
	addrs := e.order()
	if known := *d.known.Load(); slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { _, ok := known[a.Addr()]; return !ok }) {
		d.publish()
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// allows reports whether packets from the address are looked at.
func (d *directory) allows(a netip.Addr) bool {
	if _, ok := (*d.known.Load())[a]; ok {
		return true
	}
	for _, p := range d.book.Load().prefixes {
		if p.Contains(a) {
			return true
		}
	}
	if d.phones.on(a) {
		return true
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dialogs[a] > 0
}

// isTrunk reports whether a trunk may be at the address.
func (d *directory) isTrunk(a netip.Addr) bool {
	return slices.ContainsFunc(d.trunks(), func(t *trunk) bool {
		return t.mayUse(a) || t.host.on(a) || t.proxy != nil && t.proxy.on(a)
	})
}

// hold and release bracket a dialog with an address that may be no configured
// one: a Contact or Record-Route can name another.
func (d *directory) hold(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialogs[a]++
}

// dialogsWith is how many dialogs there are with an address.
func (d *directory) dialogsWith(a netip.Addr) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dialogs[a]
}

func (d *directory) release(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dialogs[a]--; d.dialogs[a] <= 0 {
		delete(d.dialogs, a)
	}
}

func (d *directory) trunk(name string) *trunk { return d.book.Load().trunk(name) }

// registrar reports whether phones may register.
func (d *directory) registrar() bool {
	return slices.ContainsFunc(d.extensions(), (*extension).registers)
}

// secretOf returns how a user is challenged, and the secret of an extension that
// has a password. One that has none, or does not exist, is challenged as one of
// those that have: nobody can tell who there is.
func (d *directory) secretOf(user string) (HA1, Digest, bool) {
	var found *extension
	var kinds []Digest
	for _, e := range d.extensions() {
		if !e.registers() {
			continue
		}
		if e.Number == user {
			found = e
		}
		kinds = append(kinds, e.Digest)
	}
	pick := binary.BigEndian.Uint64(keyed(d.secret, "kind", user)) // by whoever asks, so that it takes as long
	switch {
	case found != nil:
		return found.HA1, found.Digest, true
	case len(kinds) == 0:
		return HA1{}, DigestMD5, false
	}
	return HA1{}, kinds[pick%uint64(len(kinds))], false
}

func (d *directory) extension(number string) *extension { return d.book.Load().extension(number) }

func (t *trunk) mayUse(a netip.Addr) bool {
	if len(t.Peers) > 0 {
		return slices.ContainsFunc(t.Peers, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return t.host.on(a) || t.proxy != nil && t.proxy.on(a)
}
