package e2e

import (
	"slices"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
)

// quick are the timers of tests that wait for them.
const quick = ", ring: 2s, customer_ring: 2s"

// A foreign SIP stack plays the customer. It checks every message that it
// gets, the test checks what the call came to.
func TestForeignCustomer(t *testing.T) {
	password := ", username: " + account + ", password: \"" + trunkPassword + "\""
	tests := []struct {
		scenario  string
		result    store.Result
		code      string
		owner     store.Party
		hangupBy  store.Party
		trunkMore string
		end       func(*server, api.Call) // ends the talk; nil: the scenario does
		check     func(*testing.T, api.Call)
		patience  time.Duration // how long it may last; 0: 20 s
	}{
		{scenario: "rings", result: store.ResultCustomerNoAnswer, code: "304", owner: store.PartyCustomer, check: wantRing(2 * time.Second)},
		{scenario: "crosses", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon}, // in time after all
		{scenario: "early", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon, check: wantRing(1500 * time.Millisecond)},
		{scenario: "talks", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon, check: wantRing(time.Second)},
		{scenario: "leaves", result: store.ResultCompleted, code: "200", hangupBy: store.PartyCustomer},
		{scenario: "holds", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpAfterHold},
		{scenario: "forks", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon},
		{scenario: "asks-as-a-proxy", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon, trunkMore: password},
		{scenario: "asks-for-a-password", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon, trunkMore: password},
		{scenario: "answers-at-once", result: store.ResultCompleted, code: "200", hangupBy: store.PartyUs, end: hangUpSoon},
		{scenario: "meets", result: store.ResultCompleted, code: "200", hangupBy: store.PartyCustomer, patience: time.Minute},
		{scenario: "stalls", result: store.ResultTrunkFailed, code: "503", owner: store.PartyTrunk},
	}
	for _, tt := range tests {
		t.Run(tt.scenario, func(t *testing.T) {
			t.Parallel()
			customer := newSIPp(t, tt.scenario, "", "talks", "0", "trunk_password", trunkPassword)
			manager := newPhone(t, 200*time.Millisecond)
			s := serve(t, setup{trunk: customer.addr, trunkMore: tt.trunkMore, manager: manager.Addr().String(), callback: quick})

			call := s.place(api.CallbackBody{Number: "+79160000010"})
			if tt.end != nil {
				tt.end(s, call)
			}
			call = s.ended(call.ID, max(tt.patience, 20*time.Second))
			customer.passed(t, 20*time.Second)
			atRest(t, manager)
			s.clean()
			s.stop()

			wantResult(t, call, tt.result, tt.code)
			if got := value(call.ReasonOwner); got != string(tt.owner) {
				t.Errorf("the reason is of %q, want %q", got, tt.owner)
			}
			if got := value(call.HangupBy); tt.hangupBy != "" && got != string(tt.hangupBy) {
				t.Errorf("hung up by %q, want %q", got, tt.hangupBy)
			}
			if tt.check != nil {
				tt.check(t, call)
			}
		})
	}
}

const trunkPassword = "s3cret-of-the-trunk"

// hangUpSoon ends a talk after a second.
func hangUpSoon(s *server, c api.Call) {
	s.t.Helper()
	s.until(c.ID, store.StateTalking, 20*time.Second)
	began := time.Now()
	eventually(s.t, 5*time.Second, "the talk has lasted a second", func() bool { return time.Since(began) > time.Second })
	if _, err := s.Hangup(within(s.t, 10*time.Second), c.ID); err != nil {
		s.t.Errorf("hang up: %v", err)
	}
}

// hangUpAfterHold ends a talk when hold and resume are over.
func hangUpAfterHold(s *server, c api.Call) {
	s.t.Helper()
	s.until(c.ID, store.StateTalking, 20*time.Second)
	began := time.Now()
	eventually(s.t, 8*time.Second, "hold and resume are over", func() bool { return time.Since(began) > 4*time.Second })
	if _, err := s.Hangup(within(s.t, 10*time.Second), c.ID); err != nil {
		s.t.Errorf("hang up: %v", err)
	}
}

// legOf is the last leg of a role.
func legOf(t *testing.T, c api.Call, role store.Role) api.Leg {
	t.Helper()
	for _, l := range slices.Backward(c.Legs) {
		if l.Role == string(role) {
			return l
		}
	}
	t.Fatalf("the call has no leg of a %s", role)
	return api.Leg{}
}

// wantRing expects the customer's phone to have rung for a time, a second more
// at most.
func wantRing(d time.Duration) func(*testing.T, api.Call) {
	return func(t *testing.T, c api.Call) {
		t.Helper()
		if got := time.Duration(c.RingMS) * time.Millisecond; got < d-100*time.Millisecond || got > d+time.Second {
			t.Errorf("ring_ms is %d, the phone rang for about %s", c.RingMS, d)
		}
	}
}

// The same from the manager's side: nobody answers for us, so the customer
// must not be called. Who is busy is waited for, as long as the callback lives.
func TestForeignManagerWhoIsNotReached(t *testing.T) {
	for _, scenario := range []string{"486 Busy Here", "603 Decline", "404 Not Found", "480 Temporarily Unavailable", "rings", "crosses", "silent"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			manager := newRefusal(t, scenario)
			customers := newCarrier(t)
			s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.addr, callback: quick + ", ttl: 3s"})

			call := s.place(api.CallbackBody{Number: "+79160000011", Text: "Новая заявка"})
			call = s.ended(call.ID, 20*time.Second)
			manager.passed(t, 20*time.Second)
			s.clean()
			s.stop()

			wantResult(t, call, store.ResultManagerUnavailable, "304")
			if got := value(call.ReasonOwner); got != string(store.PartyManager) {
				t.Errorf("the reason is of %q, want the manager", got)
			}
			if n := len(customers.Parties()); n != 0 {
				t.Errorf("the customer was called %d times, want never", n)
			}
		})
	}
}

// A caller who never acknowledges our answer is not talked to for ever: after
// 32 seconds everybody gets BYE.
func TestForeignCallerWhoNeverAcknowledges(t *testing.T) {
	t.Parallel()
	carrier := newCarrier(t)
	manager := newPhone(t, 200*time.Millisecond)
	s := serve(t, setup{
		trunk: carrier.Addr().String(), trunkMore: ", peers: [127.0.0.1/32]", manager: manager.Addr().String(),
	})
	caller := newSIPp(t, "never-acknowledges", s.sipAddr(), "called", lineNumber)
	caller.passed(t, 50*time.Second)
	atRest(t, manager)
	calls, err := s.Calls(within(t, 10*time.Second), map[string]string{"kind": "inbound"})
	if err != nil || len(calls.Calls) != 1 {
		t.Fatalf("there are %d inbound calls, want one: %v", len(calls.Calls), err)
	}
	call := s.ended(calls.Calls[0].ID, 10*time.Second)
	if got := value(call.HangupBy); got != string(store.PartyTrunk) {
		t.Errorf("hung up by %q, want the trunk: %s", got, value(call.Reason))
	}
	s.clean()
	s.stop()
}
