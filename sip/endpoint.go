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
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	// resolveEvery is how long a looked up address is used before it is asked
	// for again.
	resolveEvery   = time.Minute
	resolveTimeout = 2 * time.Second

	bothWays = "calls to and from it"
)

type resolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// endpoint is a configured host and what it resolves to.
type endpoint struct {
	host    string
	port    uint16
	owner   string // whose it is: trunk provider, extension 101
	setting string // where the configuration has it
	fails   string // what does not work while it has no address; empty: nothing

	mu      sync.Mutex
	addrs   []netip.Addr // guarded by mu; the last good ones
	until   time.Time    // guarded by mu
	trouble error        // guarded by mu; why there is no address; nil: there is one, or nobody has asked
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

func (e *endpoint) at(a netip.AddrPort) bool {
	return e.port == a.Port() && slices.Contains(e.current(), a.Addr())
}

// missing says why the host has no address, nil if it has or if nobody asked.
func (e *endpoint) missing() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble
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
	limited, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := look(limited, e.host)
	if err == nil && len(found) == 0 {
		err = errors.New("the name has none")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.addrs, e.until, e.trouble = found, time.Now().Add(resolveEvery), nil
		return found, nil
	}
	if len(e.addrs) > 0 {
		return e.addrs, nil
	}
	if ctx.Err() == nil { // whoever asked still wants to know
		e.trouble = err
	}
	return nil, fmt.Errorf("resolve %s: %w", e.host, err)
}

// keepResolved looks the name up, again and again, until the agent closes. It
// says when there is no address, and when there is one at last.
func (a *Agent) keepResolved(e *endpoint) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	told := false
	for {
		select {
		case <-a.base.Done():
			return
		case <-wait.C:
		}
		found, err := e.resolve(a.base, a.peers.look)
		a.peers.publish()
		switch why := e.missing(); {
		case e.fails == "":
		case why != nil && !told:
			told = true
			a.log.Warn("sip: a host has no address; what needs it fails until it has", "of", e.owner,
				"host", e.host, "why", dnsReason(why), "fails", e.fails, "see", e.setting)
		case err == nil && told:
			told = false
			a.log.Info("sip: a host has an address now", "of", e.owner, "host", e.host, "addrs", found)
		}
		wait.Reset(resolveEvery)
	}
}

// Unresolved describes every trunk's host and extension's contact that is a
// name without an address, and what fails for that, one sentence each. It is
// empty before the first look-up.
func (a *Agent) Unresolved() []string {
	var all []string
	for _, e := range a.peers.endpoints() {
		if why := e.missing(); why != nil && e.fails != "" {
			all = append(all, fmt.Sprintf("%s: host %s has no address (%s); %s fail until it has; see %s",
				e.owner, e.host, dnsReason(why), e.fails, e.setting))
		}
	}
	return all
}
