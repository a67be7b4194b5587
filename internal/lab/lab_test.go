package lab_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// world is two carriers on one network: a calls, b is called.
type world struct {
	t    *testing.T
	ctx  context.Context
	net  *memnet.Net
	a, b *lab.Carrier
}

// inWorld runs f in virtual time and then expects that both sides agree, that
// nothing is up any more and that no socket is left.
func inWorld(t *testing.T, auth *lab.Credentials, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, ctx: t.Context(), net: memnet.New()}
		w.a = w.carrier("10.0.0.1:5060", nil)
		w.b = w.carrier("10.0.0.2:5060", auth)
		f(w)
		if t.Failed() {
			t.Logf("ladder of the called side:\n%s", w.b.Ladder())
		}
		for _, c := range []*lab.Carrier{w.a, w.b} {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		synctest.Wait()
		if n := w.net.Open(); n != 0 {
			t.Errorf("%d sockets are left", n)
		}
	})
}

func (w *world) carrier(addr string, auth *lab.Credentials) *lab.Carrier {
	c, err := lab.NewCarrier(w.ctx, lab.Config{
		Signal: netip.MustParseAddrPort(addr), Network: lab.Virtual(w.net.ListenUDP), Auth: auth,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// call lets a call b's number 100 and returns both parties.
func (w *world) call(o lab.CallOptions) (caller, called *lab.Party) {
	w.t.Helper()
	o.To, o.User = w.b.Addr(), "100"
	if o.From == "" {
		o.From = "200"
	}
	caller, err := w.a.Call(w.ctx, o)
	if err != nil {
		w.t.Fatal(err)
	}
	called, err = w.b.Wait(w.ctx, "100", 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return caller, called
}

// settle waits until all is over and holds both sides against the rules.
func (w *world) settle() {
	w.t.Helper()
	for _, c := range []*lab.Carrier{w.a, w.b} {
		if err := c.Settled(w.ctx); err != nil {
			w.t.Error(err)
		}
		for _, v := range c.Violations() {
			w.t.Errorf("%s: %s", c.Addr(), v)
		}
		if c.Dialogs() != 0 || c.RingingNow() != 0 {
			w.t.Errorf("%s: %d dialogs, %d ringing", c.Addr(), c.Dialogs(), c.RingingNow())
		}
	}
}

func kinds(p *lab.Party) string {
	var all []string
	for _, e := range p.Timeline() {
		all = append(all, e.String())
	}
	return strings.Join(all, ", ")
}

func expect(t *testing.T, who string, p *lab.Party, want string) {
	t.Helper()
	if got := kinds(p); got != want {
		t.Errorf("%s:\n got %s\nwant %s", who, got, want)
	}
}

func TestTwoPartiesTalkAndHearEachOther(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Customer(2*time.Second))
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(lab.ManagerTone), lab.Talk(5 * time.Second), lab.Bye(`Reason: Q.850;cause=16`)}})
		<-caller.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, proceeding 100, ringing 180, answered 200, acked, bye sent (Q.850;cause=16)")
		expect(t, "called", called, "invited, proceeding 100, ringing 180, answered 200, acked, bye received (Q.850;cause=16)")
		v := lab.Judge(caller, called)
		if !v.Mutual(4500*time.Millisecond) || v[0].Speech > 0 || v[1].Speech > 0 {
			t.Errorf("verdict:\n%s", v)
		}
		answered, _ := called.Event(lab.Answered)
		first, ok := caller.FirstHeard(lab.CustomerTone)
		if !ok || first.Sub(answered.At) > 40*time.Millisecond {
			t.Errorf("the customer answered at %s and was heard at %s", answered.At, first)
		}
		if n := len(called.Recorded()); n < 39500 || n > 40500 {
			t.Errorf("%d samples recorded of 5 s", n)
		}
		if called.ACKs() != 1 || called.BYEs() != 1 || called.INVITEs() != 1 {
			t.Errorf("%d ACKs, %d BYEs, %d INVITEs", called.ACKs(), called.BYEs(), called.INVITEs())
		}
	})
}

func TestNumberWithoutScriptIsNotFound(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		caller, err := w.a.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "404", From: "200"})
		if err != nil {
			t.Fatal(err)
		}
		<-caller.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, refused 404 Not Found")
	})
}

func TestRejectCarriesPhraseAndReason(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("*", lab.Script{lab.Ring(0), lab.Wait(time.Second), lab.Reject(486, "Busy Here", "Reason: Q.850;cause=17")})
		caller, called := w.call(lab.CallOptions{})
		<-caller.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, proceeding 100, ringing 180, refused 486 Busy Here (Q.850;cause=17)")
		expect(t, "called", called, "invited, proceeding 100, ringing 180, refused 486 Busy Here")
	})
}

func TestCallerCancelsWhileRinging(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Ring(0), lab.Answer(time.Minute)})
		began := time.Now()
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Cancel(3*time.Second, `Reason: SIP;cause=200;text="Call completed elsewhere"`)}})
		<-called.Ended()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("rang for %s", took)
		}
		w.settle()
		expect(t, "caller", caller, `invited, proceeding 100, ringing 180, cancelled (SIP;cause=200;text="Call completed elsewhere"), refused 487 Request Terminated`)
		expect(t, "called", called, `invited, proceeding 100, ringing 180, cancelled (SIP;cause=200;text="Call completed elsewhere"), refused 487 Request Terminated`)
	})
}

func TestAnswerCrossesCancel(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Ring(0), lab.AnswerOnCancel()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Cancel(time.Second)}})
		<-called.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, proceeding 100, ringing 180, cancelled, answered 200, acked, bye sent")
		expect(t, "called", called, "invited, proceeding 100, ringing 180, cancelled, answered 200, acked, bye received")
	})
}

func TestSilentPartyAnswersNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Silence()})
		began := time.Now()
		caller, called := w.call(lab.CallOptions{})
		<-caller.Ended()
		if took := time.Since(began); took != 32*time.Second {
			t.Errorf("given up after %s", took)
		}
		expect(t, "caller", caller, "invited, lost response")
		if called.INVITEs() != 7 {
			t.Errorf("%d INVITEs came, 7 are sent in 64*T1", called.INVITEs())
		}
		if w.b.RingingNow() != 0 {
			t.Error("a party that never answered anything does not ring")
		}
		w.settle()
		expect(t, "called", called, "invited, lost caller")
	})
}

func TestCallWithoutProvisionalResponse(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.NoTrying(), lab.Answer(0), lab.Talk(time.Second), lab.Bye()})
		caller, _ := w.call(lab.CallOptions{})
		<-caller.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, answered 200, acked, bye received")
	})
}

func TestEarlyMediaIsHeardBeforeTheAnswer(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.EarlyMedia(0, 600), lab.Answer(2 * time.Second), lab.Talk(2 * time.Second), lab.Bye()})
		caller, _ := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(440)}})
		<-caller.Ended()
		w.settle()
		answered, _ := caller.Event(lab.Answered)
		tones := caller.HeardTones(time.Time{}, time.Time{})
		if len(tones) != 2 || tones[0].Hz < 599 || tones[0].Hz > 601 || tones[1].Hz < 999 || tones[1].Hz > 1001 {
			t.Fatalf("heard %v", tones)
		}
		if before := caller.HeardBetween(600, time.Time{}, answered.At); before < 1900*time.Millisecond {
			t.Errorf("early media for %s", before)
		}
		if caller.HeardBetween(1000, time.Time{}, answered.At) > 0 {
			t.Error("the party's tone sounded before the answer")
		}
	})
}

func TestBackToBack183And200(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.ProvisionalBackToBack(time.Second), lab.NoSDPIn200(), lab.Talk(time.Second), lab.Bye()})
		caller, _ := w.call(lab.CallOptions{})
		<-caller.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, proceeding 100, progress 183, answered 200, acked, bye received")
	})
}

func TestLostACKsAreSentAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.LoseACKs(3), lab.Answer(0), lab.Talk(time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{})
		<-caller.Ended()
		w.settle()
		if called.ACKs() != 4 || caller.OKs() != 4 {
			t.Errorf("%d ACKs to %d answers", called.ACKs(), caller.OKs())
		}
	})
}

func TestCallIsEndedWhenItsACKNeverComes(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Answer(0)})
		began := time.Now()
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.LoseACKs(-1)}})
		<-called.Ended()
		if took := time.Since(began); took != 32*time.Second {
			t.Errorf("ended after %s", took)
		}
		expect(t, "called", called, "invited, proceeding 100, answered 200, lost ACK, bye sent")
		<-caller.Ended()
		if v := w.b.Violations(); len(v) != 1 || !strings.Contains(v[0], "no ACK to 200") {
			t.Errorf("violations %q", v)
		}
	})
}
