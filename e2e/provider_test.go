package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/certtest"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A provider with a registrar and a proxy between us and everybody outside: we
// register there, call and are called, stay so when it loses all its memory,
// and take our own binding back at the end.
func TestProviderWithARegistrar(t *testing.T) {
	tests := []struct {
		name, transport string
		listens         bool // on TCP, so that the provider can connect
		habits
	}{
		{"UDP, MD5", "udp", false, habits{digest: "MD5"}},
		{"UDP, SHA-256", "udp", false, habits{digest: "SHA-256", numberInURI: true}},
		{"TCP, MD5", "tcp", true, habits{digest: "MD5"}},
		{"TCP by connections of ours alone", "tcp", false, habits{digest: "MD5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			throughProvider(t, tt.transport, tt.listens, tt.habits)
		})
	}
}

// throughProvider is the life of a trunk that is registered. listens says
// whether the provider can connect to us.
func throughProvider(t *testing.T, transport string, listens bool, h habits) {
	t.Helper()
	network, manager := newCarrier(t), newPhone(t, 200*time.Millisecond)
	k := newKamailio(t, network.Addr(), h)
	var own *certtest.CA
	more := ""
	if transport == "tls" {
		more = fmt.Sprintf(", tls: {ca: %q}", k.authority())
		if listens {
			own = h.tls
		}
	}
	s := serve(t, setup{
		trunk: k.hostFor(transport), manager: manager.Addr().String(), callback: quick, tcp: listens && transport == "tcp", tls: own,
		trunkMore: fmt.Sprintf(", transport: %s, register: true, expires: 60s, options: 5s, try: 1s, username: %s, password: %q",
			transport, account, trunkPassword) + more,
	})
	s.awaitTrunk("up")
	if !k.binds(s.contactAddr(transport)) {
		t.Fatalf("the trunk is registered, Kamailio has %q", k.bindings())
	}
	callOut(t, s, network, "+79160000040")
	callIn(t, s, k, network)

	k.kill()
	s.awaitEvent(store.EventTrunkDown)
	s.awaitTrunk("down")
	const patient = "+79160000042"
	network.Number(patient, append(lab.Customer(0), lab.Talk(300*time.Millisecond), lab.Bye()))
	rung, waiting := len(manager.Parties()), s.place(api.CallbackBody{Number: patient})
	k.start()
	s.awaitEvent(store.EventTrunkUp)
	s.awaitTrunk("up")
	if !k.binds(s.contactAddr(transport)) {
		t.Fatalf("the trunk is up again, Kamailio has %q", k.bindings())
	}
	wantResult(t, s.ended(waiting.ID, 20*time.Second), store.ResultCompleted, "200")
	if n := len(manager.Parties()) - rung; n != 1 {
		t.Errorf("the manager was rung %d times for a callback that had to wait for the trunk, want once", n)
	}
	callOut(t, s, network, "+79160000043")
	callIn(t, s, k, network)

	const other = "127.0.0.1:9" // a device of the same account
	if h.digest == "MD5" {      // SIPp knows no other
		k.bind(other)
	}
	atRest(t, network, manager)
	s.clean()
	s.stop()
	if k.binds(s.contactAddr(transport)) {
		t.Errorf("after the end Kamailio still has %q", k.bindings())
	}
	if h.digest == "MD5" && !k.binds(other) {
		t.Errorf("the end took the binding of another device back, too: Kamailio has %q", k.bindings())
	}
}

// awaitTrunk waits until the trunk is down, or up and registered.
func (s *server) awaitTrunk(state string) {
	s.t.Helper()
	var trunk api.Trunk
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the trunk: %+v, %s", trunk, value(trunk.Reason))
		}
	}()
	eventually(s.t, 30*time.Second, "the trunk is "+state, func() bool {
		list, err := s.Trunks(within(s.t, 10*time.Second))
		if err != nil || len(list.Trunks) == 0 {
			s.t.Fatalf("list the trunks: %v", err)
		}
		trunk = list.Trunks[0]
		return trunk.State == state && (state == "down" || trunk.Registered)
	})
}

// awaitEvent waits for the first event of a type.
func (s *server) awaitEvent(kind string) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, "there is an event "+kind, func() bool {
		var page api.EventList
		if err := json.Unmarshal([]byte(s.get("/api/v1/events?limit=1000&type="+kind)), &page); err != nil {
			s.t.Fatal(err)
		}
		return len(page.Events) > 0
	})
}

// callOut calls a customer back through the provider.
func callOut(t *testing.T, s *server, network *lab.Carrier, number string) {
	t.Helper()
	callOutOn(t, s, network, line, number)
}

// callOutOn is callOut by a line.
func callOutOn(t *testing.T, s *server, network *lab.Carrier, line, number string) {
	t.Helper()
	network.Number(number, append(lab.Customer(200*time.Millisecond), lab.Talk(1500*time.Millisecond), lab.Bye()))
	call := s.ended(s.place(api.CallbackBody{Line: line, Number: number}).ID, 20*time.Second)
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
