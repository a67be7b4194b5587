package sip

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReinviteKeepsItsToTagAndIsNegotiated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		media := &testMedia{}
		_, ok := inbound(t, b, calls, media)
		for i, id := range []string{"hold", "resume", "same", "same"} {
			seq := 101 + i
			b.carrier.send(b.carrier.of(ok, "INVITE", "re"+id+string(rune('a'+i)), seq, "body:"+sdpOf(id)))
			res := b.carrier.expect("200")
			if res.tag("To") != ok.tag("To") || res.body != testOffer || res.get("Contact") == "" {
				t.Errorf("answer to the re-INVITE:\n%s", res.raw)
			}
			b.carrier.send(b.carrier.of(ok, "ACK", "ackre"+string(rune('a'+i)), seq))
			time.Sleep(time.Second)
		}
		want := []string{"offer - 7 7 IN IP4 10.0.0.9", "offer - hold 7 IN IP4 10.0.0.9", "offer - resume 7 IN IP4 10.0.0.9", "offer - same 7 IN IP4 10.0.0.9", "offer - same 7 IN IP4 10.0.0.9"}
		if got := media.log(); !slices.Equal(got, want) {
			t.Errorf("media: %q", got)
		}
		b.carrier.silent(time.Minute)
	})
}

func TestReinviteOfAPeerThatWeCalled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		d, req := b.answered(Invite{Media: media})
		b.carrier.send(b.carrier.inside(req, "INVITE", 5, "body:"+sdpOf("hold")))
		res := b.carrier.expect("200")
		if res.tag("To") != req.tag("From") {
			t.Errorf("To-tag %s, want ours %s", res.tag("To"), req.tag("From"))
		}
		b.carrier.send(b.carrier.inside(req, "ACK", 5))
		b.carrier.silent(time.Minute)
		if d.isOver() || len(media.log()) != 3 {
			t.Errorf("over %v, media %q", d.isOver(), media.log())
		}
	})
}

func Test200ToReinviteIsRepeatedAndMissingAckEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		b.carrier.send(b.carrier.inside(req, "INVITE", 5, "body:"+testSDP))
		n := 0
		for {
			m, _ := b.carrier.read(time.Minute)
			if m.is("BYE") {
				b.carrier.reply(m, "200 OK")
				break
			}
			n++
		}
		if n < 10 {
			t.Errorf("200 sent %d times", n)
		}
		<-d.Done()
		if d.Ended().By != ByNoAck {
			t.Errorf("ended by %s", d.Ended().By)
		}
	})
}

func TestOfferlessReinviteTakesTheAnswerFromTheAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		_, req := b.answered(Invite{Media: media})
		b.carrier.send(b.carrier.inside(req, "INVITE", 5))
		if res := b.carrier.expect("200"); res.body != testOffer {
			t.Errorf("no offer in the 200: %q", res.body)
		}
		b.carrier.send(b.carrier.inside(req, "ACK", 5, "body:"+sdpOf("new")))
		time.Sleep(10 * orderGap)
		want := []string{"create offer", "answer - 7 7 IN IP4 10.0.0.9", "create offer", "answer - new 7 IN IP4 10.0.0.9"}
		if got := media.log(); !slices.Equal(got, want) {
			t.Errorf("media: %q", got)
		}
	})
}

func TestUnusableReinviteIs488AndTheCallGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		d.SetMedia(&testMedia{refuse: errors.New("video only")})
		b.carrier.send(b.carrier.inside(req, "INVITE", 5, "body:"+testSDP))
		res := b.carrier.expect("488")
		b.carrier.send(b.carrier.request("ACK", "sip:agent@"+agentAddr, "INVITE5", res.get("From"), res.get("To"), res.get("Call-ID"), 5))
		b.carrier.silent(time.Minute)
		if d.isOver() {
			t.Error("the dialog ended")
		}
	})
}

func TestReinviteGlareIs491(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		if _, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{}); err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200") // not acknowledged yet
		b.carrier.send(b.carrier.of(ok, "INVITE", "re1", 101, "body:"+testSDP))
		res := b.carrier.expect("491")
		b.carrier.send(b.carrier.of(res, "ACK", "re1", 101))
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		b.carrier.silent(time.Minute)
	})
	inBubble(t, func(t *testing.T) { // our own INVITE is under way
		b := testAgent(t, nil)
		b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		b.carrier.send(b.carrier.inside(req, "INVITE", 5, "body:"+testSDP))
		b.carrier.expect("491")
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "body:"+testSDP))
		b.carrier.expect("491")
	})
}

func TestUpdateWithAndWithoutOffer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		d, req := b.answered(Invite{Media: media})
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "body:"+sdpOf("u")))
		if res := b.carrier.expect("200"); res.body != testOffer {
			t.Errorf("answer %q", res.body)
		}
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6, "Contact: <sip:new@10.0.0.9:5070>"))
		if res := b.carrier.expect("200"); res.body != "" {
			t.Errorf("answer %q", res.body)
		}
		if got := d.RemoteAddr().String(); got != "10.0.0.9:5070" {
			t.Errorf("target %s", got)
		}
		if got := media.log(); len(got) != 3 {
			t.Errorf("media: %q", got)
		}
	})
}

func TestInfoAndOptionsInsideTheDialog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		got := make(chan string, 1)
		_, req := b.answered(Invite{OnInfo: func(kind string, body []byte) { got <- kind + " " + string(body) }})
		b.carrier.send(strings.Replace(b.carrier.inside(req, "INFO", 5, "body:Signal=5\r\n"), "application/sdp", "application/dtmf-relay", 1))
		b.carrier.expect("200")
		if s := <-got; s != "application/dtmf-relay Signal=5\r\n" {
			t.Errorf("INFO: %q", s)
		}
		b.carrier.send(b.carrier.inside(req, "OPTIONS", 6))
		if res := b.carrier.expect("200"); res.get("Allow") == "" {
			t.Error("no Allow")
		}
		b.carrier.send(b.carrier.inside(req, "MESSAGE", 7))
		b.carrier.expect("405")
	})
}

func TestRequestThatWasOvertakenIsServedFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		told := make(chan string, 2)
		d, req := b.answered(Invite{OnInfo: func(_ string, body []byte) { told <- string(body) }})
		b.carrier.send(b.carrier.inside(req, "INFO", 5, "body:first"))
		b.carrier.expect("200")
		b.carrier.send(b.carrier.inside(req, "BYE", 7))
		time.Sleep(10 * time.Millisecond)
		b.carrier.send(b.carrier.inside(req, "INFO", 6, "body:second"))
		for range 2 {
			b.carrier.expect("200")
		}
		<-d.Done()
		if first, second := <-told, <-told; first != "first" || second != "second" {
			t.Errorf("INFO: %q, %q", first, second)
		}
	})
}

func TestNumberThatIsLeftOutDelaysNothingForLong(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		b.carrier.send(b.carrier.inside(req, "OPTIONS", 5))
		b.carrier.expect("200")
		start := time.Now()
		b.carrier.send(b.carrier.inside(req, "BYE", 9))
		b.carrier.expect("200")
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("BYE answered after %s", took)
		}
		<-d.Done()
	})
}

func TestLowerCSeqIs500(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		b.carrier.send(b.carrier.inside(req, "INFO", 5))
		b.carrier.expect("200")
		b.carrier.send(b.carrier.inside(req, "BYE", 4))
		b.carrier.expect("500")
		if d.isOver() {
			t.Error("an old BYE ended the dialog")
		}
	})
}

func TestRetransmittedRequestInTheDialogIsNotDoubled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		n := 0
		_, req := b.answered(Invite{OnInfo: func(string, []byte) { n++ }})
		raw := b.carrier.inside(req, "INFO", 5)
		for range 4 {
			b.carrier.send(raw)
			if m, ok := b.carrier.read(time.Second); !ok || !m.is("200") {
				t.Fatalf("got %q", m.start)
			}
		}
		synctest.Wait()
		if n != 1 {
			t.Errorf("INFO delivered %d times", n)
		}
	})
}

func TestByeForUnknownDialogIs481(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, req := b.answered(Invite{})
		b.carrier.send(strings.Replace(b.carrier.inside(req, "BYE", 5), "Call-ID: ", "Call-ID: x", 1))
		b.carrier.expect("481")
		b.carrier.send(strings.ReplaceAll(b.carrier.inside(req, "BYE", 6), b.carrier.tag, "guessed"))
		b.carrier.expect("481")
		b.carrier.send(strings.ReplaceAll(b.carrier.inside(req, "INVITE", 7), req.tag("From"), "guessed"))
		b.carrier.expect("481")
	})
}

func TestByesThatCrossAreBothAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answered(Invite{})
		done := make(chan error, 1)
		go func() { done <- d.Bye(t.Context()) }()
		bye := b.carrier.expect("BYE")
		b.carrier.send(b.carrier.inside(req, "BYE", 5))
		b.carrier.expect("200")
		b.carrier.reply(bye, "481 Call/Transaction Does Not Exist")
		if err := <-done; err != nil {
			t.Errorf("Bye: %v", err)
		}
		if d.Ended().By != ByLocal {
			t.Errorf("ended by %s", d.Ended().By)
		}
	})
}

func TestUnansweredByeIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, _ := b.answered(Invite{})
		start := time.Now()
		if err := d.Bye(t.Context()); err == nil || time.Since(start) != txTimeout {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		time.Sleep(time.Second)
		if n := b.agent.calls.size(); n != 0 || b.journal.size() != 0 {
			t.Errorf("%d dialogs, %d records left", n, b.journal.size())
		}
	})
}

// deleting is a journal that has something happen while a dialog is deleted.
type deleting struct {
	*testJournal
	then func()
}

func (j *deleting) DeleteDialog(id string) {
	j.testJournal.DeleteDialog(id)
	if j.then != nil {
		j.then()
	}
}

func TestDialogWhoseInviteIsForgottenWhileItEndsIsNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		j := &deleting{testJournal: &testJournal{recs: map[string]DialogRecord{}}}
		b := testAgent(t, func(c *Config) { c.Journal = j })
		d, req := b.answered(Invite{})
		j.then = d.forgetOutgoing
		b.carrier.send(b.carrier.inside(req, "BYE", 5))
		b.carrier.expect("200")
		<-d.Done()
		synctest.Wait()
		if n := b.agent.calls.size(); n != 0 {
			t.Errorf("%d dialogs left", n)
		}
	})
}

func TestByeRightBehindThe200EndsTheCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK") // its description is waited for
		b.carrier.expect("ACK")
		b.carrier.send(b.carrier.inside(req, "BYE", 1))
		b.carrier.expect("200")
		if o := <-out; o.err == nil {
			<-o.d.Done()
		}
		b.carrier.silent(time.Minute) // no BYE of ours
	})
}

func TestByeBeforeTheAnswersDescriptionIsReadIsStillAnAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		var req message
		b.journal.saved = func(rec DialogRecord) {
			if rec.State == StateConfirmed {
				b.carrier.expect("ACK")
				b.carrier.send(b.carrier.inside(req, "BYE", 1))
				b.carrier.expect("200")
			}
		}
		out := b.invite(t.Context(), Invite{})
		req = b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		o := <-out
		if o.err != nil {
			t.Fatalf("a call that was answered and hung up at once: %v", o.err)
		}
		<-o.d.Done()
		if by := o.d.Ended().By; by != ByRemote {
			t.Errorf("ended by %s", by)
		}
		b.carrier.silent(time.Minute) // no BYE of ours
	})
}

func TestLooseRouteSetIsReversedForTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "Record-Route: <sip:10.0.0.20;lr>, <sip:10.0.0.9;lr;ftag=1>", "Contact: <sip:far@10.0.0.30:5062>", "body:"+testSDP)
		check := func(m message) {
			t.Helper()
			if m.uri() != "sip:far@10.0.0.30:5062" || !slices.Equal(m.all("Route"), []string{"<sip:10.0.0.9;lr;ftag=1>", "<sip:10.0.0.20;lr>"}) {
				t.Errorf("%s\nRoute %q", m.start, m.all("Route"))
			}
		}
		check(b.carrier.expect("ACK"))
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		// The target may change, the route set may not.
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "Record-Route: <sip:10.0.0.66;lr>", "Contact: <sip:far@10.0.0.30:5062>"))
		b.carrier.expect("200")
		go func() { _ = o.d.Bye(t.Context()) }()
		bye := b.carrier.expect("BYE")
		check(bye)
		b.carrier.reply(bye, "200 OK")
	})
}

func TestLooseRouteSetKeepsItsOrderForTheCalled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "Record-Route: <sip:10.0.0.9;lr>", "Record-Route: <sip:10.0.0.20;lr>", "Contact: <sip:far@10.0.0.30>", "body:"+testSDP))
		b.carrier.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := b.carrier.expect("200")
		if got := ok.all("Record-Route"); !slices.Equal(got, []string{"<sip:10.0.0.9;lr>", "<sip:10.0.0.20;lr>"}) {
			t.Errorf("Record-Route %q", got)
		}
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		go func() { _ = d.Bye(t.Context()) }()
		bye := b.carrier.expect("BYE")
		if bye.uri() != "sip:far@10.0.0.30" || !slices.Equal(bye.all("Route"), []string{"<sip:10.0.0.9;lr>", "<sip:10.0.0.20;lr>"}) {
			t.Errorf("%s\nRoute %q", bye.start, bye.all("Route"))
		}
		b.carrier.reply(bye, "200 OK")
	})
}

func TestStrictRouterComesFirstAndTheTargetLast(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "Record-Route: <sip:10.0.0.20;lr>, <sip:strict@10.0.0.9>", "Contact: <sip:far@10.0.0.30>", "body:"+testSDP)
		ack := b.carrier.expect("ACK")
		if ack.uri() != "sip:strict@10.0.0.9" || !slices.Equal(ack.all("Route"), []string{"<sip:10.0.0.20;lr>", "<sip:far@10.0.0.30>"}) {
			t.Errorf("%s\nRoute %q", ack.start, ack.all("Route"))
		}
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

func TestDialogWithAnAddressNobodyConfigured(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		gateway := newPeer(t, b.net, "10.0.0.77:5080")
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "Contact: <sip:gw@10.0.0.77:5080>", "body:"+testSDP)
		gateway.expect("ACK")
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		gateway.tag = b.carrier.tag
		gateway.send(gateway.inside(req, "BYE", 5))
		gateway.expect("200")
		<-o.d.Done()
		time.Sleep(txTimeout + time.Second)
		gateway.send(gateway.inside(req, "BYE", 6))
		gateway.silent(time.Minute) // a stranger again
	})
}

func TestIdleDialogHoldsNoGoroutineOrTimer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, _ := b.answered(Invite{})
		time.Sleep(time.Hour)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.out != nil || d.pending != nil || d.in != nil {
			t.Error("something is kept for a call that is long up")
		}
	})
}
