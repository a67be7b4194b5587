package sip

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestManyProvisionalsDoNotEndTheCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		var got []Progress
		out := b.invite(t.Context(), Invite{OnProgress: func(p Progress) { got = append(got, p) }})
		req := b.carrier.expect("INVITE")
		for range 30 {
			b.carrier.reply(req, "180 Ringing")
			time.Sleep(time.Second)
		}
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
		if len(got) != 30 {
			t.Errorf("%d reports, want 30", len(got))
		}
	})
}

func TestEarlyMediaOf183IsAcceptedOncePerDescription(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		var got []Progress
		out := b.invite(t.Context(), Invite{Media: media, OnProgress: func(p Progress) { got = append(got, p) }})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		b.carrier.reply(req, "183 Session Progress", "body:"+sdpOf("1"))
		b.carrier.reply(req, "183 Session Progress", "body:"+sdpOf("1"))
		b.carrier.reply(req, "183 Session Progress", "body:"+sdpOf("2"))
		time.Sleep(time.Second)
		b.carrier.reply(req, "200 OK") // the description of the 183 stays
		b.carrier.expect("ACK")
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
		tag := b.carrier.tag
		want := []Progress{{Status: 180, Tag: tag}, {183, true, tag}, {183, true, tag}, {183, true, tag}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got := media.log(); !slices.Equal(got, []string{"create offer", "answer - 1 7 IN IP4 10.0.0.9", "answer - 2 7 IN IP4 10.0.0.9"}) {
			t.Errorf("media: %q", got)
		}
	})
}

func TestLate183GivesA2xxItsDescription(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media := &testMedia{}
		out := b.invite(t.Context(), Invite{Media: media})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "100 Trying")
		b.carrier.reply(req, "200 OK")
		b.carrier.expect("ACK") // not held up
		time.Sleep(20 * time.Millisecond)
		b.carrier.reply(req, "183 Session Progress", "body:"+testSDP)
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
		if got := media.log(); len(got) != 2 {
			t.Errorf("media: %q", got)
		}
	})
}

func Test2xxWithoutAnyDescriptionIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		start := time.Now()
		b.carrier.reply(req, "200 OK")
		b.carrier.expect("ACK")
		bye := b.carrier.expect("BYE")
		if d := time.Since(start); d != lateAnswer {
			t.Errorf("BYE after %s", d)
		}
		b.carrier.reply(bye, "200 OK")
		if f := failure(t, <-out); f.Kind != BadMedia {
			t.Errorf("%v", f)
		}
	})
}

func TestUnusableAnswerIsAckedAndEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{Media: &testMedia{refuse: errors.New("no common codec")}})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		bye := b.carrier.expect("BYE")
		if !strings.HasPrefix(bye.get("Reason"), "SIP;cause=488") {
			t.Errorf("Reason: %s", bye.get("Reason"))
		}
		b.carrier.reply(bye, "200 OK")
		if f := failure(t, <-out); f.Kind != BadMedia || f.Err == nil {
			t.Errorf("%v", f)
		}
	})
}

func TestLateProvisionalAfterTheAnswerChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		media, told := &testMedia{}, 0
		d, req := b.answered(Invite{Media: media, OnProgress: func(Progress) { told++ }})
		b.carrier.reply(req, "180 Ringing")
		late := b.carrier.response(req, "183 Session Progress", "body:"+sdpOf("late"))
		b.carrier.send(late)
		b.carrier.send(strings.Replace(late, b.carrier.tag, "fork", 1))
		b.carrier.silent(time.Minute)
		if got := media.log(); len(got) != 2 || told != 0 || d.isOver() {
			t.Errorf("media %q, told %d times, over %v", got, told, d.isOver())
		}
		if rec := b.journal.only(t); rec.RemoteTag != b.carrier.tag || rec.State != StateConfirmed {
			t.Errorf("record %+v", rec)
		}
	})
}
