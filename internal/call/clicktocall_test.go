package call_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// click asks for a call of extension 101 to the customer.
func (w *world) click() store.Call {
	w.t.Helper()
	rec, _, err := w.svc.Dial(context.Background(), call.DialRequest{Line: "main", Extension: "101", Number: customer, KeyName: "crm"})
	if err != nil {
		w.t.Fatalf("click-to-call refused: %v", err)
	}
	return rec
}

func TestClickToCallRingsThePhoneThenTheNumber(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(time.Second), lab.Answer(4*time.Second), lab.Talk(10*time.Second), lab.Bye())
		rec := w.end(w.click().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Kind != store.KindOutbound || rec.Line != "main" || rec.HangupBy != store.PartyCustomer || rec.Request.Key != "crm" {
			t.Errorf("stored as %s on line %q, hung up by %s, asked by %s", rec.Kind, rec.Line, rec.HangupBy, rec.Request.Key)
		}
		if rec.Manager == nil || rec.Manager.Name != "Anna" || rec.Customer == nil || rec.Customer.Number != "+"+customer {
			t.Errorf("took part: %+v and %+v", rec.Manager, rec.Customer)
		}
		anna, far := w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
		if !anna.Heard(customerTone, 9*time.Second) || !far.Heard(managerTone, 9*time.Second) {
			t.Error("they did not hear each other")
		}
		if !anna.Heard(425, time.Second) {
			t.Error("the manager heard no ringback")
		}
		if anna.From() != "+"+customer || anna.DisplayName() != "Перезвон: Main office" || far.From() != lineNumber {
			t.Errorf("shown to the manager: %q <%s>; to the customer: %s", anna.DisplayName(), anna.From(), far.From())
		}
		left, right := w.recording(rec)
		if !hears(left, managerTone) || !hears(right, customerTone) {
			t.Error("the recording has the sides in the wrong channels")
		}
	})
}

func TestWhoClickedIsToldWhyTheNumberWasNotReached(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []lab.Step
		result store.Result
		code   string
		owner  store.Party
	}{
		"busy":         {[]lab.Step{lab.Ring(0), lab.Reject(486, "Busy Here")}, store.ResultBusy, "486", store.PartyCustomer},
		"no answer":    {[]lab.Step{lab.Ring(0)}, store.ResultMissed, "304", store.PartyCustomer},
		"declined":     {[]lab.Step{lab.Ring(0), lab.Reject(603, "Decline")}, store.ResultMissed, "603", store.PartyCustomer},
		"off":          {[]lab.Step{lab.Reject(480, "Temporarily Unavailable")}, store.ResultMissed, "480", store.PartyCustomer},
		"wrong number": {[]lab.Step{lab.Reject(404, "Not Found")}, store.ResultInvalidNumber, "404", store.PartyCustomer},
		"not served":   {[]lab.Step{lab.Reject(484, "Address Incomplete")}, store.ResultDirection, "484", store.PartyCustomer},
		"trunk":        {[]lab.Step{lab.Reject(503, "Service Unavailable")}, store.ResultTrunkFailed, "503", store.PartyTrunk},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", answering(managerTone)...)
				w.number(customer, c.steps...)
				rec := w.end(w.click().ID)
				w.expect(rec, c.result, c.code, c.owner)
				if len(rec.Attempts) != 1 || rec.Attempts[0].Result != c.result {
					t.Errorf("attempts: %+v", rec.Attempts)
				}
				if anna := w.party(w.phones["101"], "101", 1); !anna.Heard(sentenceTone, 900*time.Millisecond) {
					t.Error("the manager was told nothing")
				}
				if n := w.rung(w.carrier, customer); n != 1 {
					t.Errorf("the number was dialled %d times", n)
				}
			})
		})
	}
}

func TestWhoClickedIsNotReached(t *testing.T) {
	for name, steps := range map[string][]lab.Step{
		"no answer": {lab.Ring(0)}, "busy": {lab.Reject(486, "Busy Here")}, "declines": {lab.Ring(0), lab.Reject(603, "Decline")}, "not there": {lab.Silence()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", steps...)
				w.expect(w.end(w.click().ID), store.ResultManagerUnavailable, "304", store.PartyManager)
				if w.rung(w.carrier, customer) != 0 {
					t.Error("the number was dialled")
				}
			})
		})
	}
}

func TestClickOfWhoIsInACallRingsNobody(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("102", answering(otherTone)...)
		anna := w.dial("101", "102", lab.Tone(managerTone), lab.Talk(20*time.Second), lab.Bye())
		time.Sleep(3 * time.Second)
		w.expect(w.end(w.click().ID), store.ResultManagerUnavailable, "304", store.PartyManager)
		if w.rungAgain("101") != 0 || w.rung(w.carrier, customer) != 0 {
			t.Error("somebody was rung")
		}
		<-anna.Ended()
	})
}

func TestWhoClickedIsRungAlthoughNotToBeDisturbed(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Extensions[0].DND = true }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.expect(w.end(w.click().ID), store.ResultCompleted, "200", "")
	})
}

func TestWhoClickedHangsUp(t *testing.T) {
	for name, c := range map[string]struct {
		manager, customer []lab.Step
		result            store.Result
	}{
		"while the number rings": {
			[]lab.Step{lab.Tone(managerTone), lab.Ring(0), lab.Answer(time.Second), lab.Talk(3 * time.Second), lab.Bye()},
			[]lab.Step{lab.Ring(0)},
			store.ResultAbandoned,
		},
		"and the answer crosses": {
			[]lab.Step{lab.Tone(managerTone), lab.Ring(0), lab.Answer(time.Second), lab.Talk(3 * time.Second), lab.Bye()},
			[]lab.Step{lab.Tone(customerTone), lab.Ring(0), lab.AnswerOnCancel()},
			store.ResultAbandoned,
		},
		"while he is told": {
			[]lab.Step{lab.Tone(managerTone), lab.Ring(0), lab.Answer(time.Second), lab.Talk(500 * time.Millisecond), lab.Bye()},
			[]lab.Step{lab.Reject(486, "Busy Here")},
			store.ResultBusy,
		},
		"in the talk": {
			[]lab.Step{lab.Tone(managerTone), lab.Ring(0), lab.Answer(time.Second), lab.Talk(5 * time.Second), lab.Bye()},
			answering(customerTone), store.ResultCompleted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", c.manager...)
				w.number(customer, c.customer...)
				rec := w.end(w.click().ID)
				if rec.Result != c.result {
					t.Errorf("ended with %s (%s), want %s", rec.Result, rec.Reason, c.result)
				}
				if c.result == store.ResultAbandoned && (rec.Code != "603-S" || rec.ReasonOwner != store.PartyManager) {
					t.Errorf("code %s, owner %s, hung up by %s", rec.Code, rec.ReasonOwner, rec.HangupBy)
				}
			})
		})
	}
}

func TestCancelOfAClickToCallInEveryState(t *testing.T) {
	for _, state := range []store.State{store.StateRingingManager, store.StateRingingCustomer, store.StateTalking} {
		t.Run(string(state), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", lab.Tone(managerTone), lab.Ring(0), lab.Answer(2*time.Second))
				w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.Answer(2*time.Second))
				id := w.click().ID
				w.until(id, state)
				rec, err := w.svc.Cancel(context.Background(), id, "ops")
				if err != nil {
					t.Fatal(err)
				}
				if state == store.StateTalking {
					w.expect(rec, store.ResultCompleted, "200", "")
					return
				}
				w.expect(rec, store.ResultCancelled, "603-S", store.PartyUs)
			})
		})
	}
}

func TestClickWithTheTrunksDownRingsNobody(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.down.Store("provider", "it does not answer")
		w.expect(w.end(w.click().ID), store.ResultTrunkFailed, "503", store.PartyTrunk)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Error("the manager was rung")
		}
	})
}

func TestClickIsPlacedOnceForItsKey(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		req := call.DialRequest{Line: "main", Extension: "101", Number: customer, Key: &store.Key{Scope: "crm", Value: "1", Hash: "h"}}
		first, duplicate, err := w.svc.Dial(context.Background(), req)
		if err != nil || duplicate {
			t.Fatal(duplicate, err)
		}
		for range 2 {
			again, duplicate, err := w.svc.Dial(context.Background(), req)
			if err != nil || !duplicate || again.ID != first.ID {
				t.Errorf("again: %s, duplicate %v, %v", again.ID, duplicate, err)
			}
			w.end(first.ID)
		}
		req.Key = &store.Key{Scope: "crm", Value: "1", Hash: "other"}
		_, _, err = w.svc.Dial(context.Background(), req)
		if refused := (*call.RefusedError)(nil); !errors.As(err, &refused) || refused.Code != call.CodeKeyReused {
			t.Errorf("the key with another request: %v", err)
		}
		if n := w.rung(w.phones["101"], "101"); n != 1 {
			t.Errorf("the phone was rung %d times", n)
		}
	})
}

func TestClickThatCannotBeCarriedOutNamesEveryBadField(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, c := range []struct {
			req    call.DialRequest
			code   string
			fields []string
		}{
			{call.DialRequest{Line: "shop", Extension: "101", Number: customer}, call.CodeUnknownLine, []string{"line"}},
			{call.DialRequest{Line: "main", Extension: "109", Number: customer}, call.CodeUnknownExtension, []string{"extension"}},
			{call.DialRequest{Line: "main", Extension: "101", Number: "112"}, call.CodeInvalidNumber, []string{"number"}},
			{call.DialRequest{Line: "main", Extension: "101", Number: "+442079460000"}, call.CodeNotAllowed, []string{"number"}},
			{call.DialRequest{Line: "main", Number: "1"}, call.CodeInvalidRequest, []string{"extension", "number"}},
		} {
			_, _, err := w.svc.Dial(context.Background(), c.req)
			refused := (*call.RefusedError)(nil)
			if !errors.As(err, &refused) || refused.Status != 422 || refused.Code != c.code {
				t.Errorf("%+v: %v", c.req, err)
				continue
			}
			var fields []string
			for _, p := range refused.Problems {
				fields = append(fields, p.Field)
			}
			if !slices.Equal(fields, c.fields) {
				t.Errorf("%+v: fields %v", c.req, fields)
			}
		}
		w.noCall()
	})
}

func TestClickDuringTheShutdownIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.svc.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		_, _, err := w.svc.Dial(context.Background(), call.DialRequest{Line: "main", Extension: "101", Number: customer})
		if refused := (*call.RefusedError)(nil); !errors.As(err, &refused) || refused.Code != call.CodeDraining {
			t.Errorf("got %v", err)
		}
	})
}

func TestCrashDuringAClickToCallEndsBothSides(t *testing.T) {
	for _, state := range []store.State{store.StateRingingManager, store.StateRingingCustomer, store.StateTalking} {
		t.Run(string(state), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", answering(managerTone)...)
				w.number(customer, answering(customerTone)...)
				id := w.click().ID
				w.until(id, state)
				time.Sleep(500 * time.Millisecond)
				w.crash()
				w.expect(w.end(id), store.ResultInterrupted, "OTHER", store.PartyUs)
				if n := w.endings(id); n != 1 {
					t.Errorf("%d terminal events", n)
				}
			})
		})
	}
}

func TestClickThatWaitsForMediaPortsIsInterruptedByTheServersEnd(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Media.Ports = configs.PortRange{First: 20000, Last: 20003} }, func(w *world) {
		w.phone("102", answering(otherTone)...)
		vera := w.dial("103", "102", lab.Tone(managerTone), lab.Talk(15*time.Second), lab.Bye())
		time.Sleep(2 * time.Second)
		id := w.click().ID
		if err := w.svc.Close(w.t.Context()); err != nil {
			t.Error(err)
		}
		<-vera.Ended()
		w.expect(w.end(id), store.ResultInterrupted, "OTHER", store.PartyUs)
	})
}

func TestClickWaitsForMediaPortsForAWhile(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Media.Ports = configs.PortRange{First: 20000, Last: 20003} }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(otherTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		vera := w.dial("103", "102", lab.Tone(managerTone), lab.Talk(10*time.Second), lab.Bye())
		time.Sleep(2 * time.Second)
		w.expect(w.end(w.click().ID), store.ResultCompleted, "200", "")
		<-vera.Ended()
		time.Sleep(30 * time.Second) // the ports rest
		long := w.dial("103", "102", lab.Tone(managerTone), lab.Talk(2*time.Minute), lab.Bye())
		time.Sleep(10 * time.Second)
		w.expect(w.end(w.click().ID), store.ResultTrunkFailed, "503", store.PartyUs)
		<-long.Ended()
	})
}
