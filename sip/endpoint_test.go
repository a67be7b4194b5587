package sip

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// names is a DNS that a test fills.
type names struct {
	mu sync.Mutex
	ip map[string]string // guarded by mu
}

func (n *names) set(host, ip string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ip[host] = ip
}

func (n *names) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ip, ok := n.ip[host]; ok {
		return []netip.Addr{netip.MustParseAddr(ip)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestHostWithoutAddressIsToldOnceAndAgainWhenItHasOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dns := &names{ip: map[string]string{"annas-phone.local": "10.0.0.50"}}
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host = "sip.example.net"
			c.Extensions = []Extension{
				{Number: "101", Contact: "sip:101@annas-phone.local"},
				{Number: "102", Contact: "sip:102@borises-phone.local:5070"},
				{Number: "103", Contact: "sip:103@10.0.0.51"},
			}
			c.Resolve = dns.resolve
		})
		synctest.Wait()
		want := []string{
			"trunk carrier: host sip.example.net has no address (no such host; asked for A sip.example.net); calls to and from it fail until it has; check the name in trunks[].host and the DNS server of this machine",
			"extension 102: host borises-phone.local has no address (no such host; asked for A borises-phone.local); calls to and from it fail until it has; check the name in extensions[].contact and the DNS server of this machine",
		}
		if got := b.agent.Unresolved(); !slices.Equal(got, want) {
			t.Errorf("unresolved: %q", got)
		}
		time.Sleep(3 * resolveEvery)
		log := b.log.String()
		if strings.Count(log, "level=WARN") != 2 || !strings.Contains(log, `of="trunk carrier" host=sip.example.net why="no such host; asked for A sip.example.net"`) {
			t.Errorf("log:\n%s", log)
		}
		dns.set("sip.example.net", "10.0.0.9")
		time.Sleep(resolveEvery)
		if log = b.log.String(); strings.Count(log, "has an address now") != 1 {
			t.Errorf("log:\n%s", log)
		}
		if got := b.agent.Unresolved(); !slices.Equal(got, want[1:]) {
			t.Errorf("unresolved: %q", got)
		}
		b.carrier.send(b.carrier.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1))
		b.carrier.expect("200")
	})
}

func TestHostThatHadAnAddressKeepsItWhileDNSIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dns := &names{ip: map[string]string{"sip.example.net": "10.0.0.9"}}
		b := testAgent(t, func(c *Config) { c.Trunks[0].Host, c.Resolve = "sip.example.net", dns.resolve })
		synctest.Wait()
		dns.mu.Lock()
		clear(dns.ip)
		dns.mu.Unlock()
		time.Sleep(3 * resolveEvery)
		b.answered(Invite{})
		if got := b.agent.Unresolved(); len(got) != 0 || strings.Contains(b.log.String(), "level=WARN") {
			t.Errorf("unresolved: %q\n%s", got, b.log)
		}
	})
}

func TestUnresolvedHostSaysWhatItIsNeededFor(t *testing.T) {
	peers := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Trunks = []Trunk{
				{Name: "open", Host: "a.example"},
				{Name: "walled", Host: "b.example", Peers: peers},
				{Name: "proxied", Host: "c.example", Proxy: "d.example"},
				{Name: "both", Host: "e.example", Proxy: "f.example", Peers: peers},
			}
			c.Resolve = (&names{}).resolve
		})
		synctest.Wait()
		for i, want := range []string{
			"trunk open: host a.example has no address (no such host; asked for A a.example); calls to and from it fail",
			"trunk walled: host b.example has no address (no such host; asked for A b.example); calls to it fail",
			"trunk proxied: host c.example has no address (no such host; asked for A c.example); calls from it fail",
			"trunk proxied: host d.example has no address (no such host; asked for A d.example); calls to and from it fail",
			"trunk both: host f.example has no address (no such host; asked for A f.example); calls to it fail",
		} {
			if got := b.agent.Unresolved(); len(got) != 5 || !strings.HasPrefix(got[i], want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

func TestCloseWaitsForLookUps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		asked, returned := make(chan struct{}), false
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host = "sip.example.net"
			c.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
				close(asked)
				<-ctx.Done()
				returned = true
				return nil, ctx.Err()
			}
		})
		<-asked
		if err := b.agent.Close(t.Context()); err != nil || !returned {
			t.Errorf("closed: %v, the look-up had returned: %t", err, returned)
		}
		if strings.Contains(b.log.String(), "level=WARN") {
			t.Errorf("a look-up that was broken off is no news:\n%s", b.log)
		}
	})
}
