package sip

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hangup is a cause as the callers of the package have them.
type hangup struct{ reasons []Reason }

func (hangup) Error() string          { return "hung up" }
func (h hangup) SIPReasons() []Reason { return h.reasons }

func TestCancelCarriesTheReasonOfItsCause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		out := b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		synctest.Wait()
		cause := hangup{[]Reason{{"SIP", 200, "Call completed elsewhere"}, {"Q.850", 26, ""}}}
		cancel(cause)
		c := b.carrier.expect("CANCEL")
		if c.get("Via") != req.get("Via") || c.uri() != req.uri() || c.get("To") != req.get("To") || c.get("From") != req.get("From") ||
			c.get("CSeq") != strings.Replace(req.get("CSeq"), "INVITE", "CANCEL", 1) {
			t.Errorf("CANCEL does not match its INVITE:\n%s", c.raw)
		}
		if got := strings.Join(c.all("Reason"), " | "); got != `SIP;cause=200;text="Call completed elsewhere" | Q.850;cause=26` {
			t.Errorf("Reason: %s", got)
		}
		b.carrier.reply(c, "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		b.carrier.expect("ACK")
		f := failure(t, <-out)
		if f.Kind != Cancelled || f.Status != 487 || f.Crossed || !errors.As(f, &cause) {
			t.Errorf("%#v", f)
		}
		b.carrier.silent(time.Minute)
	})
}

func TestCancelWaitsForAProvisional(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		out := b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		cancel()
		b.carrier.silent(2 * time.Second)
		b.carrier.reply(req, "100 Trying")
		c := b.carrier.expect("CANCEL")
		b.carrier.reply(c, "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		b.carrier.expect("ACK")
		if f := failure(t, <-out); f.Kind != Cancelled {
			t.Errorf("%v", f)
		}
	})
}

func TestCancelBeforeAnySignOfLifeEndsWithSilence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		out := b.invite(ctx, Invite{})
		cancel()
		if f := failure(t, <-out); f.Kind != Cancelled || time.Since(start) > 4*time.Second {
			t.Errorf("%v after %s", f, time.Since(start))
		}
	})
}

func Test200ThatCrossesCancelIsAckedAndByedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		out := b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		synctest.Wait()
		cancel(hangup{[]Reason{{"Q.850", 16, ""}}})
		c := b.carrier.expect("CANCEL")
		ok := b.carrier.response(req, "200 OK", "Record-Route: <sip:10.0.0.9;lr>", "body:"+testSDP)
		b.carrier.send(ok)
		ack := b.carrier.expect("ACK")
		if ack.tag("To") != b.carrier.tag || ack.get("Route") == "" {
			t.Errorf("ACK:\n%s", ack.raw)
		}
		bye := b.carrier.expect("BYE")
		if bye.get("Reason") != "Q.850;cause=16" {
			t.Errorf("Reason: %s", bye.get("Reason"))
		}
		b.carrier.reply(c, "200 OK")
		b.carrier.reply(bye, "200 OK")
		if f := failure(t, <-out); f.Kind != Cancelled || !f.Crossed {
			t.Errorf("%#v", f)
		}
		b.carrier.send(ok)
		if m, got := b.carrier.read(time.Second); !got || !m.is("ACK") {
			t.Error("retransmitted 200 was not acknowledged")
		}
		b.carrier.silent(time.Minute) // no second BYE
		if n := b.agent.calls.size(); n != 0 {
			t.Errorf("%d dialogs left", n)
		}
	})
}

func TestForkThatIsNotWantedIsInTheJournalFromItsACKToItsBYE(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{Ref: DialogRef{Call: "call", Leg: "leg"}})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		won := <-out
		if won.err != nil {
			t.Fatal(won.err)
		}
		b.journal.block = make(chan struct{})
		b.carrier.tag = "other"
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.silent(100 * time.Millisecond) // no ACK before the journal has it
		close(b.journal.block)
		b.carrier.expect("ACK")
		bye := b.carrier.expect("BYE")
		if b.journal.size() != 2 {
			t.Errorf("%d dialogs in the journal while the fork is up, want 2", b.journal.size())
		}
		b.carrier.reply(bye, "200 OK")
		synctest.Wait()
		if rec := b.journal.only(t); rec.ID != won.d.ID() {
			t.Errorf("left in the journal: %+v", rec)
		}
	})
}

func TestCancellingIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		out := b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		synctest.Wait()
		cancel()
		start := time.Now()
		if f := failure(t, <-out); f.Kind != Cancelled || time.Since(start) != txTimeout {
			t.Errorf("%v after %s", f, time.Since(start))
		}
		b.carrier.expect("CANCEL")
		b.carrier.reply(req, "200 OK", "body:"+testSDP) // very late
		b.carrier.expect("ACK")
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
	})
}

func TestCancelGoesWhereTheInviteWent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].Host, c.Trunks[0].Proxy = "10.7.7.7", carrierAddr })
		ctx, cancel := context.WithCancel(t.Context())
		b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		// Its Contact and Record-Route name other hosts.
		b.carrier.reply(req, "180 Ringing", "Contact: <sip:x@10.8.8.8>", "Record-Route: <sip:10.9.9.9;lr>")
		synctest.Wait()
		cancel()
		c := b.carrier.expect("CANCEL")
		if len(c.all("Route")) != 0 || c.uri() != req.uri() {
			t.Errorf("CANCEL:\n%s", c.raw)
		}
		b.carrier.reply(c, "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		b.carrier.expect("ACK")
	})
}

func TestContextThatIsOverSendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if f := failure(t, <-b.invite(ctx, Invite{})); f.Kind != Cancelled {
			t.Errorf("%v", f)
		}
		b.carrier.silent(time.Minute)
	})
}

func TestBackToBackResponsesKeepTheirOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		for range 200 {
			var early []Progress
			out := b.invite(t.Context(), Invite{OnProgress: func(p Progress) { early = append(early, p) }})
			req := b.carrier.expect("INVITE")
			b.carrier.reply(req, "183 Session Progress", "body:"+testSDP)
			b.carrier.reply(req, "200 OK")
			b.carrier.expect("ACK")
			if o := <-out; o.err != nil || len(early) != 1 || !early[0].Media {
				t.Fatalf("%v, progress %v", o.err, early)
			}
		}
	})
}
