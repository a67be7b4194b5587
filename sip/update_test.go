package sip

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowMedia waits before it answers an offer.
type slowMedia struct {
	testMedia
	gate chan struct{}
}

func (m *slowMedia) AcceptOffer(offer []byte) ([]byte, error) {
	<-m.gate
	return m.testMedia.AcceptOffer(offer)
}

func soon(t *testing.T, res message) {
	t.Helper()
	if n, err := strconv.Atoi(res.get("Retry-After")); err != nil || n < 0 || n > 10 {
		t.Errorf("Retry-After %q", res.get("Retry-After"))
	}
}

func TestUpdateIsInAllow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		_, ok := inbound(t, b, calls, &testMedia{})
		b.invite(t.Context(), Invite{})
		for _, m := range []message{ok, b.carrier.expect("INVITE")} {
			if !strings.Contains(m.get("Allow"), "UPDATE") || strings.Contains(m.get("Allow"), "PRACK") {
				t.Errorf("Allow: %s", m.get("Allow"))
			}
		}
	})
}

func TestUpdateBeforeTheAnswerRefreshesTheTarget(t *testing.T) {
	inBubble(t, func(t *testing.T) { // of who calls us
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		in := (<-calls).in
		if err := in.Ring(); err != nil {
			t.Fatal(err)
		}
		ring := b.carrier.expect("180")
		b.carrier.send(b.carrier.of(ring, "UPDATE", "u1", 101, "Contact: <sip:new@10.0.0.9:5070>", "Supported: timer", "Session-Expires: 600"))
		if res := b.carrier.expect("200"); res.body != "" || res.get("Contact") == "" || res.get("Session-Expires") != "" {
			t.Errorf("answer:\n%s", res.raw)
		}
		b.carrier.send(b.carrier.of(ring, "UPDATE", "u2", 102, "body:"+testSDP)) // the offer of the INVITE is open
		soon(t, b.carrier.expect("500"))
		d, err := in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		if got := d.RemoteAddr().String(); got != "10.0.0.9:5070" {
			t.Errorf("target %s", got)
		}
	})
	inBubble(t, func(t *testing.T) { // of whom we call: its 2xx says it again
		b := testAgent(t, nil)
		ctx := t.Context()
		out := b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "Contact: <sip:new@10.0.0.9:5070>"))
		b.carrier.expect("200")
		if rec := b.journal.only(t); rec.Destination != carrierAddr {
			t.Errorf("a CANCEL after a crash would go to %s", rec.Destination)
		}
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "body:"+testSDP))
		b.carrier.expect("491")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		if o := <-out; o.err != nil {
			t.Error(o.err)
		}
	})
}

func TestUpdateWhileTheAnswerIsJournalledMovesTheTarget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.journal.block = make(chan struct{})
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		trying := b.carrier.expect("100")
		in := (<-calls).in
		got := make(chan *Dialog, 1)
		go func() {
			d, err := in.Answer(t.Context(), &testMedia{}, DialogRef{})
			if err != nil {
				t.Error(err)
			}
			got <- d
		}()
		synctest.Wait()
		b.carrier.send(b.carrier.of(trying, "UPDATE", "u1", 101, "Contact: <sip:new@10.0.0.9:5070>"))
		b.carrier.expect("200")
		close(b.journal.block)
		ok := b.carrier.expect("200")
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		if d := <-got; d.RemoteAddr().String() != "10.0.0.9:5070" {
			t.Errorf("target %s", d.RemoteAddr())
		}
	})
}

func TestOfferWhileOneOfTheirsIsUnansweredIs500(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		slow := &slowMedia{gate: make(chan struct{})}
		d.SetMedia(slow)
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "body:"+sdpOf("first")))
		synctest.Wait()
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "body:"+sdpOf("second")))
		soon(t, b.carrier.expect("500"))
		b.carrier.send(b.carrier.inside(req, "UPDATE", 7))
		soon(t, b.carrier.expect("500"))
		b.carrier.send(b.carrier.inside(req, "INVITE", 8, "body:"+sdpOf("third")))
		res := b.carrier.expect("500")
		soon(t, res)
		b.carrier.send(b.carrier.request("ACK", "sip:agent@"+agentAddr, "INVITE8", res.get("From"), res.get("To"), res.get("Call-ID"), 8))
		close(slow.gate)
		if ok := b.carrier.expect("200"); !strings.HasPrefix(ok.get("CSeq"), "5 ") {
			t.Errorf("200 to %s", ok.get("CSeq"))
		}
		b.carrier.send(b.carrier.inside(req, "UPDATE", 9, "body:"+sdpOf("fourth")))
		b.carrier.expect("200")
	})
}

func TestUpdateDuringAReinviteOfTheirs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		slow := &slowMedia{gate: make(chan struct{})}
		d.SetMedia(slow)
		b.carrier.send(b.carrier.inside(req, "INVITE", 5, "body:"+sdpOf("first")))
		synctest.Wait()
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "body:"+sdpOf("second")))
		soon(t, b.carrier.expect("500"))
		b.carrier.send(b.carrier.inside(req, "UPDATE", 7)) // no offer, nothing to meet
		b.carrier.expect("200")
		close(slow.gate)
		for { // past the 100 that the transaction sends by itself
			if m, ok := b.carrier.read(time.Second); !ok || m.is("200") && strings.HasSuffix(m.get("CSeq"), "INVITE") {
				break
			}
		}
		b.carrier.send(b.carrier.inside(req, "ACK", 5))
		b.carrier.silent(time.Minute)
	})
}

func TestOfferWhileOursInThe200IsUnansweredIs491(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, req := b.answered(Invite{})
		b.carrier.send(b.carrier.inside(req, "INVITE", 5))
		b.carrier.expect("200")
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "body:"+testSDP))
		b.carrier.expect("491")
		b.carrier.send(b.carrier.inside(req, "ACK", 5, "body:"+testSDP))
		time.Sleep(10 * orderGap)
		b.carrier.send(b.carrier.inside(req, "UPDATE", 7, "body:"+testSDP))
		b.carrier.expect("200")
	})
}

func TestUpdateWithAnUnknownBodyIs415(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, req := b.answered(Invite{})
		b.carrier.send(strings.Replace(b.carrier.inside(req, "UPDATE", 5, "body:<xml/>"), "application/sdp", "application/xml", 1))
		b.carrier.expect("415")
	})
}

func TestUnusableUpdateIs488AndTheCallGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		d.SetMedia(&testMedia{refuse: errors.New("video only")})
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "Contact: <sip:new@10.0.0.9:5070>", "body:"+testSDP))
		b.carrier.expect("488")
		if d.isOver() || d.RemoteAddr().String() != carrierAddr {
			t.Errorf("over %v, target %s", d.isOver(), d.RemoteAddr())
		}
	})
}

func TestPrackIs481AndTheCallGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		for i, rack := range []string{"1 100 INVITE", "", "x", strings.Repeat("9", 400)} {
			b.carrier.send(b.carrier.inside(req, "PRACK", 5+i, "RAck: "+rack))
			b.carrier.expect("481")
		}
		if d.isOver() {
			t.Error("over")
		}
	})
}

func TestRequiredExtensionInTheDialogIs420(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "Require: Timer, 100rel", "Require: path"))
		if res := b.carrier.expect("420"); res.get("Unsupported") != "100rel, path" {
			t.Errorf("Unsupported: %q", res.get("Unsupported"))
		}
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "Require: timer"))
		b.carrier.expect("200")
		if d.isOver() {
			t.Error("over")
		}
	})
}

func TestRetransmittedReinviteIsAnsweredTheSameAndAskedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		_, req := b.answered(Invite{Media: media})
		raw := b.carrier.inside(req, "INVITE", 5, "body:"+sdpOf("hold"))
		b.carrier.send(raw)
		ok := b.carrier.expect("200")
		for range 3 {
			b.carrier.send(raw)
			time.Sleep(10 * time.Millisecond)
		}
		b.carrier.send(b.carrier.inside(req, "ACK", 5))
		b.carrier.silent(time.Minute) // nothing but that 200
		if len(media.log()) != 3 || ok.tag("To") != req.tag("From") {
			t.Errorf("media %q", media.log())
		}
		b.carrier.send(b.carrier.inside(req, "INVITE", 4, "body:"+sdpOf("old")))
		res := b.carrier.expect("500")
		b.carrier.send(b.carrier.request("ACK", "sip:agent@"+agentAddr, "INVITE4", res.get("From"), res.get("To"), res.get("Call-ID"), 4))
	})
}
