package call_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func (w *world) customerFirst() string {
	w.t.Helper()
	return w.request(call.CallbackRequest{
		Line: "main", Number: "+" + customer, Text: "Заявка с сайта.", Mode: call.CustomerFirst,
	}).ID
}

func TestCustomerFirstHoldsTheCustomerUntilAManagerHasHeardTheText(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Tone(managerTone), lab.Ring(0), lab.Answer(8*time.Second))
		w.number(customer, hangingUpAfter(customerTone, 30*time.Second)...)
		rec := w.end(w.customerFirst())
		w.expect(rec, store.ResultCompleted, "200", "")
		manager, client := w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
		if !client.Heard(sentenceTone, 700*time.Millisecond) {
			t.Error("the customer was not told to wait")
		}
		if !client.Heard(425, 900*time.Millisecond) {
			t.Error("the customer heard no ringing while holding")
		}
		if client.Heard(speechTone, 100*time.Millisecond) {
			t.Error("the customer heard the manager's text")
		}
		if !manager.Heard(speechTone, speechTime-200*time.Millisecond) {
			t.Error("the manager did not hear the text")
		}
		if !manager.Heard(customerTone, 10*time.Second) || !client.Heard(managerTone, 10*time.Second) {
			t.Error("they did not hear each other")
		}
	})
}

func TestCustomerFirstApologisesWhenNoManagerAnswers(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 3 }, func(w *world) {
		w.phone("101", lab.Ring(0))
		w.number(customer, answering(customerTone)...)
		rec := w.end(w.customerFirst())
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		client := w.party(w.carrier, customer, 1)
		if got := client.HeardFor(sentenceTone); got < 2*sentenceFor-400*time.Millisecond {
			t.Errorf("the customer heard sentences for %v, want to be told to hold and an apology", got)
		}
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was rung %d times", n)
		}
	})
}

func TestCustomerFirstWhoHangsUpWhileHolding(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Ring(0))
		w.number(customer, hangingUpAfter(customerTone, 6*time.Second)...)
		rec := w.end(w.customerFirst())
		w.expect(rec, store.ResultAbandoned, "304", store.PartyCustomer)
		if rec.HangupBy != store.PartyCustomer {
			t.Errorf("hung up by %q", rec.HangupBy)
		}
	})
}

func TestCustomerFirstWhoDoesNotAnswerRingsNoManager(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, lab.Reject(486, "Busy Here"))
		rec := w.end(w.customerFirst())
		w.expect(rec, store.ResultCustomerBusy, "486", store.PartyCustomer)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Error("the manager was rung")
		}
	})
}

func TestLineMayCallCustomersFirst(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Mode = call.CustomerFirst }, func(w *world) {
		w.number(customer, lab.Reject(486, "Busy Here"))
		w.expect(w.end(w.callback().ID), store.ResultCustomerBusy, "486", store.PartyCustomer)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Error("the manager was rung")
		}
	})
}

// crossing lets the manager hang up while the customer rings, and the
// customer's 200 cross our CANCEL.
func (w *world) crossing() {
	w.phone("101", hangingUpAfter(managerTone, speechTime+3*time.Second)...)
	w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.AnswerOnCancel())
}

func twoManagers(c *configs.Config) {
	c.Callback.Attempts = 3
	c.Lines[0].Route = append(c.Lines[0].Route, configs.Step{Extension: &configs.ExtensionStep{Number: "102"}})
}

func TestCustomerWhoseAnswerCrossesTheManagersHangUpIsOfferedToTheRestOfTheRoute(t *testing.T) {
	inWorld(t, twoManagers, func(w *world) {
		w.crossing()
		w.phone("102", hangingUpAfter(managerTone+100, 5*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Manager.Extension != "102" {
			t.Errorf("extension %s took the call", rec.Manager.Extension)
		}
		client := w.party(w.carrier, customer, 1)
		if !client.Heard(sentenceTone, 500*time.Millisecond) || !client.Heard(managerTone+100, 4*time.Second) {
			t.Error("the customer was not told to hold, or did not hear the other manager")
		}
		if w.rung(w.phones["101"], "101") != 1 {
			t.Error("who had hung up was rung again")
		}
	})
}

func TestCustomerWhomTheRestOfTheRouteDoesNotTakeHearsAnApology(t *testing.T) {
	inWorld(t, twoManagers, func(w *world) {
		w.crossing()
		w.phone("102", lab.Ring(0))
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultManagerHungUp, "603-S", store.PartyManager)
		client := w.party(w.carrier, customer, 1)
		if got := client.HeardFor(sentenceTone); got < 2*sentenceFor-400*time.Millisecond {
			t.Errorf("the customer heard sentences for %v, want to be told to hold and an apology", got)
		}
		if held := rec.Legs[len(rec.Legs)-1].EndedAt.Sub(*rec.Legs[len(rec.Legs)-1].RingAt).Round(time.Second); held != 15*time.Second {
			t.Errorf("the rest of the route was rung for %v, want 15 s", held)
		}
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was rung %d times", n)
		}
	})
}

func TestCustomerWhoseAnswerCrossesTheEndOfTheRingingIsConnected(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.AnswerOnCancel(), lab.Talk(5*time.Second), lab.Bye())
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if !w.party(w.phones["101"], "101", 1).Heard(customerTone, 4*time.Second) {
			t.Error("the manager did not hear the customer")
		}
	})
}

func TestCustomerWhoCallsInAndIsAnsweredEndsTheCallback(t *testing.T) {
	for name, state := range map[string]store.State{
		"while the callback waits":          store.StateWaitingRetry,
		"while the callback rings managers": store.StateRingingManager,
		"while the text is read out":        store.StateAnnouncing,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 3 }, func(w *world) {
				switch state {
				case store.StateWaitingRetry:
					w.phone("101", lab.Reject(603, "Decline"))
				case store.StateRingingManager:
					w.phone("101", lab.Ring(0))
				default:
					w.phone("101", answering(managerTone)...)
				}
				id := w.callback().ID
				w.until(id, state)
				w.phone("101", answering(managerTone)...)
				caller := w.inbound(lab.Tone(customerTone), lab.Talk(10*time.Second), lab.Bye())
				rec := w.end(id)
				w.expect(rec, store.ResultCustomerCalled, "200", store.PartyCustomer)
				<-caller.Ended()
				if !caller.Heard(managerTone, 9*time.Second) {
					t.Error("the customer was not served")
				}
				for _, l := range rec.Legs {
					if l.Role == store.RoleCustomer {
						t.Error("the customer was called although he had called in")
					}
				}
			})
		})
	}
}

func TestCallbackGoesOnWhenTheCustomerCallsInAndNobodyAnswers(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Ring(0))
		id := w.callback().ID
		w.until(id, store.StateRingingManager)
		caller := w.inbound(lab.Cancel(10 * time.Second))
		<-caller.Ended()
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestCustomerFirstHoldsForAManagerWhoHasGotIntoAnotherCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.Answer(10*time.Second), lab.Talk(40*time.Second), lab.Bye())
		id := w.customerFirst()
		w.until(id, store.StateRingingCustomer)
		other, err := w.carrier.Call(context.Background(), lab.CallOptions{
			To: netip.MustParseAddrPort("10.0.0.1:5060"), User: lineNumber, From: "+79990000077",
			Script: []lab.Step{lab.Talk(20 * time.Second), lab.Bye()},
		})
		if err != nil {
			t.Fatal(err)
		}
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		<-other.Ended()
		if !w.party(w.carrier, customer, 1).Heard(managerTone, 5*time.Second) {
			t.Error("the customer did not reach the manager")
		}
	})
}
