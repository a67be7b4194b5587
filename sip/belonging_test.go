package sip

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestRequestInACallFromAnotherPeerIs481(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{Media: &testMedia{}})
		b.phone.tag = b.carrier.tag // it knows everything
		for i, method := range []string{"BYE", "INFO", "UPDATE", "INVITE"} {
			b.phone.send(b.phone.inside(req, method, 50+i))
			res := b.phone.expect("481")
			if method == "INVITE" {
				b.phone.send(b.phone.request("ACK", "sip:agent@"+agentAddr, "INVITE53", res.get("From"), res.get("To"), res.get("Call-ID"), 53))
			}
		}
		if d.isOver() || b.agent.Stats().Foreign != 4 {
			t.Errorf("over %v, %d counted", d.isOver(), b.agent.Stats().Foreign)
		}
		if log := b.log.String(); strings.Count(log, "request in a call refused") != 1 || !strings.Contains(log, phoneAddr) {
			t.Errorf("log:\n%s", log)
		}
		b.carrier.send(b.carrier.inside(req, "BYE", 5)) // its numbers were not used up
		b.carrier.expect("200")
		<-d.Done()
	})
}

func TestEveryAddressOfATrunkMaySpeakInItsCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Peers = []netip.Prefix{netip.MustParsePrefix("10.0.8.0/24")}
			c.Trunks = append(c.Trunks, Trunk{Name: "other", Host: "10.0.7.7"})
		})
		d, req := b.answered(Invite{})
		for i, c := range []struct{ from, want string }{{"10.0.8.200:5099", "200"}, {"10.0.9.1:5060", ""}, {"10.0.7.7:5060", "481"}, {"10.0.0.9:6000", "200"}} {
			p := newPeer(t, b.net, c.from)
			p.tag = b.carrier.tag
			p.send(p.inside(req, "INFO", 5+i))
			if c.want == "" {
				p.silent(time.Second)
				continue
			}
			p.expect(c.want)
		}
		if d.isOver() {
			t.Error("over")
		}
	})
}

func TestContactRouteAndLastAddressBelongToTheCall(t *testing.T) {
	for name, extra := range map[string][]string{
		"Contact behind a route": {"Record-Route: <sip:10.0.0.9;lr>", "Contact: <sip:x@10.0.0.77>"},
		"second route":           {"Record-Route: <sip:10.0.0.77;lr>, <sip:10.0.0.9;lr>"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := testAgent(t, func(c *Config) { c.Trunks = append(c.Trunks, Trunk{Name: "other", Host: "10.0.0.77"}) })
				gateway := newPeer(t, b.net, "10.0.0.77:5060")
				out := b.invite(t.Context(), Invite{})
				req := b.carrier.expect("INVITE")
				b.carrier.reply(req, "200 OK", append(extra, "body:"+testSDP)...)
				b.carrier.expect("ACK")
				if o := <-out; o.err != nil {
					t.Fatal(o.err)
				}
				gateway.tag = b.carrier.tag
				gateway.send(gateway.inside(req, "BYE", 5))
				gateway.expect("200")
			})
		})
	}
	t.Run("answered from elsewhere", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, func(c *Config) { c.Trunks = append(c.Trunks, Trunk{Name: "other", Host: "10.0.0.77"}) })
			gateway := newPeer(t, b.net, "10.0.0.77:5060")
			out := b.invite(t.Context(), Invite{})
			req := b.carrier.expect("INVITE")
			gateway.tag = b.carrier.tag
			gateway.reply(req, "200 OK", "Contact: <sip:x@"+carrierAddr+">", "body:"+testSDP)
			b.carrier.expect("ACK")
			if o := <-out; o.err != nil {
				t.Fatal(o.err)
			}
			gateway.send(gateway.inside(req, "BYE", 5))
			gateway.expect("200")
		})
	})
}

func TestCallOfAPhoneIsNotEndedByATrunk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.phone.send(b.phone.initial("1", "body:"+testSDP))
		b.phone.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.phone.expect("200")
		b.phone.send(b.phone.of(ok, "ACK", "ack1", 100))
		b.carrier.send(b.carrier.of(ok, "BYE", "bye1", 101))
		b.carrier.expect("481")
		if d.isOver() {
			t.Error("over")
		}
		b.phone.send(b.phone.of(ok, "BYE", "bye2", 101))
		b.phone.expect("200")
	})
}

func TestEveryAddressOfATrunkMayEndTheCallItPlaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 1), make(chan struct{})
		defer close(release)
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			c.Trunks[0].Peers = []netip.Prefix{netip.MustParsePrefix("10.0.0.9/32"), netip.MustParsePrefix("10.0.8.0/24")}
		})
		d, ok := inbound(t, b, calls, &testMedia{})
		other := newPeer(t, b.net, "10.0.8.1:5060")
		other.send(other.of(ok, "BYE", "bye1", 101))
		other.expect("200")
		<-d.Done()
	})
}
