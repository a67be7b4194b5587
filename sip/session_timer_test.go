package sip

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answeredWith is answered with more headers in the 200.
func (b *bed) answeredWith(inv Invite, extra ...string) (*Dialog, message) {
	b.t.Helper()
	out := b.invite(b.t.Context(), inv)
	req := b.carrier.expect("INVITE")
	b.carrier.reply(req, "200 OK", append(extra, "body:"+testSDP)...)
	b.carrier.expect("ACK")
	o := <-out
	if o.err != nil {
		b.t.Fatal(o.err)
	}
	return o.d, req
}

// after fails unless something was sent that long after start.
func after(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got < want || got > want+10*time.Millisecond {
		t.Errorf("%s after %s, want %s", what, got, want)
	}
}

const updater = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"

func TestOurInviteOffersASessionTimer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		if req.get("Supported") != "timer" || req.get("Session-Expires") != "1800" || req.get("Min-SE") != "90" {
			t.Errorf("INVITE:\n%s", req.raw)
		}
	})
}

func TestTimerOfAnIncomingCallFollowsTable2(t *testing.T) {
	for _, tc := range []struct{ name, headers, expires, require string }{
		{"nothing", "", "", ""},
		{"knows timers, asks for none", "Supported: timer", "", ""},
		{"left open", "Supported: 100rel, Timer|Session-Expires: 600", "600;refresher=uac", "timer"},
		{"compact, open", "k: timer|x: 600", "600;refresher=uac", "timer"},
		{"caller", "Supported: timer|session-expires: 600 ; Refresher = UAC", "600;refresher=uac", "timer"},
		{"called", "Supported: timer|Session-Expires: 600;refresher=uas", "600;refresher=uas", ""},
		{"a proxy asked", "Session-Expires: 600", "600;refresher=uas", ""},
		{"a proxy asked for too little", "Session-Expires: 60", "90;refresher=uas", ""},
		{"a long one", "Supported: timer|Session-Expires: 7200|Min-SE: 3600", "7200;refresher=uac", "timer"},
		{"more than a number holds", "Supported: timer|Session-Expires: 99999999999", "4294967295;refresher=uac", "timer"},
		{"malformed", "Supported: timer|Session-Expires: soon;refresher=uac", "", ""},
		{"who nobody knows", "Supported: timer|Session-Expires: 600;refresher=proxy", "600;refresher=uac", "timer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b, calls := inboundBed(t)
				b.carrier.send(b.carrier.initial("1", append(strings.FieldsFunc(tc.headers, func(r rune) bool { return r == '|' }), "body:"+testSDP)...))
				b.carrier.expect("100")
				if _, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{}); err != nil {
					t.Fatal(err)
				}
				ok := b.carrier.expect("200")
				if ok.get("Session-Expires") != tc.expires || ok.get("Require") != tc.require || ok.get("Supported") != "timer" {
					t.Errorf("Session-Expires %q, Require %q", ok.get("Session-Expires"), ok.get("Require"))
				}
				b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
			})
		})
	}
}

func TestTooShortSessionIs422(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "Supported: timer", "Session-Expires: 89", "body:"+testSDP))
		res := b.carrier.expect("422")
		if res.get("Min-SE") != "90" {
			t.Errorf("Min-SE %q", res.get("Min-SE"))
		}
		b.carrier.send(b.carrier.of(res, "ACK", "inv1", 100))
		if len(calls) != 0 {
			t.Error("reached the handler")
		}
	})
	inBubble(t, func(t *testing.T) { // in the dialog
		b := testAgent(t, nil)
		media := &testMedia{}
		d, req := b.answered(Invite{Media: media})
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "k: timer", "x: 30", "body:"+testSDP))
		b.carrier.expect("422")
		b.carrier.send(b.carrier.inside(req, "INVITE", 6, "k: timer", "x: 30", "body:"+testSDP))
		res := b.carrier.expect("422")
		b.carrier.send(b.carrier.request("ACK", "sip:agent@"+agentAddr, "INVITE6", res.get("From"), res.get("To"), res.get("Call-ID"), 6))
		if d.isOver() || len(media.log()) != 2 {
			t.Errorf("over %v, media %q", d.isOver(), media.log())
		}
	})
}

func Test422MakesUsAskOnceMoreForALongerSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		first := b.carrier.expect("INVITE")
		b.carrier.reply(first, "422 Session Interval Too Small", "Min-SE: 3600")
		b.carrier.expect("ACK")
		second := b.carrier.expect("INVITE")
		if second.get("Session-Expires") != "3600" || second.get("Min-SE") != "3600" || second.get("Call-ID") != first.get("Call-ID") ||
			second.get("From") != first.get("From") || second.get("CSeq") == first.get("CSeq") || second.get("Via") == first.get("Via") {
			t.Errorf("second INVITE:\n%s", second.raw)
		}
		b.carrier.reply(second, "422 Session Interval Too Small", "Min-SE: 7200")
		b.carrier.expect("ACK")
		if f := failure(t, <-out); f.Status != 422 {
			t.Errorf("%v", f)
		}
	})
	for _, answer := range []string{"X-None: 1", "Min-SE: 90", "Min-SE: x", "Min-SE: 86401"} { // asks for nothing we do not do, or for too much
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, nil)
			out := b.invite(t.Context(), Invite{})
			b.carrier.reply(b.carrier.expect("INVITE"), "422 Session Interval Too Small", answer)
			b.carrier.expect("ACK")
			if f := failure(t, <-out); f.Status != 422 {
				t.Errorf("%v", f)
			}
			b.carrier.silent(time.Minute)
		})
	}
}

func TestWeRefreshAtHalfByUpdate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answeredWith(Invite{}, updater, "Session-Expires: 600;refresher=uac", "Require: timer")
		for i, interval := range []time.Duration{300 * time.Second, 300 * time.Second, 100 * time.Second} {
			start := time.Now()
			up := b.carrier.within(time.Hour, "UPDATE")
			after(t, "UPDATE", start, interval)
			if up.body != "" || !strings.HasSuffix(up.get("Session-Expires"), ";refresher=uac") || up.get("Supported") != "timer" ||
				up.get("Contact") != req.get("Contact") || up.get("Min-SE") != "90" {
				t.Errorf("UPDATE:\n%s", up.raw)
			}
			if i == 1 { // a shorter one, and another target
				b.carrier.reply(up, "200 OK", "x: 200;refresher=uac", "Contact: <sip:peer@10.0.0.9:5070>")
				synctest.Wait()
				b.carrier = newPeer(t, b.net, "10.0.0.9:5070")
				continue
			}
			b.carrier.reply(up, "200 OK", "Session-Expires: 600;refresher=uac")
		}
		if d.isOver() {
			t.Error("over")
		}
	})
}

func TestWeRefreshByReinviteWithTheSameDescription(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		d, req := b.answeredWith(Invite{Media: media}, "Allow: INVITE, ACK, BYE", "Session-Expires: 600")
		start := time.Now()
		re := b.carrier.within(time.Hour, "INVITE")
		after(t, "re-INVITE", start, 300*time.Second)
		if re.body != req.body || re.tag("To") != b.carrier.tag || re.get("Call-ID") != req.get("Call-ID") || re.get("Session-Expires") != "600;refresher=uac" {
			t.Errorf("re-INVITE:\n%s", re.raw)
		}
		b.carrier.reply(re, "100 Trying")
		ok := b.carrier.response(re, "200 OK", "Session-Expires: 600;refresher=uac", "body:"+sdpOf("re"))
		b.carrier.send(ok)
		ack := b.carrier.expect("ACK")
		if n, _, _ := strings.Cut(re.get("CSeq"), " "); ack.get("CSeq") != n+" ACK" {
			t.Errorf("ACK with CSeq %s to %s", ack.get("CSeq"), re.get("CSeq"))
		}
		b.carrier.send(ok) // its ACK was lost
		if m, ok := b.carrier.read(time.Second); !ok || m.raw != ack.raw {
			t.Errorf("to the repeated 200: %q", m.start)
		}
		if got := media.log(); got[len(got)-1] != "answer - re 7 IN IP4 10.0.0.9" {
			t.Errorf("media %q", got)
		}
		if rec := b.journal.only(t); !strings.HasPrefix(re.get("CSeq"), seqText(rec.CSeq)+" ") {
			t.Errorf("journalled CSeq %d, the re-INVITE has %s", rec.CSeq, re.get("CSeq"))
		}
		go func() { _ = d.Bye(t.Context()) }()
		bye := b.carrier.expect("BYE")
		b.carrier.reply(bye, "200 OK")
	})
}

func TestPeerThatDoesNotRefreshLosesTheCall(t *testing.T) {
	for expires, want := range map[string]time.Duration{"1800": 1768 * time.Second, "90": 60 * time.Second} {
		inBubble(t, func(t *testing.T) { // it called
			b, calls := inboundBed(t)
			b.carrier.send(b.carrier.initial("1", "Supported: timer", "Session-Expires: "+expires+";refresher=uac", "body:"+testSDP))
			b.carrier.expect("100")
			c := <-calls
			d, err := c.in.Answer(t.Context(), &testMedia{}, DialogRef{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			b.carrier.send(b.carrier.of(b.carrier.expect("200"), "ACK", "ack1", 100))
			lost(t, b, d, start, want, "did not refresh the call within")
			if e, ok := errors.AsType[Ended](context.Cause(c.ctx)); !ok || e.By != ByTimeout {
				t.Errorf("cause %v", context.Cause(c.ctx))
			}
		})
		inBubble(t, func(t *testing.T) { // we did
			b := testAgent(t, nil)
			d, _ := b.answeredWith(Invite{}, "Session-Expires: "+expires+";refresher=UAS")
			lost(t, b, d, time.Now(), want, "did not refresh the call within")
		})
	}
}

// lost expects the BYE of a lost session.
func lost(t *testing.T, b *bed, d *Dialog, start time.Time, want time.Duration, why string) {
	t.Helper()
	bye := b.carrier.within(2*time.Hour, "BYE")
	after(t, "BYE", start, want)
	if !strings.Contains(bye.get("Reason"), "Q.850;cause=102") {
		t.Errorf("Reason %q", bye.get("Reason"))
	}
	b.carrier.reply(bye, "200 OK")
	<-d.Done()
	if e := d.Ended(); e.By != ByTimeout || !strings.Contains(e.Error(), why) {
		t.Errorf("ended by %s: %v", e.By, e)
	}
	time.Sleep(10 * orderGap)
	if b.journal.size() != 0 {
		t.Error("still journalled")
	}
}

func TestPeerThatRefreshesKeepsTheCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answeredWith(Invite{}, "Session-Expires: 600;refresher=uas")
		for i, refresh := range []struct{ method, headers, want string }{
			{"UPDATE", "Supported: timer|Session-Expires: 600;refresher=uac", "600;refresher=uac"},
			{"INVITE", "Supported: timer|Session-Expires: 600;refresher=uac", "600;refresher=uac"},
			{"UPDATE", "Supported: timer", "600;refresher=uac"}, // it forgot to ask, the timer runs on
		} {
			time.Sleep(500 * time.Second)
			b.carrier.send(b.carrier.inside(req, refresh.method, 5+i, append(strings.Split(refresh.headers, "|"), "body:"+testSDP)...))
			if ok := b.carrier.expect("200"); ok.get("Session-Expires") != refresh.want || ok.get("Require") != "timer" {
				t.Errorf("%d: %q", i, ok.get("Session-Expires"))
			}
			if refresh.method == "INVITE" {
				b.carrier.send(b.carrier.inside(req, "ACK", 5+i))
			}
		}
		start := time.Now()
		lost(t, b, d, start, 568*time.Second, "9m28s")
	})
}

func TestWhoRefreshesMayChange(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, req := b.answeredWith(Invite{}, updater, "Session-Expires: 600;refresher=uas")
		time.Sleep(time.Minute)
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "Supported: timer", "Session-Expires: 600;refresher=uas"))
		if ok := b.carrier.expect("200"); ok.get("Session-Expires") != "600;refresher=uas" || ok.get("Require") != "" {
			t.Errorf("%q", ok.get("Session-Expires"))
		}
		start := time.Now()
		up := b.carrier.within(time.Hour, "UPDATE")
		after(t, "UPDATE", start, 300*time.Second)
		b.carrier.reply(up, "200 OK", "Session-Expires: 600;refresher=uas") // now it wants to
		b.carrier.silent(500 * time.Second)
		b.carrier.send(b.carrier.inside(req, "UPDATE", 6)) // says nothing of timers any more: we have to
		if ok := b.carrier.expect("200"); ok.get("Session-Expires") != "600;refresher=uas" {
			t.Errorf("%q", ok.get("Session-Expires"))
		}
		start = time.Now()
		up = b.carrier.within(time.Hour, "UPDATE")
		after(t, "UPDATE", start, 300*time.Second)
		b.carrier.reply(up, "200 OK") // ends the timer, RFC 4028 section 7.2
		b.carrier.silent(3 * time.Hour)
	})
}

func TestRefreshThatNobodyAnswersEndsTheCall(t *testing.T) {
	for _, allow := range []string{updater, "X-Allow: none"} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, nil)
			d, _ := b.answeredWith(Invite{}, allow, "Session-Expires: 600;refresher=uac")
			start := time.Now()
			for {
				m, _ := b.carrier.read(time.Hour)
				if m.is("BYE") {
					after(t, "BYE", start, 332*time.Second)
					b.carrier.reply(m, "481 Call/Transaction Does Not Exist")
					break
				}
			}
			<-d.Done()
			if e := d.Ended(); e.By != ByTimeout || !strings.Contains(e.Error(), "no response for 32s") {
				t.Errorf("ended %v", e)
			}
		})
	}
	inBubble(t, func(t *testing.T) { // rings for ever
		b := testAgent(t, nil)
		d, _ := b.answeredWith(Invite{}, "Session-Expires: 600;refresher=uac")
		start := time.Now()
		b.carrier.reply(b.carrier.within(time.Hour, "INVITE"), "180 Ringing")
		b.carrier.reply(b.carrier.within(time.Hour, "BYE"), "200 OK")
		after(t, "BYE", start, 332*time.Second)
		<-d.Done()
	})
}

func TestRefreshThatCannotBeSentIsTriedUntilTheSessionIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, _ := b.answeredWith(Invite{}, updater, "Session-Expires: 600;refresher=uac")
		start := time.Now()
		b.agent.deaf.Store(true)
		<-d.Done()
		after(t, "end", start, 568*time.Second)
		if e := d.Ended(); e.By != ByTimeout || !strings.Contains(e.Error(), "could not be asked") {
			t.Errorf("ended %v", e)
		}
	})
}

func TestRefreshRefusedWith481Or408EndsTheCall(t *testing.T) {
	for _, status := range []string{"481 Call/Transaction Does Not Exist", "408 Request Timeout"} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, nil)
			d, _ := b.answeredWith(Invite{}, updater, "Session-Expires: 600;refresher=uac")
			start := time.Now()
			b.carrier.reply(b.carrier.within(time.Hour, "UPDATE"), status)
			lost(t, b, d, start, 300*time.Second, status)
		})
	}
}

func TestRefusedRefreshDoesNotEndTheCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, _ := b.answeredWith(Invite{}, updater, "Session-Expires: 800;refresher=uac")
		b.carrier.reply(b.carrier.within(time.Hour, "UPDATE"), "405 Method Not Allowed")
		start := time.Now()
		for i := range 12 { // past the expiry
			re := b.carrier.within(time.Hour, "INVITE")
			if i > 0 {
				after(t, "re-INVITE", start, 100*time.Second)
			}
			b.carrier.reply(re, "503 Service Unavailable")
			b.carrier.expect("ACK")
			start = time.Now()
		}
		re := b.carrier.within(time.Hour, "INVITE")
		b.carrier.reply(re, "500 Server Internal Error", "Retry-After: 7")
		b.carrier.expect("ACK")
		start = time.Now()
		re = b.carrier.within(time.Hour, "INVITE")
		after(t, "re-INVITE", start, 7*time.Second)
		b.carrier.reply(re, "422 Session Interval Too Small", "Min-SE: 900")
		b.carrier.expect("ACK")
		re = b.carrier.within(time.Second, "INVITE")
		if re.get("Session-Expires") != "900;refresher=uac" || re.get("Min-SE") != "900" {
			t.Errorf("re-INVITE:\n%s", re.raw)
		}
		b.carrier.reply(re, "200 OK", "Session-Expires: 900;refresher=uac", "body:"+testSDP)
		b.carrier.expect("ACK")
		start = time.Now()
		b.carrier.within(time.Hour, "INVITE")
		after(t, "re-INVITE", start, 450*time.Second)
		if d.isOver() {
			t.Error("over")
		}
	})
}

func TestRefreshThatIsAlwaysTooShortIsAskedForOnceMoreAndThenSeldom(t *testing.T) {
	for _, allow := range []string{updater, "X-Allow: none"} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, nil)
			d, _ := b.answeredWith(Invite{}, allow, "Session-Expires: 800;refresher=uac")
			method := "INVITE"
			if allow == updater {
				method = "UPDATE"
			}
			refuse := func(least string) {
				b.carrier.reply(b.carrier.within(time.Hour, method), "422 Session Interval Too Small", "Min-SE: "+least)
				if method == "INVITE" {
					b.carrier.expect("ACK")
				}
			}
			refuse("900")
			start := time.Now()
			for i := range 10 {
				refuse(strconv.Itoa(1000 + i))
				after(t, "refresh", start, time.Duration(min(i, 1))*100*time.Second)
				start = time.Now()
			}
			refuse("86401")
			if re := b.carrier.within(time.Hour, method); re.get("Min-SE") != "1009" {
				t.Errorf("Min-SE %q after one of more than a day", re.get("Min-SE"))
			}
			if d.isOver() {
				t.Error("over")
			}
		})
	}
}

func TestRefreshIsSignedWhereAPasswordIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].Username, c.Trunks[0].Password = "u", "p" })
		_, _ = b.answeredWith(Invite{}, "Session-Expires: 600;refresher=uac")
		re := b.carrier.within(time.Hour, "INVITE")
		b.carrier.reply(re, "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="r", nonce="n"`)
		b.carrier.expect("ACK")
		signed := b.carrier.within(time.Second, "INVITE")
		if signed.get("Proxy-Authorization") == "" || signed.get("CSeq") == re.get("CSeq") {
			t.Errorf("re-INVITE:\n%s", signed.raw)
		}
		b.carrier.reply(signed, "200 OK", "Session-Expires: 600;refresher=uac", "body:"+testSDP)
		if ack := b.carrier.expect("ACK"); ack.get("Proxy-Authorization") != signed.get("Proxy-Authorization") {
			t.Errorf("ACK:\n%s", ack.raw)
		}
	})
}

func TestRefreshOfACallThatWasPlacedToUsIsSignedToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 1), make(chan struct{})
		defer close(release)
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			c.Trunks[0].Username, c.Trunks[0].Password = "u", "p"
		})
		b.carrier.send(b.carrier.initial("1", updater, "Session-Expires: 600", "body:"+testSDP))
		b.carrier.expect("100")
		if _, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{}); err != nil {
			t.Fatal(err)
		}
		b.carrier.send(b.carrier.of(b.carrier.expect("200"), "ACK", "ack1", 100))
		up := b.carrier.within(time.Hour, "UPDATE")
		b.carrier.reply(up, "401 Unauthorized", `WWW-Authenticate: Digest realm="r", nonce="n"`)
		if signed := b.carrier.within(time.Second, "UPDATE"); signed.get("Authorization") == "" {
			t.Errorf("UPDATE:\n%s", signed.raw)
		}
	})
}

func TestHangUpEndsTheSessionTimer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answeredWith(Invite{}, updater, "Session-Expires: 600;refresher=uac")
		b.carrier.send(b.carrier.inside(req, "BYE", 5))
		b.carrier.expect("200")
		<-d.Done()
		b.carrier.silent(time.Hour)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.session != nil {
			t.Error("the timer runs on")
		}
	})
}

func seqText(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
