package sip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// incoming hands every INVITE to the test.
type incoming struct {
	ctx context.Context
	in  *Incoming
}

// accepting returns a configuration whose handler gives calls to the channel
// and waits until the test lets it go.
func accepting(calls chan incoming, release chan struct{}) func(*Config) {
	return func(c *Config) {
		c.Handle = func(ctx context.Context, in *Incoming) {
			calls <- incoming{ctx, in}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
}

func inboundBed(t *testing.T) (*bed, chan incoming) {
	t.Helper()
	calls, release := make(chan incoming, 1024), make(chan struct{})
	b := testAgent(t, accepting(calls, release))
	t.Cleanup(func() { close(release) })
	return b, calls
}

// initial is an INVITE of a stranger to the dialogs.
func (p *peer) initial(id string, extra ...string) string {
	return p.request("INVITE", "sip:74950000000@"+agentAddr, "inv"+id, `"Anna B" <sip:+79160000000;phone-context=x@`+p.addr+`>;tag=from`+id,
		"<sip:74950000000@"+agentAddr+">", "call-"+id, 100, extra...)
}

// of builds a request that belongs to the INVITE: ACK, CANCEL or one in its
// dialog, by what the response says.
func (p *peer) of(res message, method, branch string, cseq int, extra ...string) string {
	return p.request(method, "sip:74950000000@"+agentAddr, branch, res.get("From"), res.get("To"), res.get("Call-ID"), cseq, extra...)
}

func (p *peer) cancelOf(id string, extra ...string) string {
	return strings.Replace(p.request("CANCEL", "sip:74950000000@"+agentAddr, "inv"+id, `<sip:+79160000000@`+p.addr+`>;tag=from`+id,
		"<sip:74950000000@"+agentAddr+">", "call-"+id, 100, extra...), "Contact", "X-Contact", 1)
}

// inbound has a call of the carrier answered and acknowledged.
func inbound(t *testing.T, b *bed, calls chan incoming, media Negotiator) (*Dialog, message) {
	t.Helper()
	b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
	b.carrier.expect("100")
	d, err := (<-calls).in.Answer(t.Context(), media, DialogRef{})
	if err != nil {
		t.Fatal(err)
	}
	ok := b.carrier.expect("200")
	b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
	time.Sleep(10 * orderGap)
	return d, ok
}

func TestIncomingCallIsAnsweredAndHungUpByTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP, "X-Thing: yes", "k: timer"))
		trying := b.carrier.expect("100")
		c := <-calls
		in := c.in
		if !slices.Equal(in.Trunks, []string{"carrier"}) || in.Extension != "" || in.Called != "74950000000" || in.From != "+79160000000" ||
			in.FromDisplay != "Anna B" || in.CallID != "call-1" || string(in.Offer()) != testSDP || in.Header("X-THING") != "yes" || in.Header("Supported") != "timer" {
			t.Errorf("incoming %+v", in)
		}
		media := &testMedia{}
		if err := in.Ring(); err != nil {
			t.Error(err)
		}
		ring := b.carrier.expect("180")
		if err := in.EarlyMedia(media); err != nil {
			t.Error(err)
		}
		early := b.carrier.expect("183")
		d, err := in.Answer(t.Context(), media, DialogRef{Call: "c", Leg: "l"})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		if early.body != testOffer || ok.body != testOffer {
			t.Errorf("bodies %q, %q", early.body, ok.body)
		}
		for _, m := range []message{trying, ring, early} {
			if m.tag("To") != ok.tag("To") || len(m.tag("To")) != 32 {
				t.Errorf("%s has To-tag %s, the 200 %s", m.start, m.tag("To"), ok.tag("To"))
			}
		}
		if got := ok.get("Contact"); got != "<sip:74950000000@10.0.0.1:5060>" {
			t.Errorf("Contact: %s", got)
		}
		if got := media.log(); len(got) != 1 { // the answer of the 183 is the answer
			t.Errorf("media: %q", got)
		}
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		b.carrier.silent(time.Minute)
		b.carrier.send(b.carrier.of(ok, "BYE", "bye1", 101, `Reason: Q.850;cause=16`))
		b.carrier.expect("200")
		<-d.Done()
		if e := d.Ended(); e.By != ByRemote || len(e.Reasons) != 1 || e.Reasons[0].Cause != 16 {
			t.Errorf("ended %+v", e)
		}
		if _, ok := errors.AsType[Ended](context.Cause(c.ctx)); !ok {
			t.Errorf("cause %v", context.Cause(c.ctx))
		}
		if err := d.Bye(t.Context()); err != nil {
			t.Errorf("Bye after the end: %v", err)
		}
		b.carrier.silent(time.Minute)
	})
}

func Test200IsRepeatedUntilItsAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var at []time.Duration
		var ok message
		for len(at) < 6 {
			m, _ := b.carrier.read(time.Minute)
			ok = m
			at = append(at, time.Since(start).Round(time.Millisecond))
		}
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond, 11500 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("200 at %v, want %v", at, want)
		}
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		b.carrier.silent(time.Minute)
		if _, more := b.carrier.read(time.Minute); more {
			t.Error("repeated after its ACK")
		}
		select {
		case <-d.Done():
			t.Error("the dialog ended")
		default:
		}
	})
}

func TestMissingAckEndsWithByeAndNoAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		start := time.Now()
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		b.carrier.expect("200")
		bye := b.carrier.expect("BYE")
		if got := time.Since(start); got != txTimeout {
			t.Errorf("BYE after %s", got)
		}
		<-d.Done()
		if d.Ended().By != ByNoAck {
			t.Errorf("ended by %s", d.Ended().By)
		}
		b.carrier.reply(bye, "200 OK")
		b.carrier.silent(time.Minute)
		if n := b.agent.calls.size(); n != 0 {
			t.Errorf("%d dialogs left", n)
		}
	})
}

func TestByeWaitsForTheAckOfOur200(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		done := make(chan error, 1)
		go func() { done <- d.Bye(t.Context()) }()
		b.carrier.silent(3 * time.Second)
		select {
		case <-d.Done():
		default:
			t.Error("not over for its user")
		}
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAckWithTheBranchOfTheInviteCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		if _, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{}); err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		b.carrier.send(b.carrier.of(ok, "ACK", "inv1", 100))
		time.Sleep(10 * orderGap)
		b.carrier.seen = map[string]bool{}
		b.carrier.silent(txTimeout)
	})
}

func TestByeBeforeAckIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		b.carrier.send(b.carrier.of(ok, "BYE", "bye1", 101))
		if res := b.carrier.expect("200"); !strings.HasSuffix(res.get("CSeq"), "BYE") {
			t.Errorf("CSeq: %s", res.get("CSeq"))
		}
		<-d.Done()
		b.carrier.seen = map[string]bool{}
		b.carrier.silent(txTimeout)
	})
}

func TestOfferlessInviteTakesTheAnswerFromTheAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1"))
		b.carrier.expect("100")
		media := &testMedia{}
		in := (<-calls).in
		if err := in.EarlyMedia(media); err == nil {
			t.Error("early media without an offer")
		}
		d, err := in.Answer(t.Context(), media, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		if ok.body != testOffer {
			t.Errorf("200 has no offer: %q", ok.body)
		}
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100, "body:"+testSDP))
		time.Sleep(10 * orderGap)
		if got := media.log(); !slices.Equal(got, []string{"create offer", "answer - 7 7 IN IP4 10.0.0.9"}) {
			t.Errorf("media: %q", got)
		}
		select {
		case <-d.Done():
			t.Error("the dialog ended")
		default:
		}
	})
}

func TestOfferlessInviteWithoutAnyAnswerIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1"))
		b.carrier.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
		<-d.Done()
	})
}

func TestRejectSendsStatusReasonAndRetryAfter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		in := (<-calls).in
		if err := in.RejectRetry(503, "Full\r\nX-Evil: 1", 1500*time.Millisecond, Reason{Protocol: "Q.850", Cause: 42}); err != nil {
			t.Fatal(err)
		}
		res := b.carrier.expect("503")
		if res.get("Retry-After") != "2" || res.get("Reason") != "Q.850;cause=42" || res.get("X-Evil") != "" {
			t.Errorf("response:\n%s", res.raw)
		}
		b.carrier.send(b.carrier.of(res, "ACK", "inv1", 100))
		if err := in.Reject(486, ""); !errors.Is(err, ErrAnswered) {
			t.Errorf("second final response: %v", err)
		}
		if _, err := in.Answer(t.Context(), &testMedia{}, DialogRef{}); !errors.Is(err, ErrAnswered) {
			t.Errorf("answer after refusal: %v", err)
		}
		b.carrier.silent(time.Minute)
	})
}

func TestUnusableOfferIs488(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		_, err := (<-calls).in.Answer(t.Context(), &testMedia{refuse: errors.New("video only")}, DialogRef{})
		var f *Failure
		if !errors.As(err, &f) || f.Kind != BadMedia {
			t.Errorf("%v", err)
		}
		b.carrier.send(b.carrier.of(b.carrier.expect("488"), "ACK", "inv1", 100))
	})
}

func TestHandlerThatReturnsOrPanicsMakesA500(t *testing.T) {
	for name, handle := range map[string]func(context.Context, *Incoming){
		"return": func(context.Context, *Incoming) {},
		"panic":  func(context.Context, *Incoming) { panic("handler") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := testAgent(t, func(c *Config) { c.Handle = handle })
				for i := range 3 { // the server stays
					b.carrier.send(b.carrier.initial(fmt.Sprint(i), "body:"+testSDP))
					b.carrier.expect("100")
					b.carrier.send(b.carrier.of(b.carrier.expect("500"), "ACK", "inv"+fmt.Sprint(i), 100))
				}
				synctest.Wait()
				if s := b.agent.Stats(); s.Incoming != 0 || name == "panic" && s.Panics != 3 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

func TestRingingIsRepeatedEveryMinute(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		in := (<-calls).in
		if err := in.Ring(); err != nil {
			t.Fatal(err)
		}
		b.carrier.expect("180")
		for range 3 {
			start := time.Now()
			if m, ok := b.carrier.read(2 * time.Minute); !ok || !m.is("180") || time.Since(start) != time.Minute {
				t.Errorf("repeated after %s", time.Since(start))
			}
		}
		if err := in.Reject(486, ""); err != nil {
			t.Error(err)
		}
		b.carrier.send(b.carrier.of(b.carrier.expect("486"), "ACK", "inv1", 100))
		b.carrier.silent(5 * time.Minute)
	})
}

func TestRetransmittedInviteIsNotDoubled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		raw := b.carrier.initial("1", "body:"+testSDP)
		for range 5 {
			b.carrier.send(raw)
		}
		b.carrier.expect("100")
		in := (<-calls).in
		time.Sleep(time.Second)
		b.carrier.send(raw)
		time.Sleep(time.Second)
		if len(calls) != 0 {
			t.Error("a retransmission reached the handler")
		}
		_ = in.Reject(486, "")
		b.carrier.send(b.carrier.of(b.carrier.expect("486"), "ACK", "inv1", 100))
		b.carrier.silent(time.Minute)
	})
}

func TestSameInviteOverAnotherWayIs482(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		raw := b.carrier.initial("1", "body:"+testSDP)
		b.carrier.send(raw)
		b.carrier.expect("100")
		<-calls
		b.carrier.send(strings.Replace(raw, "z9hG4bKinv1", "z9hG4bKother", 1))
		b.carrier.send(b.carrier.of(b.carrier.expect("482"), "ACK", "other", 100))
		if len(calls) != 0 {
			t.Error("a merged request reached the handler")
		}
	})
}

func TestRequired100relIs420(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "Require: 100rel, timer", "body:"+testSDP))
		res := b.carrier.expect("420")
		if res.get("Unsupported") != "100rel" {
			t.Errorf("Unsupported: %s", res.get("Unsupported"))
		}
		b.carrier.send(b.carrier.of(res, "ACK", "inv1", 100))
		if len(calls) != 0 {
			t.Error("reached the handler")
		}
		b.carrier.send(b.carrier.initial("2", "Require: TIMER", "body:"+testSDP))
		b.carrier.expect("100")
		<-calls
	})
}

func TestForeignBodyIs415(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := inboundBed(t)
		raw := strings.Replace(b.carrier.initial("1", "body:<xml/>"), "application/sdp", "application/xml", 1)
		b.carrier.send(raw)
		res := b.carrier.expect("415")
		if res.get("Accept") != "application/sdp" {
			t.Errorf("Accept: %s", res.get("Accept"))
		}
		b.carrier.send(b.carrier.of(res, "ACK", "inv1", 100))
	})
}

func TestDescriptionInsideMultipartIsFound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		body := "--b\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n--b\r\nContent-Type: application/sdp\r\n\r\n" + testSDP + "\r\n--b--\r\n"
		b.carrier.send(strings.Replace(b.carrier.initial("1", "body:"+body), "application/sdp\r\nContent-Length", "multipart/mixed;boundary=b\r\nContent-Length", 1))
		b.carrier.expect("100")
		if got := string((<-calls).in.Offer()); got != testSDP {
			t.Errorf("offer %q", got)
		}
	})
}

func TestClosingAgentAnswers503(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		d, _ := inbound(t, b, calls, &testMedia{})
		closed := make(chan error, 1)
		go func() { closed <- b.agent.Close(t.Context()) }()
		bye := b.carrier.expect("BYE")
		b.carrier.send(b.carrier.initial("2", "body:"+testSDP))
		res := b.carrier.expect("503")
		if res.get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		b.carrier.send(b.carrier.of(res, "ACK", "inv2", 100))
		b.carrier.reply(bye, "200 OK")
		if err := <-closed; err != nil {
			t.Error(err)
		}
		<-d.Done()
	})
}
