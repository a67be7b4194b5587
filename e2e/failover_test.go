package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
)

// trunkNow is how a trunk is for the server.
func (s *server) trunkNow(name string) api.Trunk {
	s.t.Helper()
	list, err := s.Trunks(within(s.t, 10*time.Second))
	if err != nil {
		s.t.Fatalf("list the trunks: %v", err)
	}
	i := slices.IndexFunc(list.Trunks, func(t api.Trunk) bool { return t.Name == name })
	if i < 0 {
		s.t.Fatalf("there is no trunk %s", name)
	}
	return list.Trunks[i]
}

// Two providers, each a registrar and a proxy that records its route and asks
// for the password at every REGISTER and INVITE. The first one dies between two
// calls: the next call goes out through the other at once, calls come in
// through it, and when the first one is back it has the calls again.
func TestOtherProviderHasTheCallsWhileOneIsDead(t *testing.T) {
	t.Parallel()
	network, manager := newCarrier(t), newPhone(t, 200*time.Millisecond)
	first, second := newKamailio(t, network.Addr(), habits{digest: "MD5"}), newKamailio(t, network.Addr(), habits{digest: "SHA-256", numberInURI: true})
	account := fmt.Sprintf(", register: true, expires: 60s, options: 5s, try: 1s, username: %s, password: %q", account, trunkPassword)
	s := serve(t, setup{
		trunk: first.addr().String(), trunkMore: account, backup: second.addr().String(), backupMore: account,
		manager: manager.Addr().String(), callback: quick,
	})
	for name, k := range map[string]*kamailio{"carrier": first, "backup": second} {
		eventually(t, 30*time.Second, name+" is registered at", func() bool { return s.trunkNow(name).Registered })
		if !k.binds(s.sipAddr()) {
			t.Fatalf("registered at %s, Kamailio has %q", name, k.bindings())
		}
	}
	through := func(number string, k *kamailio) {
		t.Helper()
		callOut(t, s, network, number)
		if route := network.Calls(number)[0].Invite().Get("Record-Route"); !strings.Contains(route, k.addr().String()) {
			t.Errorf("the call came by %s, want %s", route, k.addr())
		}
	}
	through("+79160000050", first)
	callIn(t, s, first, network)

	first.kill()
	began := time.Now()
	through("+79160000051", second)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the first call after the death took %s", took)
	}
	if now := s.trunkNow("carrier"); now.State == "up" && now.RestsUntil == nil {
		t.Errorf("calls would try the dead one first: %+v", now)
	}
	through("+79160000052", second)
	callIn(t, s, second, network)

	first.start()
	eventually(t, 40*time.Second, "the first provider is back", func() bool {
		now := s.trunkNow("carrier")
		return now.State == "up" && now.Registered && now.RestsUntil == nil && first.binds(s.sipAddr())
	})
	through("+79160000053", first)
	if n := len(slices.Concat(network.Calls("+79160000050"), network.Calls("+79160000051"), network.Calls("+79160000052"), network.Calls("+79160000053"))); n != 4 {
		t.Errorf("%d calls reached the network, want 4: nobody is called twice", n)
	}
	for _, p := range network.Parties() {
		if e, _ := p.Event(lab.Lost); e.Kind == lab.Lost {
			t.Errorf("%s: %v", p.Number(), p.Timeline())
		}
	}
	atRest(t, network, manager)
	s.clean()
	s.stop()
}
