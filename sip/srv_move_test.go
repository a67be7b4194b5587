package sip

import (
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// A provider moves to another machine and says so in its SRV records.
func TestChangedSRVIsFollowedByCallsAndRegistrationsAndNotByDialogs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone()
		z.set("old."+provider, "10.0.0.20")
		z.set("new."+provider, "10.0.0.21")
		z.record("_sip._udp."+provider, srvOf("old."+provider, 5060, 10))
		var standby *lab.Carrier
		var there *lab.Registrar
		a := registering(t, lab.RegistrarOptions{}, func(c *Config) {
			c.Trunks[1].Host = provider
			z.use(c)
		}, func(n *memnet.Net) {
			o := lab.RegistrarOptions{}
			o.Username, o.Password = "74950000000", "secret"
			standby, there = registrar(t, n, standbyAddr, o)
		})
		const number = "79160000001"
		for _, c := range []*lab.Carrier{a.carrier, standby} {
			c.Number(number, lab.Customer(0))
		}
		call := func() *Dialog {
			t.Helper()
			o := <-a.invite(t.Context(), Invite{Target: Target{Trunk: "provider"}, User: number, Media: &testMedia{}})
			if o.err != nil {
				t.Fatal(o.err)
			}
			return o.d
		}
		time.Sleep(moment)
		before := call()
		a.bound()

		z.record("_sip._udp."+provider, srvOf("new."+provider, 5060, 10))
		time.Sleep(resolveEvery + time.Second)
		if all := there.Bindings(); len(all) != 1 || a.state().Address != standbyAddr {
			t.Errorf("registered at the new server: %v, state %+v", all, a.state())
		}
		after := call()
		if got := after.RemoteAddr().String(); got != standbyAddr {
			t.Errorf("the next call goes to %s", got)
		}
		for _, d := range []*Dialog{before, after} {
			if err := d.Bye(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if old, now := a.carrier.Calls(number), standby.Calls(number); len(old) != 1 || len(now) != 1 || old[0].BYEs() != 1 || now[0].BYEs() != 1 {
			t.Errorf("%d calls and their ends at the old server, %d at the new one", len(old), len(now))
		}
	})
}
