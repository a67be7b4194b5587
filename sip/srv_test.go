package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// zone is a DNS with SRV records that a test fills.
type zone struct {
	names
	mu    sync.Mutex
	srv   map[string][]*net.SRV // guarded by mu; by _service._proto.name
	down  bool                  // guarded by mu; no question for SRV records is answered
	asked []string              // guarded by mu
}

func newZone() *zone {
	return &zone{names: names{ip: map[string]string{}}, srv: map[string][]*net.SRV{}}
}

func (z *zone) record(name string, records ...*net.SRV) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.srv[name] = records
}

func (z *zone) lookup(_ context.Context, service, proto, name string) ([]*net.SRV, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	full := "_" + service + "._" + proto + "." + name
	z.asked = append(z.asked, full)
	if z.down {
		return nil, &net.DNSError{Err: "server misbehaving", Name: full, IsTemporary: true}
	}
	if rs := z.srv[full]; len(rs) > 0 {
		return rs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: full, IsNotFound: true}
}

func (z *zone) use(c *Config) { c.Resolve, c.LookupSRV = z.resolve, z.lookup }

func srvOf(target string, port, priority uint16) *net.SRV {
	return &net.SRV{Target: target, Port: port, Priority: priority}
}

const provider = "sip.example.net"

// srvBed has a trunk whose name leads to two servers, the first one preferred.
func srvBed(t *testing.T) (b *bed, z *zone, first, second *peer) {
	t.Helper()
	z = newZone()
	z.set("a."+provider, "10.0.1.1")
	z.set("b."+provider, "10.0.1.2")
	z.record("_sip._udp."+provider,
		&net.SRV{Target: "b." + provider, Port: 5080, Priority: 20},
		&net.SRV{Target: "a." + provider + ".", Port: 5070, Priority: 10})
	b = testAgent(t, func(c *Config) {
		c.Trunks[0].Host = provider
		z.use(c)
	})
	return b, z, newPeer(t, b.net, "10.0.1.1:5070"), newPeer(t, b.net, "10.0.1.2:5080")
}

// answers takes a call at a peer, and returns its INVITE.
func (p *peer) answers(extra ...string) message {
	p.t.Helper()
	req := p.expect("INVITE")
	p.reply(req, "200 OK", append(extra, "body:"+testSDP)...)
	p.expect("ACK")
	return req
}

func TestPriorityOfSRVRecordsDecides(t *testing.T) {
	targets := []target{
		{addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.3:5060")}, priority: 30},
		{addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:5060"), netip.MustParseAddrPort("10.0.0.9:5060")}, priority: 10, weight: 1},
		{addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:5060")}, priority: 20, weight: 60000},
		{addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:5060")}, priority: 40},
	}
	for range 20 {
		if got := fmt.Sprint(inOrder(targets, chance)); got != "[10.0.0.1:5060 10.0.0.9:5060 10.0.0.2:5060 10.0.0.3:5060]" {
			t.Fatal(got)
		}
	}
}

func TestWeightOfSRVRecordsIsTheirShare(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(n uint32) uint32 { return uint32(random.Uint64N(uint64(n) + 1)) }
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 5060)
	}
	weights := []uint16{60, 30, 10, 0}
	var targets []target
	for i, w := range weights {
		targets = append(targets, target{addrs: []netip.AddrPort{addr(i)}, priority: 1, weight: w})
	}
	const rounds = 20000
	first := map[netip.AddrPort]int{}
	for range rounds {
		order := inOrder(targets, pick)
		if len(order) != len(weights) {
			t.Fatalf("order %v", order)
		}
		first[order[0]]++
	}
	for i, w := range weights {
		share := float64(first[addr(i)]) / rounds * 100
		if share < float64(w)-2 || share > float64(w)+2 {
			t.Errorf("weight %d was first in %.1f %%", w, share)
		}
	}
	if first[addr(3)] == 0 {
		t.Error("a record without weight is never first")
	}
}

func TestCallGoesToTheServersOfSRVRecords(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, z, first, second := srvBed(t)
		out := b.invite(t.Context(), Invite{})
		req := first.answers()
		if req.uri() != "sip:74951234567@"+provider {
			t.Errorf("Request-URI %s", req.uri())
		}
		if o := <-out; o.err != nil || o.d.RemoteAddr().String() != first.addr {
			t.Errorf("%v", o)
		}
		second.silent(time.Second)
		z.mu.Lock()
		defer z.mu.Unlock()
		if slices.Contains(z.asked, "_sip._tcp."+provider) || !slices.Contains(z.asked, "_sip._udp."+provider) {
			t.Errorf("asked for %q", z.asked)
		}
	})
}

func TestCallsOfEverySRVTargetAreKnown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _, first, second := srvBed(t)
		synctest.Wait()
		for _, p := range []*peer{first, second} {
			if trunks, _ := b.agent.peers.match(netip.MustParseAddrPort(p.addr), ""); !slices.Equal(trunks, []string{"carrier"}) {
				t.Errorf("%s is %q", p.addr, trunks)
			}
			p.send(p.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o"+p.addr, 1))
			p.expect("200")
		}
	})
}

func TestSilentSRVTargetIsLeftAndAvoidedForAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _, first, second := srvBed(t)
		call := func() (took time.Duration) {
			start := time.Now()
			out := b.invite(t.Context(), Invite{})
			second.answers()
			if o := <-out; o.err != nil || o.d.RemoteAddr().String() != second.addr {
				t.Fatalf("%v", o)
			}
			return time.Since(start)
		}
		if took := call(); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("the first call took %s", took)
		}
		if took := call(); took > 100*time.Millisecond {
			t.Errorf("the next call took %s, though the first server was silent a moment ago", took)
		}
		for { // what the silent one got
			if _, ok := first.read(time.Second); !ok {
				break
			}
		}
		time.Sleep(restFor)
		out := b.invite(t.Context(), Invite{})
		first.answers()
		if o := <-out; o.err != nil {
			t.Errorf("after a while the first is tried again: %v", o.err)
		}
	})
}

func TestByeGoesToTheServerThatAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		// The Contact is the name of all of them, as that of some farms is.
		b, _, first, second := srvBed(t)
		out := b.invite(t.Context(), Invite{})
		first.reply(first.expect("INVITE"), "500 Busy with itself")
		first.expect("ACK")
		second.answers("Contact: <sip:" + provider + ">")
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		done := make(chan error, 1)
		go func() { done <- o.d.Bye(t.Context()) }()
		second.reply(second.expect("BYE"), "200 OK")
		if err := <-done; err != nil {
			t.Error(err)
		}
		first.silent(time.Minute)
	})
}

func TestServerThatIsBusyIsLastForAsLongAsItAsks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _, first, second := srvBed(t)
		out := b.invite(t.Context(), Invite{})
		first.reply(first.expect("INVITE"), "503 Service Unavailable", "Retry-After: 300 (restart);duration=60")
		first.expect("ACK")
		second.answers()
		<-out
		time.Sleep(4 * time.Minute)
		out = b.invite(t.Context(), Invite{})
		second.answers()
		<-out
		first.silent(0)
		time.Sleep(70 * time.Second)
		out = b.invite(t.Context(), Invite{})
		first.answers()
		<-out
	})
}

func TestAllServersBusyIsTheLastRefusal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _, first, second := srvBed(t)
		out := b.invite(t.Context(), Invite{})
		for i, p := range []*peer{first, second} {
			p.reply(p.expect("INVITE"), "503 Service Unavailable", fmt.Sprintf("Retry-After: %d", i+1))
			p.expect("ACK")
		}
		if f := failure(t, <-out); f.Status != 503 || f.RetryAfter != 2*time.Second || f.Destination != second.addr {
			t.Errorf("%+v", f)
		}
	})
}

func TestRefusalIsNotTriedElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _, first, second := srvBed(t)
		out := b.invite(t.Context(), Invite{})
		req := first.expect("INVITE")
		first.reply(req, "180 Ringing")
		first.reply(req, "503 Service Unavailable")
		first.expect("ACK")
		if f := failure(t, <-out); f.Status != 503 {
			t.Errorf("%+v", f)
		}
		second.silent(time.Minute)
	})
}

func TestNameWithoutSRVRecordsIsUsedAtItsOwnAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone()
		z.set(provider, "10.0.0.9")
		z.set("annas-phone.local", "10.0.0.50")
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host = provider
			c.Extensions[0].Contact = "sip:101@annas-phone.local:5060"
			z.use(c)
		})
		b.answered(Invite{})
		out := b.invite(t.Context(), Invite{Target: Target{Extension: "101"}})
		b.phone.answers()
		<-out
		z.mu.Lock()
		defer z.mu.Unlock()
		if slices.ContainsFunc(z.asked, func(s string) bool { return strings.Contains(s, "annas-phone") }) {
			t.Errorf("a name with a port has no SRV records: asked for %q", z.asked)
		}
	})
}

func TestUnresolvedSaysWhatWasAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone()
		z.record("_sip._udp.b.example", &net.SRV{Target: "gone.b.example", Port: 5060})
		z.record("_sip._udp.c.example", &net.SRV{Target: "."})
		b := testAgent(t, func(c *Config) {
			c.Trunks = []Trunk{{Name: "a", Host: "a.example"}, {Name: "b", Host: "b.example"}, {Name: "c", Host: "c.example"}}
			z.use(c)
		})
		synctest.Wait()
		got := b.agent.Unresolved()
		for i, want := range []string{
			"trunk a: host a.example has no address (no such host; asked for SRV _sip._udp.a.example and A a.example); calls to and from it fail",
			"trunk b: host b.example has no address (no such host; asked for SRV _sip._udp.b.example and A gone.b.example); calls",
			"trunk c: host c.example has no address (its DNS says that it does not offer SIP over this transport; asked for SRV _sip._udp.c.example); calls",
		} {
			if len(got) != 3 || !strings.HasPrefix(got[i], want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

func TestSRVRecordsAreUsedOnWhileTheDNSIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, z, first, _ := srvBed(t)
		synctest.Wait()
		z.mu.Lock()
		z.down = true
		z.mu.Unlock()
		z.set(provider, "192.0.2.80") // its web server
		time.Sleep(3 * resolveEvery)
		out := b.invite(t.Context(), Invite{})
		first.answers()
		if o := <-out; o.err != nil {
			t.Error(o.err)
		}
	})
}

func TestNewSRVRecordsAreUsedWithinAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, z, first, second := srvBed(t)
		synctest.Wait()
		z.record("_sip._udp."+provider, &net.SRV{Target: "b." + provider, Port: 5080})
		time.Sleep(resolveEvery + time.Second)
		out := b.invite(t.Context(), Invite{})
		second.answers()
		<-out
		first.silent(0)
		first.send(first.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1))
		first.silent(time.Second) // a stranger by now
	})
}

func TestLookUpThatHangsDoesNotHoldCallsUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host = provider
			c.Resolve = (&names{ip: map[string]string{provider: "10.0.0.9"}}).resolve
			c.LookupSRV = func(ctx context.Context, _, _, _ string) ([]*net.SRV, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		time.Sleep(resolveTimeout)
		synctest.Wait()
		start := time.Now()
		b.answered(Invite{})
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

func TestLookUpErrorIsTheOneBehindIt(t *testing.T) {
	err := error(&lookUpError{[]string{"A x"}, errNoAddress})
	if !errors.Is(err, errNoAddress) || dnsReason(err) != "the name has none" {
		t.Errorf("%v: %s", err, dnsReason(err))
	}
}
