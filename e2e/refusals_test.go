package e2e

import (
	"fmt"
	"testing"
	"time"
	"unicode"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// newRefusal is a foreign phone that does not take the call: with a status
// that it rings half a second before, or by another scenario.
func newRefusal(t *testing.T, how string) *sipp {
	t.Helper()
	if unicode.IsDigit(rune(how[0])) {
		return newSIPp(t, "refuses", "", "answer", how, "rings", "500", "reason", noReason)
	}
	return newSIPp(t, how, "")
}

// noReason is a Reason header that says nothing.
const noReason = `SIP;cause=0;text="none"`

// How a foreign customer's network refuses says how the call ends, and whose
// reason it was.
func TestForeignCustomerWhoIsNotReached(t *testing.T) {
	tests := []struct {
		answer, reason string
		rings          string // ms; empty: refused before anything rings
		result         store.Result
		code           string
		owner          store.Party
	}{
		{"486 Busy Here", "", "300", store.ResultCustomerBusy, "486", store.PartyCustomer},
		{"600 Busy Everywhere", "", "", store.ResultCustomerBusy, "486", store.PartyCustomer},
		{"603 Decline", "", "300", store.ResultCustomerDeclined, "603", store.PartyCustomer},
		{"403 Forbidden", `Q.850;cause=21;text="Call rejected"`, "300", store.ResultCustomerDeclined, "603", store.PartyCustomer},
		{"404 Not Found", "", "", store.ResultInvalidNumber, "404", store.PartyCustomer},
		{"604 Does Not Exist Anywhere", "", "", store.ResultInvalidNumber, "404", store.PartyCustomer},
		{"484 Address Incomplete", "", "", store.ResultDirection, "484", store.PartyCustomer},
		{"480 Temporarily Unavailable", "", "500", store.ResultCustomerUnavailable, "480", store.PartyCustomer},
		{"480 Temporarily Unavailable", `Q.850;cause=20;text="Subscriber absent"`, "300", store.ResultCustomerUnavailable, "480", store.PartyCustomer},
		{"480 Temporarily Unavailable", `Q.850;cause=19;text="No answer"`, "300", store.ResultCustomerNoAnswer, "304", store.PartyCustomer},
		{"480 Temporarily Unavailable", "", "10500", store.ResultCustomerNoAnswer, "304", store.PartyCustomer},
		{"408 Request Timeout", "", "10500", store.ResultCustomerNoAnswer, "304", store.PartyCustomer},
		{"402 Payment Required", "", "", store.ResultTrunkFailed, "402", store.PartyTrunk},
		{"403 Forbidden", "", "", store.ResultTrunkFailed, "403", store.PartyTrunk},
		{"302 Moved Temporarily", "", "", store.ResultTrunkFailed, "503", store.PartyTrunk},
		{"488 Not Acceptable Here", "", "", store.ResultTrunkFailed, "503", store.PartyTrunk},
		{"500 Server Internal Error", "", "", store.ResultTrunkFailed, "503", store.PartyTrunk},
		{"503 Service Unavailable", "", "300", store.ResultTrunkFailed, "503", store.PartyTrunk},
	}
	t.Parallel()
	customers, manager := make([]*sipp, len(tests)), newCarrier(t)
	manager.Number("*", lab.Manager(0))
	set := setup{trunk: manager.Addr().String(), manager: manager.Addr().String(), ports: 200, callback: ", customer_ring: 20s"}
	for i, tt := range tests {
		scenario := "refuses"
		if tt.rings == "" {
			scenario = "refuses-at-once"
		}
		if tt.reason == "" {
			tt.reason = noReason
		}
		customers[i] = newSIPp(t, scenario, "", "answer", tt.answer, "rings", tt.rings, "reason", tt.reason)
		set.others = append(set.others, customers[i].addr)
	}
	s := serve(t, set)
	ids := make([]string, len(tests))
	for i := range tests {
		id, _ := other(i)
		ids[i] = s.place(api.CallbackBody{Line: id, Number: fmt.Sprintf("+791600014%02d", i)}).ID
	}
	for i, tt := range tests {
		call := s.ended(ids[i], 40*time.Second)
		customers[i].passed(t, 10*time.Second)
		if value(call.Result) != string(tt.result) || value(call.Code) != tt.code || value(call.ReasonOwner) != string(tt.owner) {
			t.Errorf("%s after %s ms %s: the call ended with %s, code %s, reason of the %s (%s); want %s, %s, %s", tt.answer, tt.rings, tt.reason,
				value(call.Result), value(call.Code), value(call.ReasonOwner), value(call.Reason), tt.result, tt.code, tt.owner)
		}
	}
	atRest(t, manager)
	s.clean()
	s.stop()
}

// A provider that is silent, or in trouble of its own, is left for the line's
// next one.
func TestForeignTrunkThatFailsIsLeftForTheNext(t *testing.T) {
	tests := []struct {
		name, scenario, answer string
		least, most            time.Duration // until the next one is tried
	}{
		{"silent", "silent", "", 4 * time.Second, 6 * time.Second},
		{"503", "refuses-at-once", "503 Service Unavailable", 0, 2 * time.Second},
		{"500", "refuses-at-once", "500 Server Internal Error", 0, 2 * time.Second},
		{"403", "refuses-at-once", "403 Forbidden", 0, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := newSIPp(t, tt.scenario, "", "answer", tt.answer), newSIPp(t, "leaves", "", "talks", "300")
			manager := newPhone(t, 0)
			s := serve(t, setup{trunk: first.addr, backup: second.addr, manager: manager.Addr().String()})
			call := s.ended(s.place(api.CallbackBody{Number: "+79160000014"}).ID, 30*time.Second)
			first.passed(t, 10*time.Second)
			second.passed(t, 10*time.Second)
			atRest(t, manager)
			s.clean()
			s.stop()
			wantResult(t, call, store.ResultCompleted, "200")
			if n := len(manager.Parties()); n != 1 {
				t.Errorf("the manager was called %d times, want once", n)
			}
			var tries []time.Time
			for _, l := range call.Legs {
				if l.Role == string(store.RoleCustomer) {
					tries = append(tries, l.StartedAt)
				}
			}
			if len(tries) != 2 {
				t.Fatalf("the customer's legs are %+v, want two", call.Legs)
			}
			if d := tries[1].Sub(tries[0]); d < tt.least-50*time.Millisecond || d > tt.most {
				t.Errorf("the next trunk was tried after %s, want %s to %s", d, tt.least, tt.most)
			}
		})
	}
}

// A foreign manager hangs up two seconds after his answer: what the call comes
// to depends on how far it was.
func TestForeignManagerWhoHangsUp(t *testing.T) {
	tests := []struct {
		name     string
		text     string
		customer lab.Script
		result   store.Result
		code     string
		called   int
		sees     lab.Kind // what the customer's phone gets
	}{
		{"in the announcement", announcement + " " + announcement, lab.Customer(0), store.ResultManagerHungUp, "603-S", 0, ""},
		{"while the customer rings", "", lab.Customer(time.Minute), store.ResultManagerHungUp, "603-S", 1, lab.Cancelled},
		{"in the talk", "", lab.Customer(0), store.ResultCompleted, "200", 1, lab.ByeReceived},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const number = "+79160000015"
			manager, customers := newSIPp(t, "leaves", "", "talks", "2000"), newCarrier(t)
			customers.Number(number, tt.customer)
			s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.addr})
			call := s.ended(s.place(api.CallbackBody{Number: number, Text: tt.text}).ID, 20*time.Second)
			manager.passed(t, 10*time.Second)
			atRest(t, customers)
			s.clean()
			s.stop()
			wantResult(t, call, tt.result, tt.code)
			if got := value(call.HangupBy); got != string(store.PartyManager) {
				t.Errorf("hung up by %q, want the manager", got)
			}
			parties := customers.Parties()
			if len(parties) != tt.called {
				t.Fatalf("the customer was called %d times, want %d", len(parties), tt.called)
			}
			for _, p := range parties {
				if _, saw := p.Event(tt.sees); !saw {
					t.Errorf("the customer's phone was not told (%s): %v", tt.sees, p.Timeline())
				}
			}
		})
	}
}
