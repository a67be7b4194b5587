package sip

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

const (
	outerAddr  = "198.51.100.7:40123" // of the NAT before the agent
	distantReg = "203.0.113.20:5060"  // a registrar on the Internet
)

// behindNAT has a trunk on the Internet that registers, and one in the own
// network.
func behindNAT(t *testing.T, adjust func(*Config)) *account {
	t.Helper()
	a := &account{told: &trunkLog{}}
	a.bed = testAgent(t, func(c *Config) {
		c.Trunks = append(c.Trunks, Trunk{
			Name: "provider", Host: distantReg, Username: "74950000000", Password: "secret", Register: true, Expires: time.Hour, Options: 30 * time.Second,
		})
		c.OnTrunk = a.told.add
		if adjust != nil {
			adjust(c)
		}
	}, func(n *memnet.Net) {
		n.Translate(netip.MustParseAddrPort(agentAddr), netip.MustParseAddrPort(outerAddr))
		o := lab.RegistrarOptions{}
		o.Username, o.Password = "74950000000", "secret"
		a.carrier, a.regs = registrar(t, n, distantReg, o)
	})
	return a
}

// contactOfCall places a call that nobody takes and returns its Contact.
func (a *account) contactOfCall(trunk string, n int) string {
	a.t.Helper()
	const number = "79160000001"
	out := a.invite(a.t.Context(), Invite{Target: Target{Trunk: trunk}, User: number})
	if trunk == "carrier" {
		req := a.bed.carrier.expect("INVITE")
		a.bed.carrier.reply(req, "486 Busy Here")
		a.bed.carrier.expect("ACK")
		_ = failure(a.t, <-out) // busy
		return req.get("Contact")
	}
	_ = failure(a.t, <-out) // busy
	return a.carrier.Calls(number)[n].Invite().Get("Contact")
}

func localIP(t *testing.T, a *Agent, trunk string) string {
	t.Helper()
	ip, err := a.LocalIP(t.Context(), Target{Trunk: trunk})
	if err != nil {
		t.Fatal(err)
	}
	return ip.String()
}

func TestPublicAddressIsWhereTheTrunkSeesUs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := behindNAT(t, nil)
		a.carrier.Number("79160000001", lab.Script{lab.Reject(486, "Busy Here")})
		time.Sleep(moment)
		if c := a.bound().Contact; !strings.HasPrefix(c, "sip:74950000000@"+outerAddr+";line=") {
			t.Errorf("registered %s", c)
		}
		if n := len(a.regs.Requests()); n != 2 { // what the challenge tells is there for its answer
			t.Errorf("%d REGISTER requests, want 2", n)
		}
		if s := a.state(); s.SeenAt != outerAddr || !s.Up {
			t.Errorf("state: %+v", s)
		}
		if got := a.contactOfCall("provider", 0); got != "<sip:74950000000@"+outerAddr+">" {
			t.Errorf("Contact of a call to the Internet: %s", got)
		}
		if got := a.contactOfCall("carrier", 0); got != "<sip:anonymous@"+agentAddr+">" {
			t.Errorf("Contact of a call in the own network: %s", got)
		}
		if got := localIP(t, a.agent, "provider") + " " + localIP(t, a.agent, "carrier"); got != "198.51.100.7 10.0.0.1" {
			t.Errorf("sound is expected at %s", got)
		}
	})
}

func TestChangedPublicAddressIsRegisteredAtOnceAndUsedByNewCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := behindNAT(t, nil)
		a.carrier.Number("79160000001", lab.Script{lab.Reject(486, "Busy Here")})
		time.Sleep(10 * time.Minute)
		first := a.bound()
		before := len(a.regs.Requests())
		const moved = "198.51.100.99:1024"
		a.net.Translate(netip.MustParseAddrPort(agentAddr), netip.MustParseAddrPort(moved))
		time.Sleep(30*time.Second + moment) // one OPTIONS
		b := a.bound()
		if !strings.HasPrefix(b.Contact, "sip:74950000000@"+moved+";line=") || b.CallID != first.CallID {
			t.Errorf("registered %+v, before %+v", b, first)
		}
		if n := len(a.regs.Requests()) - before; n != 1 {
			t.Errorf("%d REGISTER requests for one move", n)
		}
		last := a.regs.Requests()[len(a.regs.Requests())-1].All("Contact")
		if len(last) != 2 || !strings.Contains(last[1], first.Contact) || !strings.HasSuffix(last[1], ";expires=0") {
			t.Errorf("the old Contact is not taken back: %q", last)
		}
		if got := a.contactOfCall("provider", 0); got != "<sip:74950000000@"+moved+">" {
			t.Errorf("Contact of the next call: %s", got)
		}
		if s := a.state(); !s.Up || !s.Registered {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestFixedPublicAddressIsNotLearnt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := behindNAT(t, func(c *Config) { c.PublicIP = netip.MustParseAddr("192.0.2.1") })
		time.Sleep(time.Minute)
		if c := a.bound().Contact; !strings.HasPrefix(c, "sip:74950000000@192.0.2.1:5060;") {
			t.Errorf("registered %s", c)
		}
		if n := len(a.regs.Requests()); n != 2 || a.state().SeenAt != outerAddr {
			t.Errorf("%d REGISTER requests, state %+v", n, a.state())
		}
	})
}

// reflect answers an OPTIONS as a server does that sees us elsewhere.
func (p *peer) reflect(req message, at netip.AddrPort) {
	p.t.Helper()
	via := req.get("Via")
	was := strings.Replace(via, ";rport", ";rport="+portOf(at)+";received="+at.Addr().String(), 1)
	p.send(strings.Replace(p.response(req, "200 OK"), via, was, 1))
}

func portOf(at netip.AddrPort) string { _, port, _ := strings.Cut(at.String(), ":"); return port }

func TestTwoTrunksMaySeeTwoAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Trunks = append(c.Trunks,
				Trunk{Name: "one", Host: "203.0.113.1", Options: 30 * time.Second},
				Trunk{Name: "two", Host: "203.0.113.2", Options: 30 * time.Second},
				Trunk{Name: "unasked", Host: "203.0.113.3"})
		})
		one, two := newPeer(t, b.net, "203.0.113.1:5060"), newPeer(t, b.net, "203.0.113.2:5060")
		one.reflect(one.expect("OPTIONS"), netip.MustParseAddrPort("198.51.100.1:1111"))
		time.Sleep(moment)
		if got := localIP(t, b.agent, "unasked"); got != "198.51.100.1" {
			t.Errorf("one trunk sees us, and to another we are at %s", got)
		}
		two.reflect(two.expect("OPTIONS"), netip.MustParseAddrPort("198.51.100.2:2222"))
		time.Sleep(moment)
		for trunk, want := range map[string]string{"one": "198.51.100.1", "two": "198.51.100.2", "unasked": "10.0.0.1", "carrier": "10.0.0.1"} {
			if got := localIP(t, b.agent, trunk); got != want {
				t.Errorf("%s: %s, want %s", trunk, got, want)
			}
		}
	})
}

// heard is a response to an OPTIONS of ours, from an address.
func heard(t *testing.T, via, from string) *sipmsg.Response {
	t.Helper()
	m, err := sipmsg.ParseMessage([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " + via + "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\n" +
		"Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	canonicalise(m)
	m.SetSource(from)
	return m.(*sipmsg.Response)
}

func TestTrunkCannotMakeUsBelieveAnything(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks = append(c.Trunks, Trunk{Name: "far", Host: "203.0.113.1"}) })
		far := b.agent.peers.trunk("far")
		dest := netip.MustParseAddrPort("203.0.113.1:5060")
		for via, from := range map[string]string{
			"10.0.0.1;rport=1;received=10.0.0.77":              "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=127.0.0.1":              "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=224.0.0.1":              "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=255.255.255.255":        "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=0.0.0.0":                "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=250.1.1.1":              "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=100.64.0.1":             "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=2001:db8::1":            "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=nonsense":               "203.0.113.1:5060",
			"10.0.0.1;rport=99999;received=rubbish":            "203.0.113.1:5060",
			"10.0.0.1":                                         "203.0.113.1:5060",
			"10.0.0.1;rport=1;received=198.51.100.9;branch=z9": "192.0.2.66:5060", // not the trunk's address
		} {
			if b.agent.sawUs(far, dest, heard(t, via, from)); far.mirror.seen().IsValid() {
				t.Fatalf("%s from %s is believed: %s", via, from, far.mirror.seen())
			}
		}
		b.agent.sawUs(far, dest, heard(t, "10.0.0.1;received=198.51.100.1", "203.0.113.1:5060"))
		if got := far.mirror.seen(); got.Addr().String() != "198.51.100.1" || got.Port() != 0 {
			t.Errorf("without rport: %s", got)
		}
		b.agent.sawUs(far, dest, heard(t, "10.0.0.1;received=198.51.100.2;rport=5", "203.0.113.1:5060"))
		if got := far.mirror.seen(); got.Addr().String() != "198.51.100.1" {
			t.Errorf("changed its mind within %s: %s", mirrorPause, got)
		}
		time.Sleep(mirrorPause)
		b.agent.sawUs(far, dest, heard(t, "10.0.0.1;received=198.51.100.2;rport=5", "203.0.113.1:5060"))
		if got := far.mirror.seen(); got.String() != "198.51.100.2:5" {
			t.Errorf("after a while: %s", got)
		}
	})
}
