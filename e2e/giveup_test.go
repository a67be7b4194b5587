package e2e

import (
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// While the customer's phone rings somebody here gives up: it must stop, also
// where its answer crosses our CANCEL.
func TestForeignCustomerWhoIsGivenUpOn(t *testing.T) {
	leaves := append(lab.Manager(0), lab.Talk(time.Second), lab.Bye())
	tests := []struct {
		name, scenario string
		manager        lab.Script
		end            func(*server, api.Call) // nil: the manager hangs up
		result         store.Result
		owner          store.Party
	}{
		{"by the manager", "rings", leaves, nil, store.ResultManagerHungUp, store.PartyManager},
		{"by the manager, and the answer crosses", "crosses", leaves, nil, store.ResultManagerHungUp, store.PartyManager},
		{"through the API", "rings", lab.Manager(0), hangUpRinging, store.ResultCancelled, store.PartyUs},
		{"through the API, and the answer crosses", "crosses", lab.Manager(0), hangUpRinging, store.ResultCancelled, store.PartyUs},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			customer, manager := newSIPp(t, tt.scenario, ""), newCarrier(t)
			manager.Number(managerPort, tt.manager)
			s := serve(t, setup{trunk: customer.addr, manager: manager.Addr().String()})
			call := s.place(api.CallbackBody{Number: "+79160000012"})
			if tt.end != nil {
				tt.end(s, call)
			}
			call = s.ended(call.ID, 20*time.Second)
			customer.passed(t, 20*time.Second)
			atRest(t, manager)
			s.clean()
			s.stop()
			wantResult(t, call, tt.result, "603-S")
			if got := value(call.ReasonOwner); got != string(tt.owner) {
				t.Errorf("the reason is of %q, want %q", got, tt.owner)
			}
		})
	}
}

// hangUpRinging ends a call when the customer's phone has begun to ring.
func hangUpRinging(s *server, c api.Call) {
	s.t.Helper()
	eventually(s.t, 20*time.Second, "the customer's phone rings", func() bool {
		for _, l := range s.call(c.ID).Legs {
			if l.Role == string(store.RoleCustomer) && l.State == string(store.LegRinging) {
				return true
			}
		}
		return false
	})
	if _, err := s.Hangup(within(s.t, 10*time.Second), c.ID); err != nil {
		s.t.Errorf("hang up: %v", err)
	}
}
