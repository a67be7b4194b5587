package e2e

import (
	"fmt"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A provider with a proxy of its own between us and everybody outside.
func TestCallsThroughAProvidersProxy(t *testing.T) {
	for _, digest := range []string{"MD5", "SHA-256"} {
		t.Run(digest, func(t *testing.T) {
			t.Parallel()
			network, manager := newCarrier(t), newPhone(t, 200*time.Millisecond)
			k := newKamailio(t, network.Addr(), digest)
			s := serve(t, setup{
				trunk: k.addr().String(), manager: manager.Addr().String(), callback: quick,
				trunkMore: fmt.Sprintf(", username: %s, password: %q", account, trunkPassword),
			})
			callOut(t, s, network, "+79160000040")
			if digest == "MD5" { // SIPp knows no other
				k.bind(s.sipAddr())
				callIn(t, s, k, network)
			}
			atRest(t, network, manager)
			s.clean()
			s.stop()
		})
	}
}

// callOut calls a customer back through the provider.
func callOut(t *testing.T, s *server, network *lab.Carrier, number string) {
	t.Helper()
	network.Number(number, append(lab.Customer(200*time.Millisecond), lab.Talk(1500*time.Millisecond), lab.Bye()))
	call := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	if got := value(call.HangupBy); got != string(store.PartyCustomer) {
		t.Errorf("hung up by %q, want the customer", got)
	}
	customer := network.Calls(number)
	if len(customer) != 1 {
		t.Fatalf("the customer was called %d times, want once", len(customer))
	}
	if d := customer[0].HeardFor(lab.ManagerTone); d < time.Second {
		t.Errorf("the customer heard the manager for %s, want a second", d)
	}
}

// callIn calls the line from outside through the provider. Our side hangs up.
func callIn(t *testing.T, s *server, k *kamailio, network *lab.Carrier) {
	t.Helper()
	const number = "+79160000041"
	caller, err := network.Call(within(t, 10*time.Second), lab.CallOptions{
		To: k.addr(), User: lineNumber, From: number, Script: lab.Script{lab.Tone(lab.CustomerTone)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := caller.Until(within(t, 20*time.Second), lab.Acked); err != nil {
		t.Fatalf("%v: %v", err, caller.Timeline())
	}
	list, err := s.Calls(within(t, 10*time.Second), map[string]string{"kind": "inbound", "limit": "1"})
	if err != nil || len(list.Calls) != 1 {
		t.Fatalf("there are %d inbound calls, want one: %v", len(list.Calls), err)
	}
	hangUpSoon(s, list.Calls[0])
	if _, err := caller.Until(within(t, 10*time.Second), lab.ByeReceived); err != nil {
		t.Errorf("%v: %v", err, caller.Timeline())
	}
	call := s.ended(list.Calls[0].ID, 10*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	if call.Number != number {
		t.Errorf("the caller's number is %q, want %q", call.Number, number)
	}
	if d := caller.HeardFor(lab.ManagerTone); d < 500*time.Millisecond {
		t.Errorf("the caller heard the manager for %s, want a second", d)
	}
}
