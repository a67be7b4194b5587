package sip

import (
	"context"
	"errors"
	"fmt"
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
