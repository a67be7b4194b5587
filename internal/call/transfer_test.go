package call_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// office has three phones; calls that come in ring the first.
func office(more ...func(*configs.Config)) func(*configs.Config) {
	return func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Extension: &configs.ExtensionStep{Number: "101", Ring: 25 * time.Second}}}
		for _, f := range more {
			f(c)
		}
	}
}

// transfers are the contents of the call.transferred events of a call.
func (w *world) transfers(id string) (all []string) {
	w.t.Helper()
	evs, _, err := w.db.Events(context.Background(), store.EventFilter{CallID: id, Limit: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range evs {
		if e.Type == store.EventTransferred {
			all = append(all, string(e.Data))
		}
	}
	return all
}

func TestCallerIsTransferredToAColleagueAndHearsRingbackMeanwhile(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(5*time.Second), lab.ReferTo("102"))...)
		w.phone("102", lab.Tone(otherTone), lab.Ring(0), lab.Answer(4*time.Second))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		anna, boris := w.party(w.phones["101"], "101", 1), w.party(w.phones["102"], "102", 1)
		if !caller.Heard(managerTone, 4*time.Second) || !caller.Heard(otherTone, 9*time.Second) || !caller.Heard(425, 500*time.Millisecond) {
			t.Error("the caller did not hear the first, ringback and the second")
		}
		if !boris.Heard(customerTone, 9*time.Second) || boris.Heard(managerTone, 100*time.Millisecond) {
			t.Error("the second heard somebody else than the caller")
		}
		if anna.Heard(otherTone, 100*time.Millisecond) {
			t.Error("who has passed the call on heard the second")
		}
		if boris.From() != "+"+customer && boris.From() != customer {
			t.Errorf("the second phone showed %q", boris.From())
		}
		if told := statuses(anna); !slices.Equal(told, []int{100, 180, 200}) {
			t.Errorf("the phone was told %v", told)
		}
		if rec.Manager == nil || rec.Manager.Extension != "102" || rec.HangupBy != store.PartyCustomer || rec.TalkMS < 19000 {
			t.Errorf("talked %d ms with %+v at last, hung up by %s", rec.TalkMS, rec.Manager, rec.HangupBy)
		}
		if got := w.transfers(rec.ID); len(got) != 1 || got[0] != `{"by":"101","to":"102"}` {
			t.Errorf("events %v", got)
		}
	})
}

func statuses(p *lab.Party) (all []int) {
	for _, e := range p.Timeline() {
		if e.Kind == lab.Notified {
			all = append(all, e.Status)
		}
	}
	return all
}

// refusedWith is the code of a refusal.
func refusedWith(err error) string {
	if refused, ok := errors.AsType[*call.RefusedError](err); ok {
		return refused.Code
	}
	return ""
}

func TestPhoneThatLeavesAsSoonAsItsTransferIsAcceptedStillHasItDone(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferAndLeave("102"))...)
		w.phone("102", lab.Tone(otherTone), lab.Ring(0), lab.Answer(4*time.Second))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if !caller.Heard(otherTone, 9*time.Second) {
			t.Error("the caller did not hear the second")
		}
	})
}

func TestTransferThatNobodyTakesLeavesTheTwoTogether(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []lab.Step
		number string
		status int
	}{
		"busy":              {[]lab.Step{lab.Ring(0), lab.Reject(486, "Busy Here")}, "102", 486},
		"no answer":         {[]lab.Step{lab.Ring(0)}, "102", 480},
		"itself":            {nil, "101", 486},
		"the other side":    {nil, "+" + customer, 486},
		"nobody":            {nil, "999", 484},
		"a premium number":  {nil, "+78091234567", 403},
		"a foreign country": {nil, "+14155550100", 403},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, office(func(c *configs.Config) { c.Callback.Ring = 5 * time.Second }), func(w *world) {
				told := make(chan []int, 1)
				w.phone("101", append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferTo(c.number), lab.Talk(8*time.Second), lab.Bye())...)
				w.phone("102", c.steps...)
				caller := w.inbound(lab.Tone(customerTone))
				<-caller.Ended()
				anna := w.party(w.phones["101"], "101", 1)
				told <- statuses(anna)
				got := <-told
				if len(got) == 0 || got[len(got)-1] != c.status && c.status != 403 {
					t.Errorf("the phone was told %v, want %d at last", got, c.status)
				}
				if got[len(got)-1] < 400 {
					t.Errorf("the phone was told %v", got)
				}
				w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
				if !caller.Heard(managerTone, 8*time.Second) || !anna.Heard(customerTone, 8*time.Second) {
					t.Error("they did not hear each other afterwards")
				}
			})
		})
	}
}

func TestCallerWhomNobodyTakesGoesBackToWhoHasPassedHimOn(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phones["101"].Turns("101",
			append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferAndLeave("102")),
			append(answering(otherTone), lab.Talk(5*time.Second), lab.Bye()))
		w.phone("102", lab.Ring(0), lab.Reject(486, "Busy Here"))
		caller := w.inbound(lab.Tone(customerTone))
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if !caller.Heard(otherTone, 4*time.Second) || rec.HangupBy != store.PartyManager {
			t.Errorf("the caller did not talk to the first again; hung up by %s", rec.HangupBy)
		}
	})
}

func TestCallerWhomNobodyWantsHearsAnApology(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phones["101"].Turns("101",
			append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferAndLeave("102")),
			lab.Script{lab.Ring(0), lab.Reject(486, "Busy Here")})
		w.phone("102", lab.Ring(0), lab.Reject(486, "Busy Here"))
		caller := w.inbound(lab.Tone(customerTone))
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if _, bye := caller.Event(lab.ByeReceived); !bye {
			t.Error("the caller was not hung up on")
		}
	})
}

func TestWhoIsTransferredMayHangUpMeanwhile(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferTo("102"))...)
		w.phone("102", lab.Ring(0))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(6*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		boris := w.party(w.phones["102"], "102", 1)
		if _, cancelled := boris.Event(lab.Cancelled); !cancelled {
			t.Errorf("the second phone rang on: %v", boris.Timeline())
		}
	})
}

func TestCallIsTransferredOutOfTheHouseThroughTheLine(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		const outside = "79990000077"
		w.phone("102", append(answering(otherTone), lab.Talk(15*time.Second))...)
		w.number(outside, hangingUpAfter(customerTone, 6*time.Second)...)
		anna := w.dial("101", "102", lab.Tone(managerTone), lab.Talk(2*time.Second), lab.ReferTo("+"+outside))
		<-anna.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		there := w.party(w.carrier, outside, 1)
		if !there.Heard(otherTone, 4*time.Second) {
			t.Error("the one outside did not hear the colleague")
		}
		if !strings.Contains(lineNumber, there.From()) && !strings.Contains(there.From(), lineNumber) {
			t.Errorf("the network saw %q calling, not the line %s", there.From(), lineNumber)
		}
	})
}

func TestTransferAfterAConsultationJoinsTheTwoOthers(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", hangingUpAfter(otherTone, 15*time.Second)...)
		caller := w.inbound(lab.Tone(customerTone))
		time.Sleep(4 * time.Second)
		anna := w.party(w.phones["101"], "101", 1)
		if err := anna.Hold(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		asks := w.dial("101", "102", lab.Tone(managerTone))
		time.Sleep(4 * time.Second)
		if status, err := anna.Refer(w.t.Context(), "102", asks); err != nil || status != 200 {
			t.Fatalf("told %d, %v", status, err)
		}
		_ = anna.Hangup(w.t.Context())
		_ = asks.Hangup(w.t.Context())
		boris := w.party(w.phones["102"], "102", 1)
		<-caller.Ended()
		<-boris.Ended()
		time.Sleep(time.Second)
		if !caller.Heard(otherTone, 8*time.Second) || !boris.Heard(customerTone, 8*time.Second) {
			t.Error("the two did not hear each other")
		}
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 2 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		for _, c := range calls {
			w.expect(w.end(c.ID), store.ResultCompleted, "200", "")
			switch c.Kind {
			case store.KindInbound:
				if got := w.transfers(c.ID); len(got) != 1 || !strings.Contains(got[0], `"call":"`) || c.Manager.Extension != "102" {
					t.Errorf("events %v, manager %+v", got, c.Manager)
				}
			default:
				if c.TalkMS > 6000 {
					t.Errorf("the consultation lasted %d ms", c.TalkMS)
				}
			}
		}
	})
}

// joined is a call that came in for 101, who has asked 102 and joined the two.
func (w *world) joined() (caller, boris *lab.Party) {
	w.t.Helper()
	w.phone("101", answering(managerTone)...)
	w.phone("102", answering(otherTone)...)
	caller = w.inbound(lab.Tone(customerTone))
	time.Sleep(4 * time.Second)
	anna := w.party(w.phones["101"], "101", 1)
	w.hold(anna)
	asks := w.dial("101", "102", lab.Tone(managerTone))
	time.Sleep(4 * time.Second)
	if status, err := anna.Refer(w.t.Context(), "102", asks); err != nil || status != 200 {
		w.t.Fatalf("told %d, %v", status, err)
	}
	_ = anna.Hangup(w.t.Context())
	_ = asks.Hangup(w.t.Context())
	time.Sleep(time.Second)
	return caller, w.party(w.phones["102"], "102", 1)
}

func TestWhoHasTakenOverAfterAConsultationMayHold(t *testing.T) {
	inWorld(t, office(withMusic(t)), func(w *world) {
		caller, boris := w.joined()
		for range 8 { // whoever else listens for it takes it sooner or later
			w.hold(boris)
			from, to := during(3 * time.Second)
			heard(t, "the caller", caller, from, to, musicTone)
			w.resume(boris)
			from, to = during(3 * time.Second)
			heard(t, "the caller", caller, from, to, otherTone)
		}
		_ = boris.Hangup(w.t.Context())
		<-caller.Ended()
	})
}

func TestColleagueIsNotTransferredToHimself(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("102", append(answering(otherTone), lab.Talk(15*time.Second))...)
		anna := w.dial("101", "102", lab.Tone(managerTone), lab.Talk(2*time.Second), lab.ReferTo("102"), lab.Talk(4*time.Second), lab.Bye())
		<-anna.Ended()
		if told := statuses(anna); len(told) == 0 || told[len(told)-1] != 486 {
			t.Errorf("the phone was told %v, want 486 at last", told)
		}
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if n := w.rung(w.phones["102"], "102"); n != 1 {
			t.Errorf("the colleague was rung %d times", n)
		}
	})
}

func TestConsultationEndsWithTheTransferAndIsNoHandleOfTheCallThatGoesOn(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		ctx := context.Background()
		caller, boris := w.joined()
		calls, _, err := w.db.Calls(ctx, store.Filter{})
		if err != nil || len(calls) != 2 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		consultation, first := calls[0], calls[1]
		w.expect(consultation, store.ResultCompleted, "200", "")
		if consultation.State != store.StateEnded || consultation.HangupBy != store.PartyManager || consultation.TalkMS > 5000 {
			t.Errorf("the consultation is %s, hung up by %s after %d ms", consultation.State, consultation.HangupBy, consultation.TalkMS)
		}
		for _, l := range consultation.Legs {
			if l.State != store.LegEnded {
				t.Errorf("its leg of %s is %s", l.Number, l.State)
			}
		}
		if _, err := w.svc.Cancel(ctx, consultation.ID, "ops"); refusedWith(err) != call.CodeAlreadyEnded {
			t.Errorf("cancel: %v", err)
		}
		if _, err := w.svc.Hold(ctx, consultation.ID, "ops"); refusedWith(err) != call.CodeAlreadyEnded {
			t.Errorf("hold: %v", err)
		}
		if n := len(first.Legs); n != 3 || first.Legs[2].Extension != "102" || first.Legs[2].State != store.LegAnswered || first.Legs[2].Role != first.Legs[1].Role {
			t.Fatalf("the legs of the first are %+v", first.Legs)
		}
		from, to := during(3 * time.Second)
		heard(t, "the caller", caller, from, to, otherTone)
		heard(t, "the colleague", boris, from, to, customerTone)
		if _, err := w.svc.Cancel(ctx, first.ID, "ops"); err != nil {
			t.Error(err)
		}
		<-caller.Ended()
		<-boris.Ended()
		first = w.end(first.ID)
		if l := first.Legs[2]; l.State != store.LegEnded || l.Quality == nil || first.Recording == nil {
			t.Errorf("at last %+v, recording %+v", l, first.Recording)
		}
	})
}

func TestKeyThatIsLimitedToLinesTransfersThroughNoOther(t *testing.T) {
	second := func(c *configs.Config) {
		two := c.Lines[0]
		two.ID, two.Number = "two", "+74950000002"
		c.Lines = append(c.Lines, two)
	}
	inWorld(t, office(second), func(w *world) {
		const outside = "79990000077"
		w.phone("101", answering(managerTone)...)
		w.number(outside, answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(30*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 1 {
			t.Fatal(len(calls), err)
		}
		by := call.Asker{Name: "branch", Lines: []string{"two"}} // phones dial out through main
		if _, err := w.svc.Transfer(w.t.Context(), calls[0].ID, "+"+outside, by); refusedWith(err) != call.CodeLineNotAllowed {
			t.Errorf("through another line: %v", err)
		}
		if n := w.rung(w.carrier, outside); n != 0 {
			t.Errorf("the number was dialled %d times", n)
		}
		by.Lines = []string{"two", "main"}
		if _, err := w.svc.Transfer(w.t.Context(), calls[0].ID, "+"+outside, by); err != nil {
			t.Error(err)
		}
		<-caller.Ended()
	})
}

func TestTransferIntoACallOfOthersIsRefused(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		theirs := w.dial("103", "102", lab.Tone(managerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		anna := w.party(w.phones["101"], "101", 1)
		if status, _ := anna.Refer(w.t.Context(), "102", theirs); status == 200 {
			t.Error("101 took over a call of 103")
		}
		<-caller.Ended()
		<-theirs.Ended()
		if !caller.Heard(managerTone, 15*time.Second) || caller.Heard(otherTone, 100*time.Millisecond) {
			t.Error("the caller got into the call of others")
		}
	})
}

func TestTransferByTheAPI(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 1 {
			t.Fatal(len(calls), err)
		}
		id := calls[0].ID
		if _, err := w.svc.Transfer(w.t.Context(), id, "999", call.Asker{Name: "crm"}); refusedWith(err) != call.CodeInvalidNumber {
			t.Errorf("to nobody: %v", err)
		}
		if _, err := w.svc.Transfer(w.t.Context(), id, "102", call.Asker{Name: "crm"}); err != nil {
			t.Error(err)
		}
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		anna := w.party(w.phones["101"], "101", 1)
		if _, bye := anna.Event(lab.ByeReceived); !bye || !caller.Heard(otherTone, 8*time.Second) {
			t.Error("the caller was not transferred, or the first phone not hung up")
		}
		if got := w.transfers(id); len(got) != 1 || got[0] != `{"by":"101","to":"102","key":"crm"}` {
			t.Errorf("events %v", got)
		}
		if got := w.decisions(id); !strings.Contains(got, "crm, for extension 101, transfers the call to 102") {
			t.Errorf("decided %s", got)
		}
		if _, err := w.svc.Transfer(w.t.Context(), id, "102", call.Asker{Name: "crm"}); refusedWith(err) != call.CodeAlreadyEnded {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestRefusedTransferByTheAPISaysWhy(t *testing.T) {
	const unread = call.CodeInvalidNumber
	rules := func(c *configs.Config) {
		c.Outgoing = []configs.Outgoing{{Prefix: "9", Strip: 1}}
		c.Extensions[2].Contact, c.Extensions[2].Password = "", configs.NewSecret(phonePassword)
	}
	inWorld(t, office(rules), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", lab.Reject(486, "Busy Here"))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 1 {
			t.Fatal(len(calls), err)
		}
		for _, c := range []struct{ to, code, why string }{
			{"", unread, "is empty; write an extension, or a number as it would be dialled at the phone"},
			{"  ", unread, "is empty; write an extension, or a number as it would be dialled at the phone"},
			{"front desk", unread, `"front desk" contains 'f', which no telephone number does`},
			{"9123", unread, `"123" is too short for a number in RU`},
			{"77", call.CodeNotTransferred, `77 cannot be dialled: no rule of outgoing lets extension 101 dial "77"`},
			{"101", call.CodeNotTransferred, "101 cannot be dialled: that is its own number"},
			{"103", call.CodeNotTransferred, "103 cannot be dialled: extension 103 is not registered"},
			{"102", call.CodeNotTransferred, "102 did not take the call: 486 Busy Here"},
		} {
			_, err := w.svc.Transfer(w.t.Context(), calls[0].ID, c.to, call.Asker{Name: "crm"})
			refused, ok := errors.AsType[*call.RefusedError](err)
			if !ok || refused.Code != c.code || len(refused.Problems) != 1 || refused.Problems[0] != (call.Problem{Field: "to", Detail: c.why}) {
				t.Errorf("%q: %v", c.to, err)
			}
		}
		if err := w.svc.SetDND(w.t.Context(), "102", true); err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.Transfer(w.t.Context(), calls[0].ID, "102", call.Asker{Name: "crm"}); err == nil || !strings.Contains(err.Error(), "to: 102 cannot be dialled: extension 102 is set to do not disturb") {
			t.Errorf("to who is not to be disturbed: %v", err)
		}
		<-caller.Ended()
		if !caller.Heard(managerTone, 10*time.Second) {
			t.Error("the two did not talk on")
		}
	})
}
