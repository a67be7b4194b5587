package sip

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestGlareIsTriedAgainAfterABackOff(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 8 {
		for _, allow := range []string{updater, "X-Allow: none"} {
			inBubble(t, func(t *testing.T) { // the Call-ID is ours
				b := testAgent(t, nil)
				d, _ := b.answeredWith(Invite{}, allow, "Session-Expires: 600;refresher=uac")
				seen[glare(t, b, 2100*time.Millisecond, 4*time.Second)] = true
				if d.isOver() {
					t.Error("over")
				}
			})
			inBubble(t, func(t *testing.T) { // the Call-ID is the peer's
				b, calls := inboundBed(t)
				b.carrier.send(b.carrier.initial("1", allow, "Session-Expires: 600", "body:"+testSDP))
				b.carrier.expect("100")
				if _, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{}); err != nil {
					t.Fatal(err)
				}
				b.carrier.send(b.carrier.of(b.carrier.expect("200"), "ACK", "ack1", 100))
				glare(t, b, 0, 2*time.Second)
			})
		}
	}
	if len(seen) < 4 {
		t.Errorf("the back-off is not random: %v", seen)
	}
}

// glare refuses one refresh with 491 and answers the next.
func glare(t *testing.T, b *bed, least, most time.Duration) time.Duration {
	t.Helper()
	refresh := func() message {
		m, ok := b.carrier.read(time.Hour)
		if !ok || !m.is("UPDATE") && !m.is("INVITE") {
			t.Fatalf("no refresh but %q", m.start)
		}
		return m
	}
	m := refresh()
	b.carrier.reply(m, "491 Request Pending")
	if m.is("INVITE") {
		b.carrier.expect("ACK")
	}
	start := time.Now()
	m = refresh()
	took := time.Since(start)
	if took < least || took > most+10*time.Millisecond {
		t.Errorf("tried again after %s", took)
	}
	b.carrier.reply(m, "200 OK", "Session-Expires: 600;refresher=uac", "body:"+testSDP)
	if m.is("INVITE") {
		b.carrier.expect("ACK")
	}
	return took.Round(10 * time.Millisecond)
}

func TestOffersThatMeetOurReinviteAre491(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, req := b.answeredWith(Invite{}, "Session-Expires: 600;refresher=uac")
		re := b.carrier.within(time.Hour, "INVITE")
		b.carrier.send(b.carrier.inside(req, "UPDATE", 5, "body:"+testSDP))
		b.carrier.expect("491")
		b.carrier.send(b.carrier.inside(req, "INVITE", 6, "body:"+testSDP))
		res := b.carrier.expect("491")
		b.carrier.send(b.carrier.request("ACK", "sip:agent@"+agentAddr, "INVITE6", res.get("From"), res.get("To"), res.get("Call-ID"), 6))
		b.carrier.send(b.carrier.inside(req, "UPDATE", 7)) // no offer
		b.carrier.expect("200")
		b.carrier.reply(re, "200 OK", "Session-Expires: 600;refresher=uac", "body:"+testSDP)
		b.carrier.expect("ACK")
		b.carrier.send(b.carrier.inside(req, "UPDATE", 8, "body:"+testSDP))
		b.carrier.expect("200")
	})
}

func TestOurReinviteWaitsForTheirs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, req := b.answeredWith(Invite{}, "Session-Expires: 600;refresher=uac")
		time.Sleep(299 * time.Second)
		raw := b.carrier.inside(req, "INVITE", 5, "body:"+testSDP)
		b.carrier.send(raw)
		b.carrier.expect("200") // and refreshes the session; its ACK is late
		b.carrier.silent(10 * time.Second)
		b.carrier.send(b.carrier.inside(req, "ACK", 5))
		b.carrier.within(300*time.Second, "INVITE")
	})
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, req := b.answeredWith(Invite{}, "Session-Expires: 600;refresher=uac")
		slow := &slowMedia{gate: make(chan struct{})}
		d.SetMedia(slow)
		time.Sleep(299 * time.Second)
		b.carrier.send(b.carrier.inside(req, "INVITE", 5, "body:"+testSDP))
		b.carrier.expect("100")
		b.carrier.silent(30 * time.Second) // our own is due and held back
		close(slow.gate)
		b.carrier.expect("200")
		synctest.Wait()
		b.carrier.send(b.carrier.inside(req, "ACK", 5))
		b.carrier.within(301*time.Second, "INVITE")
	})
}
