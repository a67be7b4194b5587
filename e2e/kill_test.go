package e2e

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// killed is a call in which the server is killed, with all that is around it.
type killed struct {
	*server
	manager, customers *lab.Carrier
	call               api.Call
}

const killedNumber = "+79160000030"

// The server is killed in every stage of a call and started again with the
// same data. What it left on the phones is ended, and the call comes to one
// end: a customer who answered is not called again, everybody else is.
func TestKilledServerLeavesNothingBehind(t *testing.T) {
	tests := []struct {
		name     string
		manager  lab.Script
		customer lab.Script
		when     func(*testing.T, *killed) // waits for the moment
		down     func(*testing.T, *killed) // what happens before the new start; may be nil
		result   store.Result
		code     string
		managers int // how often the manager is called in all
		called   int // and the customer
		recorded bool
	}{
		{
			name: "directly after the request was accepted", manager: lab.Manager(300 * time.Millisecond), customer: shortTalk(),
			when: func(*testing.T, *killed) {}, result: store.ResultCompleted, code: "200", managers: -1, called: 1,
		},
		{
			name: "while the manager rings", manager: lab.Manager(3 * time.Second), customer: shortTalk(),
			when: managerRings, result: store.ResultCompleted, code: "200", managers: 2, called: 1,
		},
		{
			name: "during the announcement", manager: lab.Manager(0), customer: shortTalk(),
			when: announcing, result: store.ResultCompleted, code: "200", managers: 2, called: 1,
		},
		{
			name: "while the customer rings", manager: lab.Manager(0), customer: append(lab.Customer(3*time.Second), lab.Talk(time.Second), lab.Bye()),
			when: customerRings, result: store.ResultCompleted, code: "200", managers: 2, called: 2,
		},
		{
			name: "before the customer answers", manager: lab.Manager(0), customer: lab.Customer(500 * time.Millisecond),
			when: customerRings, down: customerAnswers, result: store.ResultInterrupted, code: "OTHER", managers: 1, called: 1,
		},
		{
			name: "before the manager answers", manager: lab.Manager(500 * time.Millisecond), customer: shortTalk(),
			when: managerRings, down: managerAnswers, result: store.ResultCompleted, code: "200", managers: 2, called: 1,
		},
		{
			name: "while they talk", manager: lab.Manager(0), customer: lab.Customer(300 * time.Millisecond),
			when: talking, result: store.ResultInterrupted, code: "OTHER", managers: 1, called: 1, recorded: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := &killed{manager: newCarrier(t), customers: newCarrier(t)}
			k.manager.Number(managerPort, tt.manager)
			k.customers.Number(killedNumber, tt.customer)
			k.server = serve(t, setup{trunk: k.customers.Addr().String(), manager: k.manager.Addr().String()})
			k.call = k.place(api.CallbackBody{Number: killedNumber, Text: announcement})
			tt.when(t, k)
			k.kill()
			before := len(k.manager.Parties())
			if tt.down != nil {
				tt.down(t, k)
			}
			k.start()

			call := k.ended(k.call.ID, 30*time.Second)
			atRest(t, k.manager, k.customers)
			k.clean()
			k.stop()
			wantResult(t, call, tt.result, tt.code)
			if tt.managers < 0 { // the moment may be before the call or in it
				tt.managers = before + 1
			}
			if n := len(k.manager.Parties()); n != tt.managers {
				t.Errorf("the manager was called %d times, want %d", n, tt.managers)
			}
			if n := len(k.customers.Parties()); n != tt.called {
				t.Errorf("the customer was called %d times, want %d", n, tt.called)
			}
			wantOrphansEnded(t, k)
			if tt.recorded && (call.Recording == nil || call.Recording.DurationMS < 1000) {
				t.Errorf("the recording of what was said before the end is %+v, want a second at least", call.Recording)
			}
		})
	}
}

func shortTalk() lab.Script {
	return append(lab.Customer(300*time.Millisecond), lab.Talk(time.Second), lab.Bye())
}

// reached waits until a phone has come to a point.
func reached(t *testing.T, c *lab.Carrier, number string, kind lab.Kind) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	p, err := c.Wait(ctx, number, 1)
	if err == nil {
		_, err = p.Until(ctx, kind)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func managerRings(t *testing.T, k *killed) {
	t.Helper()
	reached(t, k.manager, managerPort, lab.Ringing)
}

func announcing(t *testing.T, k *killed) {
	t.Helper()
	k.until(k.call.ID, store.StateAnnouncing, 20*time.Second)
	reached(t, k.manager, managerPort, lab.Acked)
}

func customerRings(t *testing.T, k *killed) {
	t.Helper()
	reached(t, k.customers, killedNumber, lab.Ringing)
}

func customerAnswers(t *testing.T, k *killed) {
	t.Helper()
	reached(t, k.customers, killedNumber, lab.Answered)
}

func managerAnswers(t *testing.T, k *killed) {
	t.Helper()
	reached(t, k.manager, managerPort, lab.Answered)
}

func talking(t *testing.T, k *killed) {
	t.Helper()
	k.until(k.call.ID, store.StateTalking, 20*time.Second)
	reached(t, k.customers, killedNumber, lab.Acked)
	began := time.Now()
	eventually(t, 5*time.Second, "the talk has lasted 2.5 s", func() bool { return time.Since(began) > 2500*time.Millisecond })
}

// wantOrphansEnded expects that whatever the kill left was ended by the
// server: who rang got CANCEL, who had answered got BYE.
func wantOrphansEnded(t *testing.T, k *killed) {
	t.Helper()
	for _, c := range []*lab.Carrier{k.manager, k.customers} {
		for _, p := range c.Parties() {
			_, cancelled := p.Event(lab.Cancelled)
			_, ended := p.Event(lab.ByeReceived)
			_, left := p.Event(lab.ByeSent)
			if !cancelled && !ended && !left {
				t.Errorf("the call to %s was not ended by anybody: %v", p.Number(), p.Timeline())
			}
		}
	}
}

// A customer whose network never got the INVITE was not reached, although the
// server had written down that it would call: the callback goes on.
func TestKilledBeforeTheInviteArrives(t *testing.T) {
	t.Parallel()
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(freePort(t)))
	network, err := net.ListenPacket("udp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	manager := newPhone(t, 0)
	s := serve(t, setup{trunk: addr.String(), manager: manager.Addr().String()})
	call := s.place(api.CallbackBody{Number: killedNumber})
	if err := network.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := network.ReadFrom(make([]byte, 1<<16)); err != nil { // it goes no further
		t.Fatal(err)
	}
	s.kill()
	_ = network.Close()
	// A carrier that has not seen the INVITE knows nothing of the CANCEL.
	customers, err := lab.NewCarrier(t.Context(), lab.Config{Signal: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = customers.Close() })
	customers.Number(killedNumber, shortTalk())
	s.start()

	call = s.ended(call.ID, 30*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	if n := len(customers.Calls(killedNumber)); n != 1 {
		t.Errorf("the customer was called %d times, want once", n)
	}
	atRest(t, manager, customers)
	s.clean()
	s.stop()
}
