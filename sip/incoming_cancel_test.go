package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCancelEndsARingingInvite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		c := <-calls
		if err := c.in.Ring(); err != nil {
			t.Fatal(err)
		}
		ring := b.carrier.expect("180")
		time.Sleep(45 * time.Second) // longer than anything remembers an INVITE
		b.carrier.send(b.carrier.cancelOf("1", `Reason: SIP;cause=200;text="Call completed elsewhere"`))
		ok := b.carrier.expect("200")
		refused := b.carrier.expect("487")
		if ok.tag("To") != ring.tag("To") || refused.tag("To") != ring.tag("To") {
			t.Error("To-tag of the responses to INVITE and CANCEL differ")
		}
		b.carrier.send(b.carrier.of(refused, "ACK", "inv1", 100))
		<-c.ctx.Done()
		var f *Failure
		if !errors.As(context.Cause(c.ctx), &f) || f.Kind != Cancelled || len(f.Reasons) != 1 || f.Reasons[0].Text != "Call completed elsewhere" {
			t.Errorf("cause %v", context.Cause(c.ctx))
		}
		if _, err := c.in.Answer(t.Context(), &testMedia{}, DialogRef{}); !errors.As(err, &f) {
			t.Errorf("answer after CANCEL: %v", err)
		}
		b.carrier.silent(time.Minute)
		if n := b.agent.calls.size(); n != 0 {
			t.Errorf("%d dialogs left", n)
		}
	})
}

func TestCancelRightBehindInviteIs487(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := inboundBed(t)
		for i := range 100 {
			id := fmt.Sprint(i)
			b.carrier.send(b.carrier.initial(id, "body:"+testSDP))
			b.carrier.send(b.carrier.cancelOf(id))
			got := map[string]bool{}
			for !got["487"] || !got["200"] {
				m, ok := b.carrier.read(time.Second)
				if !ok {
					t.Fatalf("only %v", got)
				}
				got[strings.Fields(m.start)[1]] = true
				if m.is("487") {
					b.carrier.send(b.carrier.of(m, "ACK", "inv"+id, 100))
				}
			}
		}
	})
}

func TestCancelHandledBeforeItsInviteIs487AtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.cancelOf("1"))
		b.carrier.expect("481")
		time.Sleep(5 * time.Second)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.send(b.carrier.of(b.carrier.expect("487"), "ACK", "inv1", 100))
		if len(calls) != 0 {
			t.Error("a cancelled INVITE reached the handler")
		}
		b.carrier.silent(time.Minute)
	})
}

func TestCancelRacingTheAnswerHasOneWinner(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.journal.block = make(chan struct{})
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		in := (<-calls).in
		out := make(chan error, 1)
		go func() {
			_, err := in.Answer(t.Context(), &testMedia{}, DialogRef{})
			out <- err
		}()
		synctest.Wait() // it waits for the journal
		b.carrier.send(b.carrier.cancelOf("1"))
		b.carrier.expect("200")
		b.carrier.send(b.carrier.of(b.carrier.expect("487"), "ACK", "inv1", 100))
		close(b.journal.block)
		var f *Failure
		if err := <-out; !errors.As(err, &f) || f.Kind != Cancelled {
			t.Errorf("Answer: %v", err)
		}
		b.carrier.silent(time.Minute)
		if b.journal.size() != 0 {
			t.Error("the journal still has it")
		}
	})
}

func TestCancelAfterThe200ChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		d, _ := inbound(t, b, calls, &testMedia{})
		b.carrier.send(b.carrier.cancelOf("1"))
		if res := b.carrier.expect("200"); !strings.HasSuffix(res.get("CSeq"), "CANCEL") {
			t.Errorf("CSeq: %s", res.get("CSeq"))
		}
		b.carrier.silent(time.Minute)
		select {
		case <-d.Done():
			t.Error("the dialog ended")
		default:
		}
	})
}

func TestCancelFromAnotherPeerEndsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 1), make(chan struct{})
		defer close(release)
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			c.Trunks[0].Peers = []netip.Prefix{netip.MustParsePrefix("10.0.8.0/24")}
			c.Trunks = append(c.Trunks, Trunk{Name: "other", Host: "10.0.7.7"})
		})
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		c := <-calls
		if err := c.in.Ring(); err != nil {
			t.Fatal(err)
		}
		ring := b.carrier.expect("180")
		cancel := b.carrier.cancelOf("1")
		other := newPeer(t, b.net, "10.0.7.7:5060")
		for i, forged := range []string{
			cancel,
			strings.Replace(cancel, "<sip:74950000000@"+agentAddr+">", ring.get("To"), 1), // with our tag
			strings.Replace(cancel, "call-1", "call-2", 1),                                // the branch alone
			strings.Replace(cancel, "To:", "X-To:", 1),
		} {
			for _, p := range []*peer{b.phone, other} {
				p.send(forged)
				m, _ := p.read(time.Second)
				if want := [...]string{"481", "481", "481", "400"}[i]; !m.is(want) || m.get("CSeq") != "100 CANCEL" {
					t.Errorf("%d: %q, CSeq %s", i, m.start, m.get("CSeq"))
				}
				time.Sleep(txTimeout) // else it is the same request
				p.silent(0)
			}
		}
		b.carrier.silent(time.Minute)
		if c.ctx.Err() != nil {
			t.Fatalf("cancelled: %v", context.Cause(c.ctx))
		}
		if n := b.agent.Stats().Foreign; n != 4 {
			t.Errorf("%d counted", n)
		}
		if log := b.log.String(); !strings.Contains(log, "method=CANCEL from="+phoneAddr) {
			t.Errorf("log:\n%s", log)
		}
		same := newPeer(t, b.net, "10.0.8.200:5099") // of the same trunk
		same.send(cancel)
		same.expect("200")
		b.carrier.send(b.carrier.of(b.carrier.expect("487"), "ACK", "inv1", 100))
		<-c.ctx.Done()
	})
}

func TestCancelOfAnotherPeerThatComesFirstEndsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.phone.send(b.carrier.cancelOf("1"))
		b.phone.expect("481")
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		b.carrier.silent(time.Second)
		if c := <-calls; c.ctx.Err() != nil {
			t.Errorf("cancelled: %v", context.Cause(c.ctx))
		}
	})
}

func TestCancelWithoutTransactionIs481(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.carrier.send(b.carrier.cancelOf("9"))
		b.carrier.expect("481")
	})
}

func TestByeInsteadOfCancelEndsARingingInvite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		c := <-calls
		if err := c.in.Ring(); err != nil {
			t.Fatal(err)
		}
		ring := b.carrier.expect("180")
		b.carrier.send(b.carrier.of(ring, "BYE", "bye1", 101))
		b.carrier.expect("200")
		b.carrier.send(b.carrier.of(b.carrier.expect("487"), "ACK", "inv1", 100))
		<-c.ctx.Done()
	})
}
