package e2e

import (
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A foreign SIP stack calls the line. It checks what it is answered.
func TestForeignCaller(t *testing.T) {
	tests := []struct {
		name, scenario string
		called         string // default: the line's number
		status         string // that it is refused with
		manager        lab.Script
		result         store.Result // none: there is no call
		code           string
		hangupBy       store.Party
	}{
		{"talks and hangs up", "calls-and-leaves", "", "", lab.Manager(200 * time.Millisecond), store.ResultCompleted, "200", store.PartyCustomer},
		{"talks and is hung up on", "calls-and-is-left", "", "", append(lab.Manager(0), lab.Talk(time.Second), lab.Bye()), store.ResultCompleted, "200", store.PartyManager},
		{"gives up while it rings", "calls-and-gives-up", "", "", lab.Manager(time.Minute), store.ResultAbandoned, "304", store.PartyCustomer},
		{"offers late", "offers-late", "", "", lab.Manager(200 * time.Millisecond), store.ResultCompleted, "200", store.PartyCustomer},
		{"refreshes its session", "refreshes", "", "", lab.Manager(0), store.ResultCompleted, "200", store.PartyCustomer},
		{"hurries", "hurries", "", "", lab.Manager(0), store.ResultCompleted, "200", store.PartyCustomer},
		{"withdraws at once", "withdraws-at-once", "", "", lab.Manager(time.Minute), store.ResultAbandoned, "304", store.PartyCustomer},
		{"loses packets", "loses", "", "", lab.Manager(200 * time.Millisecond), store.ResultCompleted, "200", store.PartyCustomer},
		{"loses other packets", "loses", "", "", lab.Manager(0), store.ResultCompleted, "200", store.PartyCustomer},
		{"finds the phone busy", "calls-in-vain", "", "486", lab.Script{lab.Ring(0), lab.Reject(486, "Busy Here")}, store.ResultBusy, "486", ""},
		{"is declined", "calls-in-vain", "", "603", lab.Script{lab.Ring(0), lab.Reject(603, "Decline")}, store.ResultMissed, "304", ""},
		{"is not answered", "calls-in-vain", "", "480", lab.Script{lab.Ring(0)}, store.ResultMissed, "304", ""},
		{"dials a number of nobody", "calls-in-vain", "+74950000009", "404", lab.Manager(0), "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			carrier, manager := newCarrier(t), newCarrier(t)
			manager.Number(managerPort, tt.manager)
			s := serve(t, setup{
				trunk: carrier.Addr().String(), trunkMore: ", peers: [127.0.0.1/32]", manager: manager.Addr().String(), callback: quick,
			})
			if tt.called == "" {
				tt.called = lineNumber
			}
			caller := newSIPp(t, tt.scenario, s.sipAddr(), "called", tt.called, "talks", "1000", "status", tt.status)
			caller.passed(t, 40*time.Second)
			atRest(t, manager)
			s.clean()
			calls := s.inbound()
			if tt.result == "" {
				if len(calls) != 0 {
					t.Errorf("there are %d calls, want none", len(calls))
				}
				return
			}
			if len(calls) != 1 {
				t.Fatalf("there are %d calls, want one", len(calls))
			}
			call := s.ended(calls[0].ID, 10*time.Second)
			s.stop()
			wantResult(t, call, tt.result, tt.code)
			if got := value(call.HangupBy); tt.hangupBy != "" && got != string(tt.hangupBy) {
				t.Errorf("hung up by %q, want the %s", got, tt.hangupBy)
			}
		})
	}
}

// inbound are the calls that came in.
func (s *server) inbound() []api.Call {
	s.t.Helper()
	return s.list(store.KindInbound)
}

// list returns the calls of a kind, the newest first.
func (s *server) list(kind store.Kind) []api.Call {
	s.t.Helper()
	list, err := s.Calls(within(s.t, 10*time.Second), map[string]string{"kind": string(kind)})
	if err != nil {
		s.t.Fatalf("list the %s calls: %v", kind, err)
	}
	return list.Calls
}
