package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHeadersOfAnInvite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.invite(t.Context(), Invite{FromUser: "74950000000", FromDisplay: "Перезвон: office"})
		req := b.carrier.expect("INVITE")
		if got, want := req.uri(), "sip:74951234567@10.0.0.9"; got != want {
			t.Errorf("Request-URI %s, want %s", got, want)
		}
		for name, want := range map[string]string{
			"From":                `"Перезвон: office" <sip:74950000000@10.0.0.1:5060>;tag=` + req.tag("From"),
			"To":                  "<sip:74951234567@10.0.0.9>",
			"Contact":             "<sip:74950000000@10.0.0.1:5060>",
			"P-Asserted-Identity": "",
			"User-Agent":          "Perezvon/test",
			"Content-Type":        "application/sdp",
			"Max-Forwards":        "70",
		} {
			if got := req.get(name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if via := req.get("Via"); !strings.HasPrefix(via, "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK") || !strings.HasSuffix(via, ";rport") {
			t.Errorf("Via: %s", via)
		}
		if len(req.tag("From")) != 32 {
			t.Errorf("From-tag %q is not 128 bits", req.tag("From"))
		}
	})
}

func TestInviteIsAnsweredAndEndedWithBye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		out := b.invite(t.Context(), Invite{Media: media})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "100 Trying")
		b.carrier.reply(req, "180 Ringing")
		time.Sleep(3 * time.Second)
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		ack := b.carrier.expect("ACK")
		if got, want := ack.uri(), "sip:peer@10.0.0.9:5060"; got != want {
			t.Errorf("ACK to %s, want the Contact %s", got, want)
		}
		if got, want := ack.get("CSeq"), strings.Replace(req.get("CSeq"), "INVITE", "ACK", 1); got != want {
			t.Errorf("CSeq of ACK %s, want %s", got, want)
		}
		if ack.get("Via") == req.get("Via") {
			t.Error("the ACK to a 2xx has the branch of the INVITE")
		}
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		if got := media.log(); !slices.Equal(got, []string{"create offer", "answer - 7 7 IN IP4 10.0.0.9"}) {
			t.Errorf("media: %q", got)
		}
		if got := b.agent.Stats(); got.Dialogs != 1 || got.Inviting != 0 {
			t.Errorf("stats %+v", got)
		}
		go func() {
			bye := b.carrier.expect("BYE")
			b.carrier.reply(bye, "200 OK")
		}()
		if err := o.d.Bye(t.Context(), Reason{Protocol: "Q.850", Cause: 16, Text: "Normal"}); err != nil {
			t.Error(err)
		}
		if got := o.d.Ended(); got.By != ByLocal {
			t.Errorf("ended by %s", got.By)
		}
		if err := o.d.Bye(t.Context()); err != nil {
			t.Errorf("second Bye: %v", err)
		}
		time.Sleep(txTimeout)
		if got := b.agent.Stats(); got.Dialogs != 0 || b.agent.calls.size() != 0 {
			t.Errorf("left behind: %+v", got)
		}
	})
}

func TestEvery2xxIsAckedAlsoRetransmittedOnes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		for i := range 5 {
			time.Sleep(4 * time.Second)
			b.carrier.reply(req, "200 OK", "body:"+testSDP)
			if m, ok := b.carrier.read(time.Second); !ok || !m.is("ACK") {
				t.Fatalf("retransmission %d of the 200 was not acknowledged", i)
			}
		}
		select {
		case <-d.Done():
			t.Error("the dialog ended")
		default:
		}
	})
}

func TestLosingForkIsAckedAndEndedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		b.carrier.tag = "other-fork"
		lost := b.carrier.response(req, "200 OK", "body:"+testSDP)
		b.carrier.send(lost)
		if ack := b.carrier.expect("ACK"); ack.tag("To") != "other-fork" {
			t.Errorf("ACK to %s", ack.get("To"))
		}
		bye := b.carrier.expect("BYE")
		if bye.tag("To") != "other-fork" || bye.tag("From") != req.tag("From") {
			t.Errorf("BYE of another dialog: %s %s", bye.get("From"), bye.get("To"))
		}
		b.carrier.reply(bye, "200 OK")
		b.carrier.send(lost) // its ACK was lost
		if m, ok := b.carrier.read(time.Second); !ok || !m.is("ACK") {
			t.Error("retransmitted 200 of the losing fork was not acknowledged")
		}
		b.carrier.silent(40 * time.Second)
		select {
		case <-d.Done():
			t.Error("the winner ended too")
		default:
		}
	})
}

func TestSilentPeerIsNoResponseAfterFourSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		start := time.Now()
		out := b.invite(t.Context(), Invite{})
		f := failure(t, <-out)
		if f.Kind != NoResponse || time.Since(start) != 4*time.Second {
			t.Errorf("%v after %s", f, time.Since(start))
		}
		// Nothing rings on: a peer that wakes up now is cancelled.
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		cancel := b.carrier.expect("CANCEL")
		b.carrier.reply(cancel, "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		if ack := b.carrier.expect("ACK"); ack.get("Via") != req.get("Via") {
			t.Error("ACK to a refusal needs the branch of the INVITE")
		}
		time.Sleep(txTimeout)
		if n := b.agent.calls.size(); n != 0 {
			t.Errorf("%d dialogs left", n)
		}
	})
}

func TestTrunkTryBoundsSilence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].Try = 1500 * time.Millisecond })
		start := time.Now()
		if f := failure(t, <-b.invite(t.Context(), Invite{})); f.Kind != NoResponse || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v after %s", f, time.Since(start))
		}
	})
}

func TestNo18xIsNoRinging(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		start := time.Now()
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "100 Trying")
		cancel := b.carrier.expect("CANCEL")
		if time.Since(start) != 10*time.Second {
			t.Errorf("CANCEL after %s", time.Since(start))
		}
		b.carrier.reply(cancel, "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		b.carrier.expect("ACK")
		if f := failure(t, <-out); f.Kind != NoRinging || f.Status != 487 || f.Rang != 0 {
			t.Errorf("%#v", f)
		}
	})
}

func TestRingTimeCountsFromTheFirst18x(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{Ring: 25 * time.Second})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "100 Trying")
		time.Sleep(6 * time.Second)
		b.carrier.reply(req, "180 Ringing")
		rang := time.Now()
		time.Sleep(5 * time.Second)
		b.carrier.reply(req, "180 Ringing")
		cancel := b.carrier.expect("CANCEL")
		if d := time.Since(rang); d != 25*time.Second {
			t.Errorf("CANCEL %s after the first 18x", d)
		}
		if got := cancel.get("Reason"); got != `Q.850;cause=19;text="No answer"` {
			t.Errorf("Reason: %s", got)
		}
		b.carrier.reply(cancel, "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		b.carrier.expect("ACK")
		if f := failure(t, <-out); f.Kind != RingTimeout || f.Rang.Round(time.Second) != 25*time.Second {
			t.Errorf("%#v", f)
		}
	})
}

func TestRefusalIsAFailureWithItsReasons(t *testing.T) {
	for _, status := range []string{"486 Busy Here", "603 Decline", "404 Not Found", "302 Moved Temporarily", "480 Temporarily Unavailable"} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, nil)
			out := b.invite(t.Context(), Invite{})
			req := b.carrier.expect("INVITE")
			b.carrier.reply(req, "180 Ringing")
			time.Sleep(2 * time.Second)
			b.carrier.reply(req, status, `Reason: Q.850;cause=17;text="User busy", SIP;cause=486`)
			if ack := b.carrier.expect("ACK"); ack.get("Via") != req.get("Via") {
				t.Error("ACK to a refusal needs the branch of the INVITE")
			}
			f := failure(t, <-out)
			if f.Kind != Rejected || fmt.Sprintf("%d %s", f.Status, f.Phrase) != status || f.Rang.Round(time.Second) != 2*time.Second {
				t.Errorf("%#v", f)
			}
			if diff := cmp.Diff([]Reason{{"Q.850", 17, "User busy"}, {"SIP", 486, ""}}, f.Reasons); diff != "" {
				t.Error(diff)
			}
			if n := b.agent.calls.size(); n != 0 {
				t.Errorf("%d dialogs left", n)
			}
		})
	}
}

func TestNextAddressOfTheHostIsTried(t *testing.T) {
	for name, first := range map[string]func(p *peer){
		"silence": func(p *peer) { p.expect("INVITE") },
		"503": func(p *peer) {
			p.reply(p.expect("INVITE"), "503 Service Unavailable")
			p.expect("ACK")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := testAgent(t, func(c *Config) {
					c.Trunks[0].Host = "sip.example.net"
					c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
						return []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.10")}, nil
					}
				})
				second := newPeer(t, b.net, "10.0.0.10:5060")
				out := b.invite(t.Context(), Invite{})
				first(b.carrier)
				req := second.expect("INVITE")
				if req.uri() != "sip:74951234567@sip.example.net" {
					t.Errorf("Request-URI %s", req.uri())
				}
				second.reply(req, "200 OK", "body:"+testSDP)
				second.expect("ACK")
				if o := <-out; o.err != nil {
					t.Fatal(o.err)
				}
			})
		})
	}
}

func TestHostThatDoesNotResolve(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host = "nowhere.example.net"
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
		})
		f := failure(t, <-b.invite(t.Context(), Invite{}))
		if f.Kind != Unresolved || !strings.Contains(f.Error(), "nowhere.example.net") {
			t.Errorf("%v", f)
		}
		if f := failure(t, <-b.invite(t.Context(), Invite{Target: Target{Extension: "999"}})); !errors.Is(f, ErrUnknownTarget) {
			t.Errorf("%v", f)
		}
	})
}

func TestExtensionIsCalledAtItsContact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{Target: Target{Extension: "101"}, FromUser: "+79160000000", FromDisplay: `Mr "X" \`})
		req := b.phone.expect("INVITE")
		if req.uri() != "sip:101@10.0.0.50:5060" {
			t.Errorf("Request-URI %s", req.uri())
		}
		if got := req.get("From"); !strings.HasPrefix(got, `"Mr \"X\" \\" <sip:+79160000000@10.0.0.1:5060>;tag=`) {
			t.Errorf("From: %s", got)
		}
		b.phone.reply(req, "200 OK", "body:"+testSDP)
		b.phone.expect("ACK")
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

func TestHeaderInjectionIsSanitised(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].CallerIDOut = []Place{InFrom, InAsserted, InRemoteParty, InDiversion}
		})
		b.invite(t.Context(), Invite{
			User: "1\r\nX-Evil: 1", FromUser: "2>\r\nX-Evil: 2", FromDisplay: "a\"\r\nX-Evil: 3\r\n\r\nbody",
			PassedOn: true, Original: "4>\r\nX-Evil: 4",
		})
		req := b.carrier.expect("INVITE")
		for _, l := range req.lines {
			if strings.HasPrefix(l, "X-Evil") {
				t.Errorf("injected: %s", l)
			}
		}
		if req.body != testOffer {
			t.Errorf("body %q", req.body)
		}
	})
}

func TestLargeMessagesPass(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		big := testSDP + strings.Repeat("a=x-padding:"+strings.Repeat("0", 60)+"\r\n", 100)
		d, req := b.answered(Invite{})
		_ = d
		b.carrier.send(b.carrier.inside(req, "INVITE", 1, "body:"+big, "Subject: "+strings.Repeat("s", 2000)))
		b.carrier.expect("200")
		b.carrier.send(b.carrier.inside(req, "ACK", 1))
		b.carrier.send(b.carrier.request("OPTIONS", "sip:"+agentAddr, "o1", "<sip:x@10.0.0.9>;tag="+strings.Repeat("t", 3000), "<sip:agent@10.0.0.1>", "big", 1))
		if res := b.carrier.expect("200"); len(res.raw) < 3000 {
			t.Errorf("response has %d bytes", len(res.raw))
		}
	})
}

func TestHeaderParametersAreCaseInsensitive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		shout := func(raw string) string {
			for _, p := range []string{";tag=", ";branch=", ";rport", ";lr"} {
				raw = strings.ReplaceAll(raw, p, strings.ToUpper(p))
			}
			return raw
		}
		b.carrier.send(shout(b.carrier.response(req, "200 OK", "Record-Route: <sip:10.0.0.9;lr>", "body:"+testSDP)))
		ack := b.carrier.expect("ACK")
		if ack.uri() != "sip:peer@10.0.0.9:5060" || !strings.EqualFold(ack.get("Route"), "<sip:10.0.0.9;lr>") {
			t.Errorf("LR was not understood: %s, Route %s", ack.uri(), ack.get("Route"))
		}
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		b.carrier.send(shout(b.carrier.inside(req, "BYE", 1)))
		b.carrier.expect("200")
		<-o.d.Done()
		if o.d.Ended().By != ByRemote {
			t.Errorf("ended by %s", o.d.Ended().By)
		}
	})
}

func TestAgentIsQuietAfterClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ringing := b.invite(t.Context(), Invite{})
		ring := b.carrier.expect("INVITE")
		b.carrier.reply(ring, "180 Ringing")
		synctest.Wait()
		d, _ := b.answered(Invite{})
		go func() {
			seen := map[string]int{}
			for range 3 {
				m, _ := b.carrier.read(time.Second)
				what, _, _ := strings.Cut(m.start, " ")
				seen[what]++
				if m.is("CANCEL") {
					b.carrier.reply(m, "200 OK")
					b.carrier.reply(ring, "487 Request Terminated")
				}
				if m.is("BYE") {
					b.carrier.reply(m, "200 OK")
				}
			}
			if seen["CANCEL"] != 1 || seen["BYE"] != 1 || seen["ACK"] != 1 {
				t.Errorf("got %v", seen)
			}
		}()
		if err := b.agent.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if f := failure(t, <-ringing); f.Kind != Cancelled || !errors.Is(f, ErrClosed) {
			t.Errorf("%v", f)
		}
		<-d.Done()
		if f := failure(t, <-b.invite(t.Context(), Invite{})); !errors.Is(f, ErrClosed) {
			t.Errorf("%v", f)
		}
		if err := b.agent.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}
