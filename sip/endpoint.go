package sip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	// resolveEvery is how long a looked up address is used before it is asked
	// for again. The resolver of the system does not tell how long it may be.
	resolveEvery   = time.Minute
	resolveAgain   = 10 * time.Second // the same while the DNS does not answer
	resolveTimeout = 2 * time.Second  // of one question

	bothWays = "calls to and from it"
)

// endpoint is a configured host and what it resolves to.
type endpoint struct {
	host      string
	port      uint16        // 0: SRV records say, else that of the transport
	transport string        // udp, tcp or tls
	owner     string        // whose it is: trunk provider, extension 101
	setting   string        // where the configuration has it
	fails     string        // what does not work while it has no address; empty: nothing
	gone      chan struct{} // closed when it is configured no more

	mu      sync.Mutex
	targets []target  // guarded by mu; the last good ones
	rests   rests     // guarded by mu
	until   time.Time // guarded by mu
	trouble error     // guarded by mu; why there is no address; nil: there is one, or nobody has asked
}

// newEndpoint reads host[:port]. A literal address needs no look-up. An empty
// transport is udp.
func newEndpoint(hostport, transport string) (*endpoint, error) {
	e := &endpoint{gone: make(chan struct{}), host: strings.TrimSpace(hostport), transport: cmp.Or(transport, transportUDP), rests: rests{}}
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
	if e.transport != transportUDP && e.transport != transportTCP && e.transport != transportTLS {
		return nil, fmt.Errorf("transport %q is neither udp, tcp nor tls", cut(e.transport))
	}
	if ip, err := netip.ParseAddr(e.host); err == nil {
		port := cmp.Or(e.port, defaultPort(e.transport))
		e.targets = []target{{addrs: []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}}}
	}
	return e, nil
}

// defaultPort is where SIP is spoken over a transport unless a port is named
// (RFC 3261 19.1.2).
func defaultPort(transport string) uint16 {
	if transport == transportTLS {
		return uint16(sipmsg.DefaultTlsPort)
	}
	return uint16(sipmsg.DefaultUdpPort)
}

func (e *endpoint) literal() bool { _, err := netip.ParseAddr(e.host); return err == nil }

// current returns the addresses as last looked up, in the order of the look-up.
func (e *endpoint) current() []netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []netip.AddrPort
	for _, t := range e.targets {
		all = append(all, t.addrs...)
	}
	return all
}

// at reports whether this is exactly one of the host's addresses.
func (e *endpoint) at(a netip.AddrPort) bool {
	return e.any(func(own netip.AddrPort) bool { return own == a })
}

// on reports whether one of the host's addresses has this IP.
func (e *endpoint) on(ip netip.Addr) bool {
	return e.any(func(own netip.AddrPort) bool { return own.Addr() == ip })
}

func (e *endpoint) any(fits func(netip.AddrPort) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.targets, func(t target) bool { return slices.ContainsFunc(t.addrs, fits) })
}

// missing says why the host has no address, nil if it has or if nobody asked.
func (e *endpoint) missing() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble
}

// resolve looks the host up unless that was done less than resolveEvery ago.
// Where it fails the last good addresses are used on.
func (e *endpoint) resolve(ctx context.Context, look lookUps) error {
	e.mu.Lock()
	fresh := e.literal() || time.Now().Before(e.until)
	e.mu.Unlock()
	if fresh {
		return nil
	}
	found, sure, err := look.targets(ctx, e.host, e.port, e.transport)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil && (sure || len(e.targets) == 0):
		e.targets, e.until, e.trouble = found, time.Now().Add(resolveEvery), nil
		return nil
	case len(e.targets) > 0:
		// Not every call waits for a DNS server that is down.
		e.until = time.Now().Add(resolveAgain)
		return nil
	}
	if ctx.Err() == nil { // whoever asked still wants to know
		e.trouble = err
	}
	return fmt.Errorf("resolve %s: %w", e.host, err)
}

// order returns the addresses in the order in which to try them now: as SRV
// records have it, those that failed a short while ago last.
func (e *endpoint) order() []netip.AddrPort {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	addrs := inOrder(e.targets, chance)
	e.rests.forget(now)
	e.rests.last(addrs, now)
	return addrs
}

// rest puts an address behind the others of the host: for as long as it asks,
// or where asked is 0 for a while. What it has asked for itself is not made
// shorter.
func (e *endpoint) rest(a netip.AddrPort, asked time.Duration) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	one := rest{until: now.Add(restFor)}
	if asked > 0 {
		one = rest{until: now.Add(min(asked, maxRest)), asked: true}
	}
	if was := e.rests[a]; was.asked && was.until.After(one.until) {
		return
	}
	e.rests[a] = one
}

// resting returns until when all addresses come after those of others; zero:
// one of them works, as far as is known.
func (e *endpoint) resting(now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var first time.Time
	for _, t := range e.targets {
		for _, a := range t.addrs {
			until := e.rests[a].until
			if !until.After(now) {
				return time.Time{}
			}
			if first.IsZero() || until.Before(first) {
				first = until
			}
		}
	}
	return first
}

// answers takes an address that answered OPTIONS out of its rest, unless it has
// asked for that: a server may answer them and take no calls.
func (e *endpoint) answers(a netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.rests[a].asked {
		delete(e.rests, a)
	}
}

// works takes an address that answered out of its rest.
func (e *endpoint) works(a netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.rests, a)
}

// keepResolved looks the name up, again and again, until the agent closes or it is
// configured no more. It says when there is no address, and when there is one at last.
func (a *Agent) keepResolved(e *endpoint) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	told := false
	for {
		select {
		case <-a.base.Done():
			return
		case <-e.gone:
			return
		case <-wait.C:
		}
		err := e.resolve(a.base, a.peers.look)
		a.peers.publish()
		switch why := e.missing(); {
		case e.fails == "":
		case why != nil && !told:
			told = true
			a.log.Warn("sip: a host has no address; what needs it fails until it has", "of", e.owner,
				"host", e.host, "why", why, "fails", e.fails, "see", e.setting)
		case err == nil && told:
			told = false
			a.log.Info("sip: a host has an address now", "of", e.owner, "host", e.host, "addrs", e.current())
		}
		wait.Reset(resolveEvery)
	}
}

// Unresolved describes every trunk's host and extension's contact that is a
// name without an address, and what fails for that, one sentence each, and a
// STUN server that does not answer. It is empty before the first look-up.
func (a *Agent) Unresolved() []string {
	var all []string
	for _, e := range a.peers.endpoints() {
		if why := e.missing(); why != nil && e.fails != "" {
			all = append(all, fmt.Sprintf("%s: host %s has no address (%s); %s fail until it has; check the name in %s and the DNS server of this machine",
				e.owner, e.host, why, e.fails, e.setting))
		}
	}
	if why := a.stun.unanswered(); why != "" {
		all = append(all, why)
	}
	return all
}
