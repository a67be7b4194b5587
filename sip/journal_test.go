package sip

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestInviteWaitsForTheJournal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.journal.block = make(chan struct{})
		out := b.invite(t.Context(), Invite{Ref: DialogRef{Call: "call", Leg: "leg"}})
		b.carrier.silent(3 * time.Second)
		rec := b.journal.only(t)
		close(b.journal.block)
		req := b.carrier.expect("INVITE")
		if rec.CallID != req.get("Call-ID") || rec.LocalTag != req.tag("From") || !strings.Contains(req.get("Via"), rec.Branch) ||
			rec.Role != RoleUAC || rec.State != StateEarly || rec.Ref != (DialogRef{"call", "leg"}) {
			t.Errorf("record %+v\n%s", rec, req.raw)
		}
		b.carrier.reply(req, "180 Ringing")
		b.carrier.reply(req, "180 Ringing")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		rec = b.journal.only(t)
		if rec.State != StateConfirmed || rec.RemoteTag != b.carrier.tag || rec.ID != o.d.ID() {
			t.Errorf("record %+v", rec)
		}
		go func() { _ = o.d.Bye(t.Context()) }()
		bye := b.carrier.expect("BYE")
		b.journal.only(t) // until the BYE is answered
		b.carrier.reply(bye, "200 OK")
		time.Sleep(time.Second)
		if got, want := b.journal.entries(), []string{"save uac early", "save uac early", "save uac confirmed", "delete"}; !slices.Equal(got, want) {
			t.Errorf("journal %q, want %q", got, want)
		}
	})
}

func TestAnsweringDoesNotWaitForTheJournal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.journal.block = make(chan struct{})
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

func TestInviteThatCannotBeJournalledIsNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.journal.fail = errors.New("disk full")
		f := failure(t, <-b.invite(t.Context(), Invite{}))
		if f.Kind != Internal || !errors.Is(f, b.journal.fail) {
			t.Errorf("%v", f)
		}
		b.carrier.silent(time.Minute)
		if b.journal.size() != 0 {
			t.Error("the record stays")
		}
	})
}

func TestCancelWhileTheJournalWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.journal.block = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		out := b.invite(ctx, Invite{})
		synctest.Wait()
		cancel()
		if f := failure(t, <-out); f.Kind != Cancelled {
			t.Errorf("%v", f)
		}
		b.carrier.silent(time.Minute)
	})
}

func TestIncomingIsJournalledBeforeIts200(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		in := (<-calls).in
		if err := in.Ring(); err != nil {
			t.Fatal(err)
		}
		b.carrier.expect("180")
		if rec := b.journal.only(t); rec.Role != RoleUAS || rec.State != StateEarly || len(rec.Vias) != 1 {
			t.Errorf("record %+v", rec)
		}
		b.journal.block = make(chan struct{})
		go func() { _, _ = in.Answer(t.Context(), &testMedia{}, DialogRef{Call: "c"}) }()
		b.carrier.silent(3 * time.Second)
		close(b.journal.block)
		ok := b.carrier.expect("200")
		if rec := b.journal.only(t); rec.State != StateConfirmed || rec.LocalTag != ok.tag("To") || rec.Ref.Call != "c" {
			t.Errorf("record %+v", rec)
		}
		b.carrier.send(b.carrier.of(ok, "ACK", "ack1", 100))
		b.carrier.send(b.carrier.of(ok, "BYE", "bye1", 101))
		b.carrier.expect("200")
		time.Sleep(time.Second)
		if b.journal.size() != 0 {
			t.Error("the record stays")
		}
	})
}

func TestIncomingThatCannotBeJournalledIs500(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		b.journal.fail = errors.New("disk full")
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		_, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if !errors.Is(err, b.journal.fail) {
			t.Errorf("%v", err)
		}
		b.carrier.send(b.carrier.of(b.carrier.expect("500"), "ACK", "inv1", 100))
	})
}

func TestDialogRecordSurvivesJSON(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		b.answered(Invite{FromDisplay: `Анна "B"`})
		rec := b.journal.only(t)
		data, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		var back DialogRecord
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rec, back); diff != "" {
			t.Error(diff)
		}
	})
}

// crash plays until a moment with one agent, throws it away without a word and
// returns what its journal has, with a new agent in its place.
func crash(t *testing.T, play func(b *bed, calls chan incoming) *peer) (*bed, DialogRecord) {
	t.Helper()
	old, calls := inboundBed(t)
	play(old, calls)
	time.Sleep(time.Second)
	rec := old.journal.only(t)
	old.net.SetFilter(nil)
	_ = old.agent.cfg.Listen[0].Close() // deaf and dumb
	if err := <-old.agent.Fatal(); err == nil {
		t.Fatal("the old agent lives")
	}
	fresh := &bed{t: t, net: old.net, carrier: old.carrier, phone: old.phone, log: &logBuffer{}, journal: &testJournal{recs: map[string]DialogRecord{rec.ID: rec}}}
	cfg := old.agent.cfg
	cfg.Journal = fresh.journal
	cfg.Listen = nil
	cfg.Listen = append(cfg.Listen, old.net.MustListen(agentAddr))
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh.agent = a
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	for {
		if _, ok := old.carrier.read(time.Millisecond); !ok {
			break
		}
	}
	return fresh, rec
}

var restart = Reason{Protocol: "SIP", Cause: 500, Text: "Restarted"}

// endOrphan starts the end of an orphan; the channel says whether it may have
// been answered.
func (b *bed) endOrphan(rec DialogRecord) <-chan bool {
	done := make(chan bool, 1)
	go func() {
		answered, err := b.agent.EndOrphan(b.t.Context(), rec, restart)
		if err != nil {
			b.t.Error(err)
		}
		done <- answered
	}()
	return done
}

func TestOrphanOfACallWeMadeGetsBye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var req message
		b, rec := crash(t, func(b *bed, _ chan incoming) *peer {
			_, req = b.answered(Invite{})
			return b.carrier
		})
		done := b.endOrphan(rec)
		bye := b.carrier.expect("BYE")
		if bye.tag("From") != req.tag("From") || bye.tag("To") != b.carrier.tag || bye.uri() != "sip:peer@"+carrierAddr || bye.get("Reason") != `SIP;cause=500;text="Restarted"` {
			t.Errorf("BYE:\n%s", bye.raw)
		}
		b.carrier.reply(bye, "200 OK")
		if !<-done {
			t.Error("nobody had answered")
		}
	})
}

func TestOrphanOfACallWeAnsweredGetsBye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var ok message
		b, rec := crash(t, func(b *bed, calls chan incoming) *peer {
			_, ok = inbound(t, b, calls, &testMedia{})
			return b.carrier
		})
		done := b.endOrphan(rec)
		bye := b.carrier.expect("BYE")
		if bye.tag("From") != ok.tag("To") || bye.tag("To") != ok.tag("From") {
			t.Errorf("BYE:\n%s", bye.raw)
		}
		b.carrier.reply(bye, "481 Call/Transaction Does Not Exist")
		if !<-done {
			t.Error("it was answered")
		}
	})
}

func TestOrphanThatRingsGetsCancelAndItsLate200AckAndBye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var req message
		b, rec := crash(t, func(b *bed, _ chan incoming) *peer {
			b.invite(t.Context(), Invite{Ring: time.Hour})
			req = b.carrier.expect("INVITE")
			b.carrier.reply(req, "100 Trying") // no tag yet
			return b.carrier
		})
		done := b.endOrphan(rec)
		c := b.carrier.expect("CANCEL")
		if c.get("Via") != req.get("Via") || c.uri() != req.uri() || c.get("To") != req.get("To") || c.get("Reason") == "" {
			t.Errorf("CANCEL does not match:\n%s\n%s", req.raw, c.raw)
		}
		b.carrier.reply(c, "200 OK")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		if ack := b.carrier.expect("ACK"); ack.get("CSeq") != strings.Replace(req.get("CSeq"), "INVITE", "ACK", 1) {
			t.Errorf("CSeq: %s", ack.get("CSeq"))
		}
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
		if !<-done {
			t.Error("it was answered")
		}
		b.carrier.silent(time.Minute)
	})
}

func TestOrphanThatRangGets487Acked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var req message
		b, rec := crash(t, func(b *bed, _ chan incoming) *peer {
			b.invite(t.Context(), Invite{Ring: time.Hour})
			req = b.carrier.expect("INVITE")
			b.carrier.reply(req, "180 Ringing")
			return b.carrier
		})
		done := b.endOrphan(rec)
		b.carrier.reply(b.carrier.expect("CANCEL"), "200 OK")
		b.carrier.reply(req, "487 Request Terminated")
		if ack := b.carrier.expect("ACK"); ack.get("Via") != req.get("Via") {
			t.Errorf("ACK:\n%s", ack.raw)
		}
		if <-done {
			t.Error("it was not answered")
		}
	})
}

func TestOrphanThatWasAnsweredInTheMomentOfTheCrashGetsBye(t *testing.T) {
	for status, answered := range map[string]bool{"200 OK": true, "481 Call/Transaction Does Not Exist": false} {
		inBubble(t, func(t *testing.T) {
			b, rec := crash(t, func(b *bed, _ chan incoming) *peer {
				b.invite(t.Context(), Invite{Ring: time.Hour})
				b.carrier.reply(b.carrier.expect("INVITE"), "180 Ringing")
				return b.carrier
			})
			done := b.endOrphan(rec)
			b.carrier.reply(b.carrier.expect("CANCEL"), "481 Call/Transaction Does Not Exist")
			bye := b.carrier.expect("BYE") // to the fork that rang
			if bye.tag("To") != b.carrier.tag {
				t.Errorf("To: %s", bye.get("To"))
			}
			b.carrier.reply(bye, status)
			if got := <-done; got != answered {
				t.Errorf("%s: answered %v", status, got)
			}
		})
	}
}

func TestOrphanOfAnInviteWeLetRingIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var ring message
		b, rec := crash(t, func(b *bed, calls chan incoming) *peer {
			b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
			b.carrier.expect("100")
			_ = (<-calls).in.Ring()
			ring = b.carrier.expect("180")
			return b.carrier
		})
		done := b.endOrphan(rec)
		res := b.carrier.expect("503")
		for _, h := range []string{"Via", "To", "Call-ID", "CSeq"} {
			if res.get(h) != ring.get(h) {
				t.Errorf("%s: %s, want %s", h, res.get(h), ring.get(h))
			}
		}
		if res.tag("From") != ring.tag("From") {
			t.Errorf("From: %s", res.get("From"))
		}
		b.carrier.send(b.carrier.of(res, "ACK", "inv1", 100))
		if <-done {
			t.Error("it was not answered")
		}
	})
}

func TestOrphanRecordThatIsBroken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		for _, rec := range []DialogRecord{{}, {Destination: carrierAddr}, {Destination: carrierAddr, LocalTag: "a", CallID: "b", State: StateConfirmed, Target: "nonsense"}} {
			if answered, err := b.agent.EndOrphan(t.Context(), rec, restart); err == nil || !answered {
				t.Errorf("%+v: no error", rec)
			}
		}
	})
}
