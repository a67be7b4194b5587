package lab_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
)

func TestCalledPartySeesWhoCalls(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("+100", lab.Script{lab.Headers("X-Lab: yes"), lab.SessionProgress(0), lab.Trying(), lab.Reject(480, "Gone")})
		caller, called := w.call(lab.CallOptions{
			From: "79161234567", Display: `Anna "A"`, Asserted: "74950000000", Headers: []string{"Diversion: <sip:1@h>"},
			Script: lab.Script{lab.Headers("X-Caller: 1")},
		})
		<-caller.Ended()
		w.settle()
		if called.Number() != "100" || called.From() != "79161234567" || called.DisplayName() != `Anna "A"` || called.Asserted() != "74950000000" ||
			called.Invite().Get("Diversion") != "<sip:1@h>" || called.Invite().Get("X-Caller") != "1" {
			t.Errorf("%s called from %s (%s), asserted %s", called.Number(), called.From(), called.DisplayName(), called.Asserted())
		}
		if got := w.b.Calls("+100"); len(got) != 1 || got[0] != called {
			t.Errorf("%d calls of the number", len(got))
		}
		if _, err := caller.Until(w.ctx, lab.Progress); err != nil {
			t.Error(err)
		}
		if !strings.Contains(w.a.Ladder(), "480 Gone") {
			t.Error("the ladder lacks the refusal")
		}
	})
}

func TestRingingMayBeRepeatedAndDeclinedByHand(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Repeat18x(12, time.Second)})
		caller, called := w.call(lab.CallOptions{})
		time.Sleep(12500 * time.Millisecond)
		if err := called.Hangup(w.ctx, "Reason: Q.850;cause=21"); err != nil {
			t.Error(err)
		}
		<-caller.Ended()
		w.settle()
		rings := 0
		for _, e := range caller.Timeline() {
			if e.Kind == lab.Ringing {
				rings++
			}
		}
		if e, _ := caller.Event(lab.Refused); rings != 12 || e.Status != 603 {
			t.Errorf("%d rings, then %s", rings, e)
		}
	})
}

func TestCancelThatNobodyHearsIsGivenUp(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Ring(0), lab.DeafToCancel()})
		began := time.Now()
		caller, _ := w.call(lab.CallOptions{})
		if err := caller.Hangup(w.ctx); err == nil {
			t.Error("the deaf party answered")
		}
		if took := time.Since(began); took != 32*time.Second {
			t.Errorf("given up after %s", took)
		}
		if v := strings.Join(w.a.Violations(), "\n"); !strings.Contains(v, "no response in 32s") {
			t.Errorf("violations %q", v)
		}
	})
}

func TestToneChangesAndSilenceAreHeard(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		edited := lab.EditSDP(func(s string) string { return s + "a=x-lab:1\r\n" })
		w.b.Number("100", lab.Script{edited, lab.Tone(600), lab.Answer(0), lab.Talk(time.Second), lab.Sound(900), lab.Talk(time.Second), lab.Sound(0), lab.Talk(time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.NoSound()}})
		<-caller.Ended()
		w.settle()
		if !strings.Contains(caller.Remote().Text, "a=x-lab:1") {
			t.Error("the edited line is missing")
		}
		if !caller.Heard(600, 900*time.Millisecond) || !caller.Heard(900, 900*time.Millisecond) {
			t.Errorf("heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		if lab.ToneIn(caller.Recorded(), 900) < 900*time.Millisecond || lab.ToneIn(caller.Recorded(), 440) > 0 {
			t.Error("the recording has another sound")
		}
		end, _ := caller.Event(lab.ByeReceived)
		if !caller.Silent(end.At.Add(-800*time.Millisecond), end.At) || caller.Silent(time.Time{}, end.At) {
			t.Error("silence is not where it was")
		}
		if called.Reception().Packets != 0 {
			t.Error("a party without sound sent packets")
		}
		got := lab.Judge(caller, called).String()
		if !strings.HasPrefix(got, "200 heard 100 for ") || !strings.Contains(got, ", 900 Hz for ") || !strings.HasSuffix(got, "\n100 heard nothing\n") {
			t.Errorf("verdict %q", got)
		}
	})
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		if _, err := w.b.Wait(ctx, "100", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBothSidesMayReinvite(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.Answer(0), lab.Hold(), lab.Hold(), lab.Resume(), lab.ReinviteUnchanged(), lab.Talk(time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(440), lab.Talk(500 * time.Millisecond), lab.ReinviteWithoutOffer()}})
		<-caller.Ended()
		w.settle()
		if !lab.Judge(caller, called).Mutual(800 * time.Millisecond) {
			t.Errorf("verdict:\n%s", lab.Judge(caller, called))
		}
	})
}
