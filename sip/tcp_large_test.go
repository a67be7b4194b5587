package sip

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// largeOffer makes an INVITE that is too large for UDP.
type largeOffer struct{ testMedia }

func (m *largeOffer) CreateOffer() ([]byte, error) {
	m.note("create offer")
	return []byte(testOffer + strings.Repeat("a=x-filler:0123456789\r\n", 60)), nil
}

// largeBed is streamBed over TCP, with who is over UDP at carrierAddr able to
// take connections there, too; dials counts what the agent tries.
func largeBed(t *testing.T, adjust func(*Config)) (b *bed, carrier *peer, dials *atomic.Int32) {
	t.Helper()
	dials = new(atomic.Int32)
	b, _ = tcpBed(t, func(c *Config) {
		dial := c.DialTCP
		c.DialTCP = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, to)
		}
		if adjust != nil {
			adjust(c)
		}
	})
	return b, newTCPPeer(t, b.net, carrierAddr), dials
}

func TestLargeRequestOverUDPGoesOverTCP(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p, dials := largeBed(t, nil)
		b.answered(Invite{}) // a small one
		if n := dials.Load(); n > 0 {
			t.Errorf("a small request makes %d connections", n)
		}
		out := b.invite(t.Context(), Invite{Media: &largeOffer{}})
		req := p.expect("INVITE")
		if via := req.get("Via"); !strings.HasPrefix(via, "SIP/2.0/TCP "+agentAddr+";branch=") {
			t.Errorf("Via: %s", via)
		}
		if c := req.get("Contact"); c != "<sip:anonymous@"+agentAddr+">" {
			t.Errorf("Contact: %s", c)
		}
		if len(req.raw) <= largestUDP {
			t.Errorf("%d bytes", len(req.raw))
		}
		p.reply(req, "200 OK", "Contact: <sip:peer@"+carrierAddr+">", "body:"+testSDP)
		p.expect("ACK")
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		go func() { _ = o.d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		b.carrier.silent(time.Second)
	})
}

func TestLargeRequestIsCancelledTheWayThatItWent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p, _ := largeBed(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		out := b.invite(ctx, Invite{Media: &largeOffer{}})
		req := p.expect("INVITE")
		p.reply(req, "180 Ringing")
		synctest.Wait()
		if rec := b.journal.only(t); rec.Transport != "tcp" {
			t.Errorf("journalled %+v", rec)
		}
		cancel()
		m := p.expect("CANCEL")
		if m.get("Via") != req.get("Via") {
			t.Errorf("CANCEL:\n%s", m.raw)
		}
		p.reply(m, "200 OK")
		p.reply(req, "487 Request Terminated")
		p.expect("ACK")
		if f := failure(t, <-out); f.Kind != Cancelled {
			t.Errorf("%+v", f)
		}
	})
}

func TestLargeRequestGoesOverUDPWhereThePeerTakesNoConnection(t *testing.T) {
	for name, prepare := range map[string]func(*bed){
		"refused": func(*bed) {},
		"silent":  func(b *bed) { b.net.Unplug(netip.MustParseAddr("10.0.0.77")) }, // but for UDP
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b, _, dials := largeBed(t, func(c *Config) { c.Trunks[0].Host = "10.0.0.77:5060" })
				prepare(b)
				p := newPeer(t, b.net, "10.0.0.77:5060")
				call := func() time.Duration {
					start := time.Now()
					out := b.invite(t.Context(), Invite{Media: &largeOffer{}})
					req := p.expect("INVITE")
					took := time.Since(start)
					if !strings.HasPrefix(req.get("Via"), "SIP/2.0/UDP ") {
						t.Errorf("Via: %s", req.get("Via"))
					}
					p.reply(req, "486 Busy Here")
					p.expect("ACK")
					<-out
					return took
				}
				first := call()
				if second := call(); second > 100*time.Millisecond || dials.Load() != 1 || first > widenTime+100*time.Millisecond {
					t.Errorf("the first call left after %s, the second after %s; tried %d times", first, second, dials.Load())
				}
				time.Sleep(udpOnlyFor)
				if call(); dials.Load() != 2 {
					t.Errorf("tried %d times, want once an hour", dials.Load())
				}
			})
		})
	}
}

func TestLargeRequestIsRepeatedOverUDPWhereNobodySpeaksSIPOverTCP(t *testing.T) {
	for name, answer := range map[string]func(*peer){
		"ends": func(p *peer) {
			p.expect("INVITE")
			p.hangUp()
		},
		"says nothing": func(p *peer) { p.expect("INVITE") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b, p, _ := largeBed(t, func(c *Config) { c.Trunks[0].Try = 2 * time.Second })
				out := b.invite(t.Context(), Invite{Media: &largeOffer{}})
				answer(p)
				b.carrier.answers()
				if o := <-out; o.err != nil {
					t.Fatal(o.err)
				}
				out = b.invite(t.Context(), Invite{Media: &largeOffer{}})
				b.carrier.answers()
				if o := <-out; o.err != nil {
					t.Fatal(o.err)
				}
			})
		})
	}
}

func TestLargeRequestInADialogGoesOverTCPAndTheDialogStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p, _ := largeBed(t, nil)
		media := &largeOffer{}
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "Session-Expires: 90;refresher=uac", "body:"+testSDP)
		b.carrier.expect("ACK")
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		o.d.SetMedia(media)
		if _, err := o.d.createOffer(); err != nil { // what the refresh repeats
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		again := p.expect("INVITE")
		if !strings.HasPrefix(again.get("Via"), "SIP/2.0/TCP ") || again.tag("From") != req.tag("From") {
			t.Errorf("re-INVITE:\n%s", again.raw)
		}
		p.reply(again, "200 OK", "Session-Expires: 90;refresher=uac", "Contact: <sip:peer@"+carrierAddr+">", "body:"+testSDP)
		b.carrier.expect("ACK")
		go func() { _ = o.d.Bye(t.Context()) }()
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
	})
}

func TestPeersOverUDPAloneAreRememberedInBounds(t *testing.T) {
	var u udpOnly
	now := time.Now()
	for i := range 3 * maxUDPOnly {
		u.add(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i)), now)
	}
	if len(u.until) > maxUDPOnly || !u.has(netip.MustParseAddrPort("10.0.0.1:3071"), now) || u.has(netip.MustParseAddrPort("10.0.0.1:3071"), now.Add(udpOnlyFor)) {
		t.Errorf("%d are remembered", len(u.until))
	}
}

func TestLargeRequestIsNotTriedAgainWhereAConnectionIsSilent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p, _ := largeBed(t, nil)
		to := netip.MustParseAddrPort(carrierAddr)
		rec := b.agent.outside(b.agent.peers.trunk("carrier"), to)
		rec.CallID, rec.LocalTag, rec.RemoteURI = newTag(), newTag(), "<"+rec.Target+">"
		req, err := b.agent.request(&rec, sipmsg.OPTIONS, 1, newBranch())
		if err != nil {
			t.Fatal(err)
		}
		req.AppendHeader(sipmsg.NewHeader("Subject", strings.Repeat("x", largestUDP)))
		if _, f := b.agent.exchange(t.Context(), req, 4*time.Second); f == nil || f.Kind != NoResponse {
			t.Errorf("outcome %v", f)
		}
		p.expect("OPTIONS")
		if !b.agent.udpOnly.has(to, time.Now()) {
			t.Error("the next one goes there as well")
		}
	})
}

func TestACallIsNotLostOverAConnectionThatSpeaksNoSIP(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p, _ := largeBed(t, nil)
		out := b.invite(t.Context(), Invite{})
		b.carrier.reply(b.carrier.expect("INVITE"), "200 OK", "Require: timer", "Session-Expires: 1800;refresher=uac", "body:"+testSDP)
		b.carrier.expect("ACK")
		d := (<-out).d
		d.mu.Lock()
		d.local = append(d.local, strings.Repeat("a=x\r\n", largestUDP/5)...)
		d.mu.Unlock()
		time.Sleep(900 * time.Second)
		p.expect("INVITE") // and is silent
		time.Sleep(txTimeout + 225*time.Second)
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "Require: timer", "Session-Expires: 1800;refresher=uac", "body:"+testSDP)
		b.carrier.expect("ACK")
		if d.isOver() {
			t.Errorf("ended: %v", d.Ended())
		}
		go func() { _ = d.Bye(t.Context()) }()
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
		<-d.Done()
	})
}
