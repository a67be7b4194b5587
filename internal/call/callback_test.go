package call_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// answering is a party that rings for a second, answers and talks until the
// other side hangs up.
func answering(hz float64) []lab.Step {
	return []lab.Step{lab.Tone(hz), lab.Ring(0), lab.Answer(time.Second)}
}

func hangingUpAfter(hz float64, d time.Duration) []lab.Step {
	return append(answering(hz), lab.Talk(d), lab.Bye())
}

func TestManagerHearsTheTextThenOnlyTheCustomerAndTheCustomerOnlyTheManager(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 20*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.HangupBy != store.PartyCustomer {
			t.Errorf("hung up by %q, want the customer", rec.HangupBy)
		}
		if rec.TalkMS < 19_500 || rec.TalkMS > 20_500 {
			t.Errorf("talk time is %d ms, want 20 s", rec.TalkMS)
		}
		if rec.RingMS < 900 || rec.RingMS > 1100 {
			t.Errorf("the customer's phone rang %d ms, want 1 s", rec.RingMS)
		}
		manager, client := w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
		if got := manager.HeardFor(speechTone); got < speechTime-200*time.Millisecond {
			t.Errorf("the manager heard %v of the text, want %v", got, speechTime)
		}
		if got := manager.HeardFor(customerTone); got < 19*time.Second {
			t.Errorf("the manager heard the customer for %v of 20 s", got)
		}
		if got := client.HeardFor(managerTone); got < 19*time.Second {
			t.Errorf("the customer heard the manager for %v of 20 s", got)
		}
		if manager.Heard(managerTone, 100*time.Millisecond) || client.Heard(customerTone, 100*time.Millisecond) ||
			client.Heard(speechTone, 100*time.Millisecond) {
			t.Error("somebody heard what was not meant for him")
		}
		spoke, _ := manager.FirstHeard(speechTone)
		heard, _ := manager.FirstHeard(customerTone)
		if !spoke.Before(heard) {
			t.Errorf("the text began at %v, the customer at %v", spoke, heard)
		}
		if client.Invite().Get("From") == "" || client.From() != lineNumber {
			t.Errorf("the customer saw %q calling, want the line's number", client.From())
		}
		if manager.From() != "+"+customer || manager.DisplayName() != "Перезвон: Main office" {
			t.Errorf("the manager saw %q %q", manager.DisplayName(), manager.From())
		}
	})
}

func TestRecordingHasTheManagerLeftAndTheCustomerRight(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 10*time.Second)...)
		rec := w.end(w.callback().ID)
		if rec.Recording == nil {
			t.Fatal("there is no recording")
		}
		left, right := w.recording(rec)
		if !hears(left, managerTone) || hears(left, customerTone) {
			t.Error("the left channel is not the manager's")
		}
		if !hears(right, customerTone) || hears(right, managerTone) {
			t.Error("the right channel is not the customer's")
		}
		if d := rec.Recording.DurationMS; d < 9_500 || d > 10_500 {
			t.Errorf("the recording has %d ms, want 10 s", d)
		}
	})
}

func TestTimelineTellsTheWholeCallInOrder(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 5*time.Second)...)
		rec := w.end(w.callback().ID)
		got := w.states(rec.ID)
		want := []string{
			store.EventCallCreated, store.EventCallState, store.EventCallState, // rendering, ringing the manager
			store.EventLegDialling, store.EventLegRinging, store.EventLegAnswered, store.EventCallState, // announcing
			store.EventCallState, store.EventLegDialling, store.EventLegRinging, store.EventLegAnswered, // the customer
			store.EventCallState, store.EventLegEnded, store.EventLegEnded, store.EventRecordingReady, store.EventCallEnded,
		}
		if !slices.Equal(got, want) {
			t.Errorf("timeline:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestPCMAIsTranscodedForAPhoneThatSpeaksPCMU(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", append([]lab.Step{lab.Codecs(lab.PCMU)}, answering(managerTone)...)...)
		w.number(customer, append([]lab.Step{lab.Codecs(lab.PCMA)}, hangingUpAfter(customerTone, 5*time.Second)...)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		manager, client := w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
		if !manager.Heard(customerTone, 4*time.Second) || !client.Heard(managerTone, 4*time.Second) {
			t.Error("they did not hear each other")
		}
		if !manager.Heard(speechTone, time.Second) {
			t.Error("the manager did not hear the text")
		}
	})
}

func TestWhileTheCustomerRingsTheManagerHearsRingback(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, append([]lab.Step{lab.Tone(customerTone), lab.Ring(0), lab.Answer(12 * time.Second)}, lab.Talk(3*time.Second), lab.Bye())...)
		w.end(w.callback().ID)
		if got := w.party(w.phones["101"], "101", 1).HeardFor(425); got < 1500*time.Millisecond {
			t.Errorf("the manager heard ringback for %v in 12 s of ringing", got)
		}
	})
}

func TestEarlyMediaOfTheNetworkReplacesTheRingback(t *testing.T) {
	const network = 1400.0
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.EarlyMedia(time.Second, network), lab.Answer(5*time.Second), lab.Talk(3*time.Second), lab.Bye())
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		m := w.party(w.phones["101"], "101", 1)
		if !m.Heard(network, 4*time.Second) || !m.Heard(customerTone, 2*time.Second) {
			t.Errorf("the manager heard %v", m.HeardTones(time.Time{}, time.Time{}))
		}
	})
}

func TestRingbackGoesOnBehindEarlyMediaThatIsSilent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.NoSound(), lab.EarlyMedia(time.Second, 0), lab.Answer(12*time.Second), lab.Talk(3*time.Second), lab.Bye())
		w.end(w.callback().ID)
		if got := w.party(w.phones["101"], "101", 1).HeardFor(425); got < 1500*time.Millisecond {
			t.Errorf("the manager heard ringback for %v in 12 s", got)
		}
	})
}

func TestAnyKeySkipsTheAnnouncementAndDoesNotReachTheCustomer(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Press("5", 500*time.Millisecond))...)
		w.number(customer, hangingUpAfter(customerTone, 5*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if got := w.party(w.phones["101"], "101", 1).HeardFor(speechTone); got > 1200*time.Millisecond {
			t.Errorf("the text went on for %v after the key", got)
		}
		if keys := w.party(w.carrier, customer, 1).Pressed(); keys != "" {
			t.Errorf("the customer got the keys %q", keys)
		}
	})
}

func TestKeysPassDuringTheTalk(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Press("42", 8*time.Second))...)
		w.number(customer, hangingUpAfter(customerTone, 15*time.Second)...)
		w.end(w.callback().ID)
		if keys := w.party(w.carrier, customer, 1).Pressed(); keys != "42" {
			t.Errorf("the customer got the keys %q, want 42", keys)
		}
	})
}

func TestManagerHangsUpTheTalk(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(12*time.Second), lab.Bye())...)
		w.number(customer, answering(customerTone)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.HangupBy != store.PartyManager {
			t.Errorf("hung up by %q", rec.HangupBy)
		}
	})
}

func TestTalkEndsAtTheMaximumLength(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Limits.MaxCall = time.Minute }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, answering(customerTone)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.HangupBy != store.PartyUs || rec.TalkMS/1000 != 60 {
			t.Errorf("hung up by %q after %d ms", rec.HangupBy, rec.TalkMS)
		}
	})
}

func TestLegWithoutAnySignOfLifeEndsTheCallAfterAMinute(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.NoSound(), lab.Ring(0), lab.Answer(time.Second))
		rec := w.end(w.callback().ID)
		if l := rec.Legs[len(rec.Legs)-1]; !l.NoAudio || rec.Legs[0].NoAudio {
			t.Error("the leg that was silent is not marked, or the other one is")
		}
		if rec.Result != store.ResultNoAudio || rec.Code != "OTHER" {
			t.Errorf("ended with %s %s", rec.Result, rec.Code)
		}
		if !slices.Contains(w.states(rec.ID), store.EventMediaQuality) {
			t.Error("the silent leg was not marked")
		}
	})
}

func TestHoldDoesNotEndTheCallAndResumeBringsTheSoundBack(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(8*time.Second), lab.Hold(), lab.Wait(90*time.Second), lab.Resume(), lab.Talk(5*time.Second), lab.Bye())...)
		w.number(customer, answering(customerTone)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.TalkMS < 95_000 {
			t.Errorf("the talk lasted %d ms", rec.TalkMS)
		}
	})
}

func TestSpeechFailureLetsTheCallbackRunWithAStockSentence(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.speech.broken.Store(true)
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
	})
}

func TestSameFormSentAgainReturnsTheOpenCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		first := w.callback()
		again, duplicate, err := w.svc.Callback(context.Background(), call.CallbackRequest{Line: "main", Number: "8 (999) 000-00-01"})
		if err != nil || !duplicate || again.ID != first.ID {
			t.Errorf("got %s, duplicate %v, %v", again.ID, duplicate, err)
		}
		w.end(first.ID)
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was dialled %d times", n)
		}
	})
}

func TestSameFormSentAgainBringsAWaitingRetryForward(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
		w.phone("101", lab.Reject(486, "Busy Here"))
		first := w.callback()
		w.until(first.ID, store.StateWaitingRetry)
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.callback()
		rec := w.end(first.ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if took := rec.EndedAt.Sub(rec.CreatedAt); took > time.Minute {
			t.Errorf("the retry waited %v", took)
		}
	})
}

func TestRequestOlderThanItsTimeToLiveIsNotDialled(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Callback.TTL = time.Minute
		c.Lines = append(c.Lines, c.Lines[0])
		c.Lines[1].ID, c.Lines[1].Number = "second", "+74950000001"
		c.Lines[1].Route = []configs.Step{{Extension: &configs.ExtensionStep{Number: "102"}}}
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.Answer(time.Second), lab.Talk(2*time.Minute), lab.Bye())
		first := w.callback()
		w.until(first.ID, store.StateTalking)
		second := w.request(call.CallbackRequest{Line: "second", Number: "+" + customer})
		rec := w.end(second.ID)
		w.expect(rec, store.ResultExpired, "304", store.PartyUs)
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was called %d times at once", n)
		}
		w.end(first.ID)
	})
}
