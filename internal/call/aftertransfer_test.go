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

// legsOf are the legs of an extension or a number in the record of a call.
func legsOf(rec store.Call, number string) (legs []store.Leg) {
	for _, l := range rec.Legs {
		if l.Number == number {
			legs = append(legs, l)
		}
	}
	return legs
}

func TestLegOfWhoLeavesDuringItsTransferEndsThen(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phones["101"].Turns("101",
			append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferAndLeave("102")),
			append(answering(otherTone), lab.Talk(5*time.Second), lab.Bye()))
		w.phone("102", lab.Ring(0), lab.Wait(10*time.Second), lab.Reject(486, "Busy Here"))
		caller := w.inbound(lab.Tone(customerTone))
		<-caller.Ended()
		legs := legsOf(w.onlyCall(), "101")
		if len(legs) != 2 || legs[0].AnsweredAt == nil || legs[0].EndedAt == nil {
			t.Fatalf("legs %+v", legs)
		}
		if d := legs[0].EndedAt.Sub(*legs[0].AnsweredAt); d > 4*time.Second {
			t.Errorf("who left after 2 s is in the record for %v", d)
		}
	})
}

func TestCallIsTransferredOnBeforeWhoHadItFirstHasHungUp(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(speechTone)...)
		w.phone("103", answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		id := w.someCall(store.KindInbound).ID
		by := call.Asker{Name: "crm"}
		if _, err := w.svc.Transfer(w.t.Context(), id, "102", by); err != nil {
			t.Fatal(err)
		}
		boris := w.party(w.phones["102"], "102", 1)
		if _, err := boris.Until(w.t.Context(), lab.Answered); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if _, err := w.svc.Transfer(w.t.Context(), id, "103", by); err != nil {
			t.Errorf("on to the third: %v", err)
		}
		<-caller.Ended()
		if got := w.transfers(id); len(got) != 2 || !caller.Heard(otherTone, 5*time.Second) {
			t.Errorf("events %v", got)
		}
	})
}

// someCall is the newest call of a kind.
func (w *world) someCall(kind store.Kind) store.Call {
	w.t.Helper()
	calls, _, err := w.db.Calls(context.Background(), store.Filter{})
	i := slices.IndexFunc(calls, func(c store.Call) bool { return c.Kind == kind })
	if err != nil || i < 0 {
		w.t.Fatalf("no call of kind %s (%v)", kind, err)
	}
	return calls[i]
}

func TestRefusedTransferMayBeTriedAgainAtOnce(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", lab.Reject(486, "Busy Here"))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		id := w.someCall(store.KindInbound).ID
		for range 50 {
			if _, err := w.svc.Transfer(w.t.Context(), id, "102", call.Asker{Name: "crm"}); refusedWith(err) != call.CodeNotTransferred {
				t.Fatal(err)
			}
		}
		<-caller.Ended()
	})
}

// threeDesks has Boris's phones register; calls that come in ring Anna's.
func threeDesks(cfg *configs.Config) {
	cfg.Extensions[1].Contact, cfg.Extensions[1].Password = "", configs.NewSecret(phonePassword)
}

func TestTransferToSeveralPhonesTellsOnceThatTheyRing(t *testing.T) {
	inWorld(t, office(threeDesks), func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(2*time.Second), lab.ReferTo("102"))...)
		for _, at := range []string{"10.0.0.21:5060", "10.0.0.22:5060", "10.0.0.23:5060"} {
			w.deskOf("102", at, lab.Tone(otherTone), lab.Ring(0), lab.Answer(4*time.Second))
		}
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if told := statuses(w.party(w.phones["101"], "101", 1)); !slices.Equal(told, []int{100, 180, 200}) {
			t.Errorf("the phone was told %v", told)
		}
	})
}

func TestWhoHasComeOverFromAnotherCallMayBeConsultedAbout(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		caller, boris := w.joined()
		w.phone("103", answering(speechTone)...)
		w.hold(boris)
		asks := w.dial("102", "103", lab.Tone(otherTone))
		time.Sleep(4 * time.Second)
		// The call in hand is named by the one that came second, as some phones do.
		if status, err := asks.Refer(w.t.Context(), "103", boris); err != nil || status != 200 {
			t.Fatalf("told %d, %v", status, err)
		}
		_ = boris.Hangup(w.t.Context())
		_ = asks.Hangup(w.t.Context())
		time.Sleep(time.Second)
		vera := w.party(w.phones["103"], "103", 1)
		from, to := during(3 * time.Second)
		heard(t, "the caller", caller, from, to, speechTone)
		heard(t, "the third", vera, from, to, customerTone)
		_ = vera.Hangup(w.t.Context())
		<-caller.Ended()
	})
}

func TestCallbackWaitsForWhomACallWasTransferredTo(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		const outside = "79990000077"
		w.phone("101", answering(managerTone)...)
		w.number(outside, answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		if _, err := w.svc.Transfer(w.t.Context(), w.someCall(store.KindInbound).ID, "+"+outside, call.Asker{Name: "crm"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		rec := w.request(call.CallbackRequest{Line: "main", Number: "+" + outside})
		<-caller.Ended()
		if n := w.rung(w.phones["101"], "101"); n != 1 {
			t.Errorf("the manager was rung %d times while the number was talked to", n-1)
		}
		w.party(w.phones["101"], "101", 2)
		if _, err := w.svc.Cancel(w.t.Context(), rec.ID, "ops"); err != nil {
			t.Error(err)
		}
	})
}

func TestNumberOfWhoCameOverIsGivenBackBeforeTheServerEnds(t *testing.T) {
	inWorld(t, office(), func(w *world) {
		w.phone("101", answering(managerTone)...)
		const outside = "79990000077"
		w.number(outside, answering(otherTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(30*time.Second), lab.Bye())
		time.Sleep(4 * time.Second)
		anna := w.party(w.phones["101"], "101", 1)
		asks := w.dial("101", outside, lab.Tone(managerTone))
		time.Sleep(4 * time.Second)
		if status, err := anna.Refer(w.t.Context(), outside, asks); err != nil || status != 200 {
			t.Fatalf("told %d, %v", status, err)
		}
		_ = anna.Hangup(w.t.Context())
		_ = asks.Hangup(w.t.Context())
		time.Sleep(4 * time.Second)
		w.disk.release.Store(int64(2 * time.Second))
		<-caller.Ended()
		if err := w.svc.Close(w.t.Context()); err != nil {
			t.Error(err)
		}
		if n := w.disk.releasing.Load(); n != 0 {
			t.Errorf("%d leases are still being given back", n)
		}
		w.disk.release.Store(0)
	})
}

func TestTransferOfACallWithoutAPhoneOfTheOfficeSaysSo(t *testing.T) {
	inWorld(t, through, func(w *world) {
		w.backup.Number("9123", answering(managerTone))
		caller := w.inboundTo("9123", lab.Tone(customerTone), lab.Talk(8*time.Second), lab.Bye())
		time.Sleep(3 * time.Second)
		_, err := w.svc.Transfer(w.t.Context(), w.someCall(store.KindInbound).ID, "102", call.Asker{Name: "crm"})
		if refusedWith(err) != call.CodeNotTalking || !strings.Contains(err.Error(), "no phone of the office") || strings.Contains(err.Error(), "already") {
			t.Error(err)
		}
		<-caller.Ended()
	})
}

func TestCallerIsNotLostWithAPhoneThatLeavesBeforeItHearsOfTheRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		number string
		steps  []lab.Step
	}{
		"busy":              {"102", []lab.Step{lab.Reject(486, "Busy Here")}},
		"no such number":    {"999", nil},
		"not to be dialled": {"+14155550100", nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, office(), func(w *world) {
				w.phones["101"].Turns("101", answering(managerTone), append(answering(otherTone), lab.Talk(5*time.Second), lab.Bye()))
				w.phone("102", c.steps...)
				caller := w.inbound(lab.Tone(customerTone))
				time.Sleep(4 * time.Second)
				anna := w.party(w.phones["101"], "101", 1)
				if status, err := anna.Refer(w.t.Context(), c.number, nil); err != nil || status < 300 {
					t.Errorf("told %d, %v", status, err)
				}
				time.Sleep(50 * time.Millisecond) // its BYE was on its way
				_ = anna.Hangup(w.t.Context())
				<-caller.Ended()
				w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
				if !caller.Heard(otherTone, 4*time.Second) {
					t.Error("the caller did not talk to the first again")
				}
			})
		})
	}
}

func TestTransferTakesPortsForAllPhonesThatRing(t *testing.T) {
	few := func(c *configs.Config) { c.Media.Ports = configs.PortRange{First: 20000, Last: 20007} }
	inWorld(t, office(threeDesks, few), func(w *world) {
		w.phone("101", answering(managerTone)...)
		var desks []*lab.Carrier
		for _, at := range []string{"10.0.0.21:5060", "10.0.0.22:5060", "10.0.0.23:5060"} {
			desks = append(desks, w.deskOf("102", at, lab.Ring(0)))
		}
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(10*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		_, err := w.svc.Transfer(w.t.Context(), w.someCall(store.KindInbound).ID, "102", call.Asker{Name: "crm"})
		if refusedWith(err) != call.CodeNotTransferred || !strings.Contains(err.Error(), "media ports") {
			t.Errorf("with two ports for three phones: %v", err)
		}
		for _, d := range desks {
			if w.rung(d, "102") != 0 {
				t.Error("a phone was rung")
			}
		}
		<-caller.Ended()
	})
}
