package sip

import (
	"context"
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

const (
	// resolveEvery is how long a looked up address is used before it is asked
	// for again.
	resolveEvery   = time.Minute
	resolveTimeout = 2 * time.Second
)

type resolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// endpoint is a configured host and what it resolves to.
type endpoint struct {
	host string
	port uint16

	mu    sync.Mutex
	addrs []netip.Addr // guarded by mu; the last good ones
	until time.Time    // guarded by mu
}

// newEndpoint reads host[:port]. A literal address needs no look-up.
func newEndpoint(hostport string) (*endpoint, error) {
	e := &endpoint{host: strings.TrimSpace(hostport), port: uint16(sipmsg.DefaultUdpPort)}
	if h, p, err := net.SplitHostPort(e.host); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("port %q is not a number from 1 to 65535", p)
		}
		e.host, e.port = h, uint16(n)
	}
	if e.host == "" {
		return nil, errors.New("host is empty")
	}
	if ip, err := netip.ParseAddr(e.host); err == nil {
		e.addrs = []netip.Addr{ip.Unmap()}
	}
	return e, nil
}

func (e *endpoint) literal() bool { _, err := netip.ParseAddr(e.host); return err == nil }

// current returns the addresses as last looked up.
func (e *endpoint) current() []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.addrs
}

// resolve returns addresses not older than resolveEvery. Where the look-up
// fails the last good ones are used on.
func (e *endpoint) resolve(ctx context.Context, look resolveFunc) ([]netip.Addr, error) {
	e.mu.Lock()
	addrs, fresh := e.addrs, e.literal() || time.Now().Before(e.until)
	e.mu.Unlock()
	if fresh {
		return addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := look(ctx, e.host)
	if err == nil && len(found) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		if len(addrs) > 0 {
			return addrs, nil
		}
		return nil, fmt.Errorf("resolve %s: %w", e.host, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.addrs, e.until = found, time.Now().Add(resolveEvery)
	return found, nil
}

type trunk struct {
	Trunk
	host  *endpoint
	proxy *endpoint // nil: none
}

// hop is where requests to the trunk are sent.
func (t *trunk) hop() *endpoint {
	if t.proxy != nil {
		return t.proxy
	}
	return t.host
}

// domain is the host part of the URIs that name somebody at the trunk.
func (t *trunk) domain() (host string, port int) {
	if t.Domain != "" {
		return t.Domain, 0
	}
	if t.host.port != uint16(sipmsg.DefaultUdpPort) {
		return t.host.host, int(t.host.port)
	}
	return t.host.host, 0
}

type extension struct {
	Extension
	uri sipmsg.Uri
	hop *endpoint
}

// directory knows who may speak to us, and from where.
type directory struct {
	look       resolveFunc
	trunks     []*trunk
	extensions []*extension
	known      atomic.Pointer[map[netip.Addr]struct{}] // addresses of hosts, as resolved
	prefixes   []netip.Prefix                          // of trunks

	mu      sync.RWMutex
	dialogs map[netip.Addr]int // guarded by mu; how many open dialogs there are with it
}

func newDirectory(cfg *Config) (*directory, error) {
	d := &directory{look: cfg.Resolve, dialogs: make(map[netip.Addr]int)}
	if d.look == nil {
		d.look = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		}
	}
	for _, t := range cfg.Trunks {
		host, err := newEndpoint(t.Host)
		if err != nil {
			return nil, fmt.Errorf("sip: trunk %s: %w", t.Name, err)
		}
		one := &trunk{Trunk: t, host: host}
		if t.Proxy != "" {
			if one.proxy, err = newEndpoint(t.Proxy); err != nil {
				return nil, fmt.Errorf("sip: trunk %s: proxy: %w", t.Name, err)
			}
		}
		d.trunks = append(d.trunks, one)
		d.prefixes = append(d.prefixes, t.Peers...)
	}
	for _, e := range cfg.Extensions {
		one := &extension{Extension: e}
		if err := sipmsg.ParseUri(e.Contact, &one.uri); err != nil || one.uri.Host == "" {
			return nil, fmt.Errorf("sip: extension %s: contact %q is not sip:user@host:port", e.Number, e.Contact)
		}
		hostport := one.uri.Host
		if one.uri.Port > 0 {
			hostport = net.JoinHostPort(hostport, strconv.Itoa(one.uri.Port))
		}
		var err error
		if one.hop, err = newEndpoint(hostport); err != nil {
			return nil, fmt.Errorf("sip: extension %s: %w", e.Number, err)
		}
		d.extensions = append(d.extensions, one)
	}
	d.publish()
	return d, nil
}

func (d *directory) endpoints() []*endpoint {
	var all []*endpoint
	for _, t := range d.trunks {
		all = append(all, t.host)
		if t.proxy != nil {
			all = append(all, t.proxy)
		}
	}
	for _, e := range d.extensions {
		all = append(all, e.hop)
	}
	return all
}

// publish renews the set that allows looks into.
func (d *directory) publish() {
	set := make(map[netip.Addr]struct{})
	for _, e := range d.endpoints() {
		for _, a := range e.current() {
			set[a] = struct{}{}
		}
	}
	d.known.Store(&set)
}

// refresh keeps the addresses of named hosts current until ctx ends.
func (d *directory) refresh(ctx context.Context) {
	var named []*endpoint
	for _, e := range d.endpoints() {
		if !e.literal() {
			named = append(named, e)
		}
	}
	if len(named) == 0 {
		return
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		for _, e := range named {
			_, _ = e.resolve(ctx, d.look) // a call that needs it reports the error
		}
		d.publish()
		wait.Reset(resolveEvery)
	}
}

// resolve returns the addresses to send to, in order, at most maxAddresses.
func (d *directory) resolve(ctx context.Context, e *endpoint) ([]netip.AddrPort, error) {
	addrs, err := e.resolve(ctx, d.look)
	if err != nil {
		return nil, err
	}
	if known := *d.known.Load(); slices.ContainsFunc(addrs, func(a netip.Addr) bool { _, ok := known[a]; return !ok }) {
		d.publish()
	}
	out := make([]netip.AddrPort, 0, maxAddresses)
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		out = append(out, netip.AddrPortFrom(a.Unmap(), e.port))
	}
	return out, nil
}

// allows reports whether packets from the address are looked at.
func (d *directory) allows(a netip.Addr) bool {
	if _, ok := (*d.known.Load())[a]; ok {
		return true
	}
	for _, p := range d.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dialogs[a] > 0
}

// hold and release bracket a dialog with an address that may be no configured
// one: a Contact or Record-Route can name another.
func (d *directory) hold(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialogs[a]++
}

func (d *directory) release(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dialogs[a]--; d.dialogs[a] <= 0 {
		delete(d.dialogs, a)
	}
}

func (d *directory) trunk(name string) *trunk {
	i := slices.IndexFunc(d.trunks, func(t *trunk) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return d.trunks[i]
}

func (d *directory) extension(number string) *extension {
	i := slices.IndexFunc(d.extensions, func(e *extension) bool { return e.Number == number })
	if i < 0 {
		return nil
	}
	return d.extensions[i]
}

// match says whose request this is: the exact address of a phone, else the
// exact address of a trunk, else the trunks of that IP, else a phone by IP. A
// phone's own address never makes it a trunk. user is that of From.
func (d *directory) match(from netip.AddrPort, user string) (trunks []string, ext string) {
	if ext := d.phone(user, func(e *endpoint) bool { return e.at(from) }); ext != "" {
		return nil, ext
	}
	for _, t := range d.trunks {
		if t.host.at(from) || t.proxy != nil && t.proxy.at(from) {
			trunks = append(trunks, t.Name)
		}
	}
	if len(trunks) > 0 {
		return trunks, ""
	}
	for _, t := range d.trunks {
		if t.mayUse(from.Addr()) {
			trunks = append(trunks, t.Name)
		}
	}
	if len(trunks) > 0 {
		return trunks, ""
	}
	return nil, d.phone(user, func(e *endpoint) bool { return slices.Contains(e.current(), from.Addr()) })
}

// phone returns the extension whose address fits; of several behind one
// address the one with this user.
func (d *directory) phone(user string, fits func(*endpoint) bool) string {
	found := ""
	for _, e := range d.extensions {
		if !fits(e.hop) {
			continue
		}
		if e.Number == user || userOf(e.uri.User) == user {
			return e.Number
		}
		if found == "" {
			found = e.Number
		}
	}
	return found
}

func (e *endpoint) at(a netip.AddrPort) bool {
	return e.port == a.Port() && slices.Contains(e.current(), a.Addr())
}

func (t *trunk) mayUse(a netip.Addr) bool {
	if len(t.Peers) > 0 {
		return slices.ContainsFunc(t.Peers, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return slices.Contains(t.host.current(), a) || t.proxy != nil && slices.Contains(t.proxy.current(), a)
}
