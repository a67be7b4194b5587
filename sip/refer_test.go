package sip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// referring is a dialog whose REFERs are accepted and handed over.
func referring(t *testing.T, b *bed) (d *Dialog, invite message, refers chan *Refer) {
	t.Helper()
	d, invite = b.answered(Invite{Ref: DialogRef{Call: "c1", Leg: "l1"}})
	refers = make(chan *Refer, 1)
	d.OnRefer(func(r *Refer) bool {
		refers <- r
		return true
	})
	return d, invite, refers
}

// told returns the status line and the state of the next NOTIFY, and confirms it.
func told(t *testing.T, p *peer) (fragment, state string, m message) {
	t.Helper()
	m = p.expect("NOTIFY")
	p.reply(m, "200 OK")
	if !strings.HasPrefix(m.get("Content-Type"), "message/sipfrag") {
		t.Errorf("content type %q", m.get("Content-Type"))
	}
	return strings.TrimSpace(m.body), m.get("Subscription-State"), m
}

func TestTransferIsAcceptedAndItsProgressToldInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, invite, refers := referring(t, b)
		d.OnRefer(func(r *Refer) bool {
			r.Notify(180) // before the 202 is out
			r.Notify(200)
			r.Notify(603) // behind the last word
			refers <- r
			return true
		})
		b.carrier.send(b.carrier.inside(invite, "REFER", 7, "Refer-To: \"Boris\" <sip:102@10.0.0.1;x=y>", "Referred-By: <sip:101@10.0.0.9>"))
		if res := b.carrier.expect("202"); res.get("Contact") == "" {
			t.Errorf("202 without Contact:\n%s", res.raw)
		}
		if r := <-refers; r.User != "102" || r.By != "101" || r.Replaces != nil {
			t.Errorf("refer %+v", r)
		}
		for _, want := range []struct{ fragment, state string }{
			{"SIP/2.0 100 Trying", "active;expires=180"},
			{"SIP/2.0 180 Ringing", "active;expires=180"},
			{"SIP/2.0 200 OK", "terminated;reason=noresource"},
		} {
			fragment, state, m := told(t, b.carrier)
			if fragment != want.fragment || state != want.state || m.get("Event") != "refer;id=7" {
				t.Errorf("told %q, %q, event %q; want %+v", fragment, state, m.get("Event"), want)
			}
		}
		b.carrier.silent(40 * time.Second)
	})
}

func TestWhereATransferLeadsIsRead(t *testing.T) {
	for value, want := range map[string]string{
		`"Anna <home>" <sip:102@10.0.0.1>`:   "102",
		"sip:102@10.0.0.1;user=phone":        "102",
		"<sip:102@10.0.0.1;method=INVITE>":   "102",
		"<tel:+79990000001;phone-context=x>": "+79990000001",
	} {
		if user, _, ok := readReferTo(value); !ok || user != want {
			t.Errorf("%s leads to %q (%v), want %s", value, user, ok, want)
		}
	}
}

func TestTransferWithoutSubscriptionIsNotTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_, invite, refers := referring(t, b)
		b.carrier.send(b.carrier.inside(invite, "REFER", 7, "r: tel:+79990000001;phone-context=x", "Refer-Sub: false"))
		if res := b.carrier.expect("202"); res.get("Refer-Sub") != "false" {
			t.Errorf("Refer-Sub %q", res.get("Refer-Sub"))
		}
		r := <-refers
		if r.User != "+79990000001" {
			t.Errorf("user %q", r.User)
		}
		r.Notify(200)
		b.carrier.silent(40 * time.Second)
	})
}

func TestTransferThatNobodyWantsOrUnderstandsIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, status string
		headers      []string
		mute         bool // nobody asks for REFERs
		refuse       bool
	}{
		{name: "nobody asks", status: "603", headers: []string{"Refer-To: <sip:102@10.0.0.1>"}, mute: true},
		{name: "refused", status: "603", headers: []string{"Refer-To: <sip:102@10.0.0.1>"}, refuse: true},
		{name: "no target", status: "400"},
		{name: "two targets", status: "400", headers: []string{"Refer-To: <sip:102@10.0.0.1>", "Refer-To: <sip:103@10.0.0.1>"}},
		{name: "a web page", status: "400", headers: []string{"Refer-To: <http://example.com>"}},
		{name: "not closed", status: "400", headers: []string{"Refer-To: <sip:102@10.0.0.1"}},
		{name: "another request than a call", status: "400", headers: []string{"Refer-To: <sip:102@10.0.0.1;method=BYE>"}},
		{name: "nobody", status: "404", headers: []string{"Refer-To: <sip:10.0.0.1>"}},
		{name: "a dialog of others", status: "404", headers: []string{"Refer-To: <sip:102@10.0.0.1?Replaces=abc%3Bto-tag%3D1%3Bfrom-tag%3D2>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := testAgent(t, nil)
				d, invite := b.answered(Invite{})
				if !c.mute {
					d.OnRefer(func(*Refer) bool {
						if !c.refuse {
							t.Error("asked")
						}
						return false
					})
				}
				b.carrier.send(b.carrier.inside(invite, "REFER", 7, c.headers...))
				b.carrier.expect(c.status)
				b.carrier.silent(time.Second)
			})
		})
	}
}

func TestTransferWithConsultationNamesTheOtherDialog(t *testing.T) {
	for _, way := range []string{"%3Bto-tag%3DOURS%3Bfrom-tag%3DTHEIRS", "%3Bfrom-tag%3DOURS%3Bto-tag%3DTHEIRS", "%3bFROM-TAG%3dOURS%3bto-tag%3dTHEIRS%3bearly-only"} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, nil)
			_, first, refers := referring(t, b)
			_, second := b.answered(Invite{Ref: DialogRef{Call: "c2", Leg: "l2"}})
			replaces := second.get("Call-ID") + strings.NewReplacer("OURS", second.tag("From"), "THEIRS", b.carrier.tag).Replace(way)
			b.carrier.send(b.carrier.inside(first, "REFER", 7, "Refer-To: <sip:102@10.0.0.1?Replaces="+replaces+">"))
			b.carrier.expect("202")
			if r := <-refers; r.Replaces == nil || *r.Replaces != (DialogRef{Call: "c2", Leg: "l2"}) || r.User != "102" {
				t.Errorf("refer %+v", r)
			}
			told(t, b.carrier)
		})
	}
}

func TestTransferCannotReplaceADialogByHalfItsTags(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, first, _ := referring(t, b)
		_, second := b.answered(Invite{})
		for _, replaces := range []string{
			second.get("Call-ID") + "%3Bto-tag%3D" + second.tag("From"),
			second.get("Call-ID") + "%3Bto-tag%3D" + second.tag("From") + "%3Bfrom-tag%3Dguess",
			"other%3Bto-tag%3D" + second.tag("From") + "%3Bfrom-tag%3D" + b.carrier.tag,
			d.CallID() + "%3Bto-tag%3D" + first.tag("From") + "%3Bfrom-tag%3D" + b.carrier.tag, // itself
		} {
			if got := b.agent.replaced(unescapePercent(replaces)); got != nil && got != d {
				t.Errorf("%s finds a dialog", replaces)
			}
		}
		b.carrier.send(b.carrier.inside(first, "REFER", 7, "Refer-To: <sip:102@10.0.0.1?Replaces="+
			d.CallID()+"%3Bto-tag%3D"+first.tag("From")+"%3Bfrom-tag%3D"+b.carrier.tag+">"))
		b.carrier.expect("404")
	})
}

func TestNothingIsToldOfATransferWhenTheDialogIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		d, invite, refers := referring(t, b)
		b.carrier.send(b.carrier.inside(invite, "REFER", 7, "Refer-To: <sip:102@10.0.0.1>"))
		b.carrier.expect("202")
		told(t, b.carrier)
		b.carrier.send(b.carrier.inside(invite, "BYE", 8))
		b.carrier.expect("200")
		synctest.Wait()
		if !d.isOver() {
			t.Error("not over")
		}
		(<-refers).Notify(200)
		b.carrier.silent(40 * time.Second)
	})
}

func FuzzReferTo(f *testing.F) {
	for _, s := range []string{
		"<sip:102@10.0.0.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>", "tel:+7999", "\"x\" <sips:1@h;p=q?a=b&replaces=%zz>", "<", "sip:?",
	} {
		f.Add(s)
	}
	a := &Agent{}
	a.calls.init()
	f.Fuzz(func(t *testing.T, s string) {
		user, replaces, ok := readReferTo(s)
		if !ok && (user != "" || replaces != "") {
			t.Errorf("%q: %q, %q of what was not understood", s, user, replaces)
		}
		if strings.ContainsAny(user+replaces, "\r\n\x00") {
			t.Errorf("%q: control characters in %q, %q", s, user, replaces)
		}
		if a.replaced(replaces) != nil {
			t.Error("found a dialog where there is none")
		}
	})
}
