package call_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

const otherTone = 1800.0 // of the colleague who is called

var ourSIP = netip.MustParseAddrPort("10.0.0.1:5060")

// dial lets a phone of the office dial a number.
func (w *world) dial(ext, number string, steps ...lab.Step) *lab.Party {
	w.t.Helper()
	p, err := w.phones[ext].Call(context.Background(), lab.CallOptions{
		To: ourSIP, User: number, From: ext, Script: steps,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// rungAgain counts how often a phone was rung that has dialled once itself.
func (w *world) rungAgain(ext string) int { return w.rung(w.phones[ext], ext) - 1 }

// noCall checks that nothing was stored.
func (w *world) noCall() {
	w.t.Helper()
	time.Sleep(time.Second)
	calls, _, err := w.db.Calls(context.Background(), store.Filter{})
	if err != nil || len(calls) != 0 {
		w.t.Errorf("%d calls are stored, want none (%v)", len(calls), err)
	}
}

func TestExtensionsAreBridged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("102", answering(otherTone)...)
		anna := w.dial("101", "102", lab.Tone(managerTone), lab.Talk(10*time.Second), lab.Bye())
		<-anna.Ended()
		boris := w.party(w.phones["102"], "102", 1)
		if !anna.Heard(otherTone, 9*time.Second) || !boris.Heard(managerTone, 9*time.Second) {
			t.Error("they did not hear each other")
		}
		if anna.Heard(managerTone, 100*time.Millisecond) || boris.Heard(otherTone, 100*time.Millisecond) {
			t.Error("somebody heard himself")
		}
		if _, rang := anna.Event(lab.Ringing); !rang {
			t.Error("the caller got no 180")
		}
		if boris.From() != "101" || boris.DisplayName() != "Anna" {
			t.Errorf("the phone shows %q <%s>", boris.DisplayName(), boris.From())
		}
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Kind != store.KindInternal || rec.Line != "" || rec.Number != "102" || rec.HangupBy != store.PartyManager || rec.Recording != nil {
			t.Errorf("stored as %s on line %q to %s, hung up by %s, recording %v", rec.Kind, rec.Line, rec.Number, rec.HangupBy, rec.Recording)
		}
		if rec.Manager == nil || rec.Manager.Name != "Anna" || rec.Customer == nil || rec.Customer.Name != "Boris" {
			t.Errorf("took part: %+v and %+v", rec.Manager, rec.Customer)
		}
		if rec.TalkMS < 9900 || rec.RingMS <= 0 {
			t.Errorf("talked %d ms after %d ms of ringing", rec.TalkMS, rec.RingMS)
		}
	})
}

func TestWhoIsCalledInTheOfficeMayHangUp(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("102", hangingUpAfter(otherTone, 5*time.Second)...)
		<-w.dial("101", "102", lab.Tone(managerTone)).Ended()
		if rec := w.onlyCall(); rec.Result != store.ResultCompleted || rec.HangupBy != store.PartyCustomer {
			t.Errorf("ended with %s, hung up by %s", rec.Result, rec.HangupBy)
		}
	})
}

func TestExtensionThatIsNotReachedSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []lab.Step
		status int
		result store.Result
		code   string
	}{
		"busy":       {[]lab.Step{lab.Ring(0), lab.Reject(486, "Busy Here")}, 486, store.ResultBusy, "486"},
		"no answer":  {[]lab.Step{lab.Ring(0)}, 480, store.ResultMissed, "304"},
		"declined":   {[]lab.Step{lab.Ring(0), lab.Reject(603, "Decline")}, 603, store.ResultMissed, "603"},
		"not there":  {[]lab.Step{lab.Silence()}, 480, store.ResultMissed, "480"},
		"in trouble": {[]lab.Step{lab.Reject(500, "Server Internal Error")}, 480, store.ResultMissed, "480"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("102", c.steps...)
				anna := w.dial("101", "102", lab.Tone(managerTone))
				<-anna.Ended()
				if ev, _ := anna.Event(lab.Refused); ev.Status != c.status {
					t.Errorf("the caller got %v, want %d", ev, c.status)
				}
				w.expect(w.onlyCall(), c.result, c.code, store.PartyCustomer)
			})
		})
	}
}

func TestPhoneRingsForItsTimeAndThenNoLonger(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Ring = 12 * time.Second }, func(w *world) {
		w.phone("102", lab.Ring(0))
		begun := time.Now()
		<-w.dial("101", "102", lab.Tone(managerTone)).Ended()
		if took := time.Since(begun); took < 12*time.Second || took > 13*time.Second {
			t.Errorf("it rang for %v", took)
		}
	})
}

func TestCallerInTheOfficeGivesUp(t *testing.T) {
	for name, number := range map[string]string{"a colleague": "102", "a number outside": "89990000001"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("102", lab.Ring(0))
				w.number(customer, lab.Ring(0))
				anna := w.dial("101", number, lab.Tone(managerTone), lab.Cancel(5*time.Second))
				<-anna.Ended()
				rec := w.onlyCall()
				w.expect(rec, store.ResultAbandoned, "603-S", store.PartyManager)
				if rec.HangupBy != store.PartyManager {
					t.Errorf("hung up by %s", rec.HangupBy)
				}
			})
		})
	}
}

func TestAnswerThatCrossesTheCallersCancelIsEnded(t *testing.T) {
	for name, number := range map[string]string{"a colleague": "102", "a number outside": customer} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("102", lab.Ring(0), lab.AnswerOnCancel())
				w.number(customer, lab.Ring(0), lab.AnswerOnCancel())
				<-w.dial("101", number, lab.Tone(managerTone), lab.Cancel(5*time.Second)).Ended()
				w.expect(w.onlyCall(), store.ResultAbandoned, "603-S", store.PartyManager)
			})
		})
	}
}

func TestOwnNumberIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		anna := w.dial("101", "101", lab.Tone(managerTone))
		<-anna.Ended()
		if ev, _ := anna.Event(lab.Refused); ev.Status != 486 {
			t.Errorf("the caller got %v", ev)
		}
		w.noCall()
		if w.rungAgain("101") != 0 {
			t.Error("the phone rang")
		}
	})
}

func TestDoNotDisturb(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Extensions[1].DND = true }, func(w *world) {
		w.phone("102", answering(otherTone)...)
		anna := w.dial("101", "102", lab.Tone(managerTone))
		<-anna.Ended()
		if ev, _ := anna.Event(lab.Refused); ev.Status != 480 {
			t.Errorf("the caller got %v", ev)
		}
		rec := w.onlyCall()
		w.expect(rec, store.ResultMissed, "480", store.PartyCustomer)
		if !strings.Contains(rec.Reason, "do not disturb") {
			t.Errorf("the reason is %q", rec.Reason)
		}
		if w.rung(w.phones["102"], "102") != 0 {
			t.Error("the phone rang")
		}
		// Who is not to be disturbed may call.
		w.phone("101", answering(managerTone)...)
		boris := w.dial("102", "101", lab.Tone(otherTone), lab.Talk(3*time.Second), lab.Bye())
		<-boris.Ended()
		if !boris.Heard(managerTone, 2*time.Second) {
			t.Error("who does not want to be disturbed cannot call")
		}
	})
}

func TestDoNotDisturbIsSwitchedAndOutlivesARestart(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Extensions[2].DND = true }, func(w *world) {
		ctx := context.Background()
		for ext, on := range map[string]bool{"102": true, "103": false} {
			if err := w.svc.SetDND(ctx, ext, on); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.svc.SetDND(ctx, "109", true); err == nil {
			t.Error("an extension that does not exist was set to do not disturb")
		}
		for range 2 {
			if w.svc.DND("101") || !w.svc.DND("102") || w.svc.DND("103") {
				t.Errorf("101 %v, 102 %v, 103 %v", w.svc.DND("101"), w.svc.DND("102"), w.svc.DND("103"))
			}
			w.stop()
			w.start()
		}
		w.disk.full.Store(true)
		if err := w.svc.SetDND(ctx, "101", true); err == nil || w.svc.DND("101") {
			t.Errorf("it holds although it could not be stored: %v", err)
		}
	})
}

func TestRouteLeavesOutWhoIsNotToBeDisturbed(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Group: &configs.GroupStep{Members: []string{"101", "102"}}}}
		c.Extensions[0].DND = true
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(3*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if w.rung(w.phones["101"], "101") != 0 || !caller.Heard(otherTone, 2*time.Second) {
			t.Error("the wrong phone rang")
		}
	})
}

func TestCallbackWhoseManagersAreNotToBeDisturbedUsesItsAttempts(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Extensions[0].DND = true
		c.Callback.Attempts = 2
	}, func(w *world) {
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		if len(rec.Attempts) != 2 {
			t.Errorf("%d attempts", len(rec.Attempts))
		}
		if rec.Reason != "no manager could be reached; the last one: extension 101 is set to do not disturb" {
			t.Errorf("the reason is %q", rec.Reason)
		}
	})
}

func TestPhoneThatCallsIsEngagedAndIsNotRungForACallback(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(otherTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		anna := w.dial("101", "102", lab.Tone(managerTone), lab.Talk(30*time.Second), lab.Bye())
		time.Sleep(time.Second)
		rec := w.callback()
		time.Sleep(20 * time.Second)
		if n := w.rungAgain("101"); n != 0 {
			t.Errorf("the phone that talks was rung %d times", n)
		}
		<-anna.Ended()
		w.expect(w.end(rec.ID), store.ResultCompleted, "200", "")
	})
}

func TestPhoneThatGaveUpIsFreeAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("102", lab.Ring(0))
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		<-w.dial("101", "102", lab.Tone(managerTone), lab.Cancel(2*time.Second)).Ended()
		<-w.dial("101", "109", lab.Tone(managerTone)).Ended() // no such number
		begun := time.Now()
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("the phone was taken for engaged: the callback took %v", took)
		}
	})
}

func TestPhoneThatHasJustTalkedIsRungLast(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Group: &configs.GroupStep{Members: []string{"101", "103"}, Strategy: "longest_idle"}}}
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("103", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		<-w.dial("101", customer, lab.Tone(managerTone), lab.Talk(10*time.Second)).Ended()
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(3*time.Second), lab.Bye())
		<-caller.Ended()
		if w.rungAgain("101") != 0 || w.rung(w.phones["103"], "103") != 1 {
			t.Error("the phone that has just talked was rung first")
		}
	})
}

func TestCallBetweenPhonesHasHopsLeft(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("102", hangingUpAfter(otherTone, time.Second)...)
		<-w.dial("101", "102", lab.Tone(managerTone)).Ended()
		boris := w.party(w.phones["102"], "102", 1)
		if got := boris.Invite().Get("Max-Forwards"); got != "69" {
			t.Errorf("Max-Forwards is %q", got)
		}
	})
}

func TestShutdownRefusesPhonesAndFinishesTheirCalls(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("102", answering(otherTone)...)
		anna := w.dial("101", "102", lab.Tone(managerTone), lab.Talk(30*time.Second), lab.Bye())
		time.Sleep(3 * time.Second)
		closed := make(chan error, 1)
		go func() { closed <- w.svc.Close(context.Background()) }()
		time.Sleep(time.Second)
		vera := w.dial("103", "102", lab.Tone(managerTone))
		<-vera.Ended()
		if ev, _ := vera.Event(lab.Refused); ev.Status != 503 {
			t.Errorf("a phone that calls during the shutdown got %v", ev)
		}
		<-anna.Ended()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
	})
}

func TestCancelOfACallThatAPhoneDials(t *testing.T) {
	for name, state := range map[string]store.State{"while it rings": store.StateRinging, "while they talk": store.StateTalking} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("102", lab.Tone(otherTone), lab.Ring(0), lab.Answer(5*time.Second))
				anna := w.dial("101", "102", lab.Tone(managerTone))
				time.Sleep(time.Second)
				calls, _, err := w.db.Calls(context.Background(), store.Filter{})
				if err != nil || len(calls) != 1 {
					t.Fatal(calls, err)
				}
				w.until(calls[0].ID, state)
				if _, err := w.svc.Cancel(context.Background(), calls[0].ID, "ops"); err != nil {
					t.Error(err)
				}
				<-anna.Ended()
				rec := w.onlyCall()
				if state == store.StateRinging {
					w.expect(rec, store.ResultCancelled, "603-S", store.PartyUs)
					return
				}
				w.expect(rec, store.ResultCompleted, "200", "")
				if rec.HangupBy != store.PartyUs {
					t.Errorf("hung up by %s", rec.HangupBy)
				}
			})
		})
	}
}

func TestFullDiskMakesAPhoneHear503(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.disk.full.Store(true)
		anna := w.dial("101", "102", lab.Tone(managerTone))
		<-anna.Ended()
		if ev, _ := anna.Event(lab.Refused); ev.Status != 503 {
			t.Errorf("the phone got %v", ev)
		}
		w.disk.full.Store(false)
		w.noCall()
	})
}
