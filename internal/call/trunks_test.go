package call_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/sip"
)

func places(words []string) []sip.Place {
	all := make([]sip.Place, 0, len(words))
	for _, w := range words {
		all = append(all, sip.Place(w))
	}
	return all
}

// began is when the INVITE of a call came.
func began(p *lab.Party) time.Time {
	e, _ := p.Event(lab.Invited)
	return e.At
}

// bothTrunks gives the line a second trunk.
func bothTrunks(c *configs.Config) { c.Lines[0].Trunks = []string{"provider", "backup"} }

// Every way in which a trunk can fail, and the other one that has the call.
func TestCustomerIsReachedThroughTheOtherTrunkWhenTheFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		steps lab.Script
		most  time.Duration // until the other one has it
	}{
		"has no route":        {lab.Script{lab.Reject(503, "Service Unavailable", "Reason: Q.850;cause=34")}, time.Second},
		"is overloaded":       {lab.Script{lab.Reject(503, "Service Unavailable", "Retry-After: 60")}, time.Second},
		"has an error":        {lab.Script{lab.Trying(), lab.Reject(500, "Server Internal Error")}, time.Second},
		"times out":           {lab.Script{lab.Trying(), lab.Reject(504, "Server Time-out")}, time.Second},
		"is silent":           {lab.Script{lab.Silence()}, 5 * time.Second},
		"never rings":         {lab.Script{lab.Trying()}, 11 * time.Second},
		"is out of funds":     {lab.Script{lab.Reject(402, "Payment Required")}, time.Second},
		"forbids it":          {lab.Script{lab.Reject(403, "Forbidden")}, time.Second},
		"speaks another tone": {lab.Script{lab.Reject(488, "Not Acceptable Here")}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, bothTrunks, func(w *world) {
				w.phone("101", answering(managerTone)...)
				w.carrier.Number(customer, tt.steps)
				w.backup.Number(customer, hangingUpAfter(customerTone, 3*time.Second))
				rec := w.end(w.callback().ID)
				w.expect(rec, store.ResultCompleted, "200", "")
				first, second := w.party(w.carrier, customer, 1), w.party(w.backup, customer, 1)
				if took := began(second).Sub(began(first)); took > tt.most {
					t.Errorf("the other trunk had the call after %s", took)
				}
				if rec.Customer == nil || w.rung(w.phones["101"], "101") != 1 {
					t.Errorf("the customer is %+v, the manager was rung %d times", rec.Customer, w.rung(w.phones["101"], "101"))
				}
			})
		})
	}
}

func TestCustomerWhoDoesNotWantToTalkIsNotAskedAgainThroughAnotherTrunk(t *testing.T) {
	for _, status := range []int{404, 486, 600, 603} {
		inWorld(t, bothTrunks, func(w *world) {
			w.phone("101", answering(managerTone)...)
			w.carrier.Number(customer, lab.Script{lab.Ring(0), lab.Reject(status, "No")})
			w.end(w.callback().ID)
			if w.rung(w.backup, customer) != 0 {
				t.Errorf("%d: the customer was rung a second time", status)
			}
		})
	}
}

func TestTrunkThatAskedToBeLeftAloneIsPassedOverForThatLong(t *testing.T) {
	inWorld(t, bothTrunks, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.carrier.Turns(customer, lab.Script{lab.Reject(503, "Service Unavailable", "Retry-After: 120")}, hangingUpAfter(customerTone, time.Second))
		w.backup.Number(customer, hangingUpAfter(customerTone, time.Second))
		reached := func(provider, backup int) {
			t.Helper()
			w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
			if a, b := w.rung(w.carrier, customer), w.rung(w.backup, customer); a != provider || b != backup {
				t.Errorf("the first trunk was asked %d times, the other %d; want %d and %d", a, b, provider, backup)
			}
		}
		reached(1, 1)
		reached(1, 2) // the first one is left alone
		time.Sleep(2 * time.Minute)
		reached(2, 2)
	})
}

func TestTrunkThatAsksForARestIsUsedWhereThereIsNoOther(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.carrier.Turns(customer, lab.Script{lab.Reject(503, "Service Unavailable", "Retry-After: 120")}, hangingUpAfter(customerTone, time.Second))
		w.expect(w.end(w.callback().ID), store.ResultTrunkFailed, "503", store.PartyTrunk)
		w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
	})
}

func TestFullTrunkLeavesTheCallToTheNext(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		bothTrunks(c)
		c.Trunks[0].MaxCalls = 1
		c.Lines[0].Route = []configs.Step{{Group: &configs.GroupStep{Members: []string{"101", "102"}, Strategy: "in_order"}}}
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 20*time.Second)...)
		first := w.callback().ID
		w.until(first, store.StateTalking)
		w.backup.Number(other(1), hangingUpAfter(customerTone, time.Second))
		w.expect(w.end(w.callbackTo(other(1))), store.ResultCompleted, "200", "")
		if w.rung(w.carrier, other(1)) != 0 {
			t.Error("the full trunk was asked")
		}
		w.expect(w.end(first), store.ResultCompleted, "200", "")
	})
}

func TestCallbackWaitsForAFullTrunkWithoutRingingTheManager(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Trunks[0].MaxCalls = 1
		c.Lines[0].Route = []configs.Step{{Group: &configs.GroupStep{Members: []string{"101", "102"}, Strategy: "in_order"}}}
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 30*time.Second)...)
		w.number(other(1), hangingUpAfter(customerTone, time.Second)...)
		first := w.callback().ID
		w.until(first, store.StateTalking)
		second := w.callbackTo(other(1))
		time.Sleep(20 * time.Second)
		if w.rung(w.phones["102"], "102") != 0 {
			t.Error("a manager was rung for a customer who cannot be called")
		}
		w.expect(w.end(first), store.ResultCompleted, "200", "")
		w.expect(w.end(second), store.ResultCompleted, "200", "")
	})
}

func TestCallerHearsBusyWhereTheTrunkIsFull(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Trunks[0].MaxCalls = 1 }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		first := w.inbound(lab.Talk(10*time.Second), lab.Bye())
		w.party(w.phones["101"], "101", 1)
		time.Sleep(time.Second)
		second := w.inbound()
		<-second.Ended()
		if e, _ := second.Event(lab.Refused); e.Status != 486 {
			t.Errorf("the second caller got %d", e.Status)
		}
		<-first.Ended()
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 2 {
			t.Fatal(len(calls), err)
		}
		slices.SortFunc(calls, func(a, b store.Call) int { return a.CreatedAt.Compare(b.CreatedAt) })
		w.expect(w.end(calls[0].ID), store.ResultCompleted, "200", "")
		w.expect(calls[1], store.ResultMissed, "503", store.PartyUs)
		if calls[1].Reason != "all calls of trunk provider are in use" || calls[1].Number != "+"+customer {
			t.Errorf("%s: %s", calls[1].Number, calls[1].Reason)
		}
		if s, _ := w.agent.TrunkState("provider"); s.Incoming != 0 || s.Refused != 1 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

func TestCallsWaitForTheirTurnOnTheOnlyTrunk(t *testing.T) {
	no := false
	inWorld(t, func(c *configs.Config) {
		c.Trunks[0].CPS = 1
		c.Lines[0].Route = []configs.Step{{Mobile: &configs.MobileStep{Number: "+" + mobile, Confirm: &no}}}
	}, func(w *world) {
		w.number(mobile, answering(managerTone)...)
		var callers []*lab.Party
		for range 4 {
			callers = append(callers, w.inbound(lab.Talk(5*time.Second), lab.Bye()))
		}
		refused := 0
		for _, p := range callers {
			<-p.Ended()
			if e, ok := p.Event(lab.Refused); ok {
				refused++
				if e.Status != 503 {
					t.Errorf("a caller got %d", e.Status)
				}
			}
		}
		rung := w.carrier.Calls(mobile)
		if len(rung) != 3 || refused != 1 { // at once, after a second, after two; nobody waits longer
			t.Fatalf("%d calls were passed on, %d refused", len(rung), refused)
		}
		for i := range 2 {
			if gap := began(rung[i+1]).Sub(began(rung[i])); gap < time.Second || gap > 1100*time.Millisecond {
				t.Errorf("%s between two calls, want a second", gap)
			}
		}
	})
}

// What a mobile is shown of a customer whose call is passed on.
func TestPassedOnCallTellsTheTrunkWhoCallsWhereItWantsThat(t *testing.T) {
	no := false
	everywhere := func(c *configs.Config) {
		c.Trunks[0].CallerIDOut = []string{"from", "p-asserted-identity", "remote-party-id", "diversion"}
		c.Lines[0].Route = []configs.Step{{Mobile: &configs.MobileStep{Number: "+" + mobile, Confirm: &no}}}
	}
	inWorld(t, everywhere, func(w *world) {
		w.number(mobile, answering(managerTone)...)
		caller := w.inbound(lab.Talk(2*time.Second), lab.Bye())
		<-caller.Ended()
		p := w.party(w.carrier, mobile, 1)
		if p.From() != lineNumber || p.Asserted() != "+"+customer || !strings.Contains(p.Invite().Get("Remote-Party-ID"), customer) ||
			!strings.Contains(p.Invite().Get("Diversion"), "sip:"+lineNumber+"@") {
			t.Errorf("From %s, asserted %s, Remote-Party-ID %s, Diversion %s", p.From(), p.Asserted(), p.Invite().Get("Remote-Party-ID"), p.Invite().Get("Diversion"))
		}
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
	})
	inWorld(t, everywhere, func(w *world) { // the customer's own leg is nobody's else
		w.number(mobile, answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, time.Second)...)
		w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
		p := w.party(w.carrier, customer, 1)
		if p.From() != lineNumber || p.Asserted() != lineNumber || p.Invite().Get("Diversion") != "" {
			t.Errorf("From %s, asserted %s, Diversion %s", p.From(), p.Asserted(), p.Invite().Get("Diversion"))
		}
	})
}

func TestAnonymousCallerHasNoNumber(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		p, err := w.carrier.Call(context.Background(), lab.CallOptions{
			To: netip.MustParseAddrPort("10.0.0.1:5060"), User: lineNumber, From: customer, Display: "Anna",
			Headers: []string{"Privacy: id"}, Script: lab.Script{lab.Talk(time.Second), lab.Bye()},
		})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Ended()
		rec := w.onlyCall()
		if rec.Number != "" {
			t.Errorf("stored as a call of %q", rec.Number)
		}
		phone := w.party(w.phones["101"], "101", 1)
		if phone.From() != "anonymous" || phone.DisplayName() == "Anna" {
			t.Errorf("the phone shows %q %s", phone.DisplayName(), phone.From())
		}
	})
}

func TestNumberThatWasDialledMayStandInDiversion(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Trunks[0].NumberIn, c.Trunks[0].CallerIDIn = "diversion", "p-asserted-identity"
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		p, err := w.carrier.Call(context.Background(), lab.CallOptions{
			To: netip.MustParseAddrPort("10.0.0.1:5060"), User: "trunk-user", From: "account", Asserted: "+" + customer,
			Headers: []string{"Diversion: <sip:" + lineNumber + "@10.0.0.2>;reason=unconditional"}, Script: lab.Script{lab.Talk(time.Second), lab.Bye()},
		})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Number != "+"+customer || rec.Line != "main" {
			t.Errorf("stored as a call of %s to %s", rec.Number, rec.Line)
		}
	})
}
