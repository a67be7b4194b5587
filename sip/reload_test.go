package sip

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
)

// reconfigure replaces the trunk "provider" of an account, and leaves the rest.
func (a *account) reconfigure(change func(*Trunk)) {
	a.t.Helper()
	book := a.agent.peers.book.Load()
	var trunks []Trunk
	for _, t := range book.trunks {
		one := t.Trunk
		if t.Name == "provider" && change != nil {
			change(&one)
		}
		trunks = append(trunks, one)
	}
	var extensions []Extension
	for _, e := range book.extensions {
		extensions = append(extensions, e.Extension)
	}
	if err := a.agent.Reconfigure(trunks, extensions); err != nil {
		a.t.Fatal(err)
	}
	time.Sleep(moment)
}

func TestTrunkThatHasNotChangedIsNotTouched(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		was, asked := a.agent.peers.trunk("provider"), len(a.regs.Requests())
		a.reconfigure(nil)
		if a.agent.peers.trunk("provider") != was || len(a.regs.Requests()) != asked {
			t.Errorf("%d REGISTERs more", len(a.regs.Requests())-asked)
		}
		if s := a.state(); !s.Registered {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestTrunkThatHasChangedRegistersAnewWithItsCallID(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		before, asked := a.bound(), len(a.regs.Requests())
		a.reconfigure(func(t *Trunk) { t.Expires, t.Try = 10*time.Minute, 2*time.Second })
		after := a.bound()
		if after.CallID != before.CallID || after.Contact != before.Contact || !lasts(a.state(), 10*time.Minute) {
			t.Errorf("before %+v, after %+v, state %+v", before, after, a.state())
		}
		for _, r := range a.regs.Requests()[asked:] {
			if r.Get("Expires") == "0" {
				t.Error("the registration was taken back between")
			}
		}
		time.Sleep(3 * time.Hour) // refreshed by one only
		if b := a.bound(); b.CallID != before.CallID {
			t.Errorf("after three hours: %+v", b)
		}
	})
}

func TestTrunkThatMovesIsTakenBackWhereItWas(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		_, second := registrar(t, a.net, standbyAddr, lab.RegistrarOptions{Credentials: lab.Credentials{Username: "74950000000", Password: "secret"}})
		time.Sleep(moment)
		id := a.bound().CallID
		a.reconfigure(func(t *Trunk) { t.Host = standbyAddr })
		if left := a.regs.Bindings(); len(left) != 0 {
			t.Errorf("still registered where it was: %+v", left)
		}
		if now := second.Bindings(); len(now) != 1 || now[0].CallID != id {
			t.Errorf("registered at the new place: %+v", now)
		}
	})
}

func TestTrunkThatIsNoMoreIsTakenBackAndItsCallsStay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		d, req := a.answered(Invite{})
		keep := []Extension{{Number: "101", Contact: "sip:101@" + phoneAddr}}
		if err := a.agent.Reconfigure(nil, keep); err != nil {
			t.Fatal(err)
		}
		time.Sleep(moment)
		if left := a.regs.Bindings(); len(left) != 0 {
			t.Errorf("still registered: %+v", left)
		}
		if n := len(a.agent.Trunks()); n != 0 {
			t.Errorf("%d trunks are left", n)
		}
		a.bed.carrier.send(a.bed.carrier.inside(req, "OPTIONS", 7))
		a.bed.carrier.expect("200")
		a.bed.carrier.send(a.bed.carrier.inside(req, "BYE", 8))
		a.bed.carrier.expect("200")
		<-d.Done()
		time.Sleep(moment)
		a.bed.carrier.send(a.bed.carrier.initial("9", "body:"+testSDP))
		a.bed.carrier.silent(5 * time.Second) // a stranger now
		if o := <-a.invite(t.Context(), Invite{}); failure(t, o).Kind != Unresolved {
			t.Errorf("outcome %v", o.err)
		}
	})
}

func TestACallWhoseTrunkIsNoMoreIsServedAllTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 1), make(chan struct{})
		t.Cleanup(func() { close(release) })
		b := testAgent(t, accepting(calls, release))
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		in := (<-calls).in
		if err := b.agent.Reconfigure(nil, nil); err != nil {
			t.Fatal(err)
		}
		if numbers := in.Numbers(); len(numbers) != 1 || numbers[0] != in.Called {
			t.Errorf("numbers %q, called %q", numbers, in.Called)
		}
		if err := in.Reject(486, ""); err != nil {
			t.Error(err)
		}
		b.carrier.send(b.carrier.of(b.carrier.expect("486"), "ACK", "inv1", 100))
	})
}

func TestWrongConfigurationLeavesEverythingAsItIs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		was := a.agent.peers.book.Load()
		err := a.agent.Reconfigure([]Trunk{{Name: "x", Host: "host:port"}}, nil)
		if err == nil || !strings.Contains(err.Error(), "trunk x") || a.agent.peers.book.Load() != was {
			t.Errorf("error %v", err)
		}
	})
}

func TestLimitsAndCallsOfATrunkSurviveAChange(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		d, _ := a.answered(Invite{})
		book := a.agent.peers.book.Load()
		changed := book.trunk("carrier").Trunk
		changed.MaxCalls = 1
		if err := a.agent.Reconfigure([]Trunk{changed, book.trunk("provider").Trunk}, nil); err != nil {
			t.Fatal(err)
		}
		if s := trunkState(t, a.agent, "carrier"); s.Outgoing != 1 || !s.Full() {
			t.Errorf("state %+v", s)
		}
		if o := <-a.invite(t.Context(), Invite{}); failure(t, o).Kind != Full {
			t.Errorf("outcome %v", o.err)
		}
		go func() { _ = d.Bye(t.Context()) }()
		a.bed.carrier.reply(a.bed.carrier.expect("BYE"), "200 OK")
		<-d.Done()
	})
}

func TestATrunkAndAPhoneThatHaveChangedKeepTheirAddressesWhileDNSIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dns := &names{ip: map[string]string{"sip.example.net": "10.0.0.9", "desk.example.net": "10.0.0.50"}}
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host, c.Extensions[0].Contact, c.Resolve = "sip.example.net", "sip:101@desk.example.net", dns.resolve
		})
		synctest.Wait()
		dns.mu.Lock()
		clear(dns.ip)
		dns.mu.Unlock()
		book := b.agent.peers.book.Load()
		trunk, phone := book.trunks[0].Trunk, book.extensions[0].Extension
		trunk.MaxCalls, phone.Contact = 5, "sip:anna@desk.example.net"
		if err := b.agent.Reconfigure([]Trunk{trunk}, []Extension{phone}); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"10.0.0.9", "10.0.0.50"} {
			if !b.agent.peers.allows(netip.MustParseAddr(at)) {
				t.Errorf("%s is a stranger after the reload", at)
			}
		}
		time.Sleep(2 * resolveEvery)
		b.answered(Invite{})
		if got := b.agent.Unresolved(); len(got) != 0 {
			t.Errorf("unresolved: %q", got)
		}
	})
}

func TestPhonesOfAnExtensionWithAnotherPasswordAreExpelled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		one := func(number, password string) Extension {
			return Extension{Number: number, HA1: MakeHA1(number, "perezvon", password)}
		}
		if err := b.agent.Reconfigure(nil, []Extension{one("201", "first"), one("202", "first")}); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		b.agent.peers.phones.mu.Lock()
		for _, ext := range []string{"201", "202"} {
			b.agent.peers.phones.add(Binding{ID: ext, Extension: ext, Address: netip.MustParseAddrPort(carrierAddr), Expires: now.Add(time.Hour)})
		}
		b.agent.peers.phones.mu.Unlock()
		if err := b.agent.Reconfigure(nil, []Extension{one("201", "first"), one("202", "second")}); err != nil {
			t.Fatal(err)
		}
		if len(b.agent.Registered("201")) != 1 || len(b.agent.Registered("202")) != 0 {
			t.Errorf("registered: %v and %v", b.agent.Registered("201"), b.agent.Registered("202"))
		}
		time.Sleep(moment)
		if !slices.ContainsFunc(strings.Split(b.log.String(), "\n"), func(l string) bool {
			return strings.Contains(l, "extension=202") && strings.Contains(l, ReasonRevoked)
		}) {
			t.Errorf("nobody was told:\n%s", b.log)
		}
	})
}

// A REGISTER whose password was right a moment before the extension got another
// one binds nobody who was not expelled.
func TestARegisterThatAReloadOvertakesDoesNotBind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.registers()
		was := d.agent.peers.book.Load() // with which a REGISTER was compared
		one := func(password string) []Extension {
			return []Extension{{Number: "201", HA1: MakeHA1("201", Realm, password)}}
		}
		o := regOrder{extension: "201", callID: "late", cseq: 1, transport: transportUDP, at: time.Now(), wishes: []wish{{contact: "sip:201@10.0.7.9", life: time.Hour}}}
		if err := d.agent.Reconfigure(nil, one(officePassword)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.agent.bind(o, was); err != nil {
			t.Errorf("the password is the same: %v", err)
		}
		for _, next := range [][]Extension{one("another"), nil} {
			if err := d.agent.Reconfigure(nil, next); err != nil {
				t.Fatal(err)
			}
			if _, err := d.agent.bind(o, was); !errors.Is(err, errRevoked) {
				t.Errorf("%d extensions: %v", len(next), err)
			}
			if got := d.bound(); got != "" {
				t.Errorf("registered: %s", got)
			}
		}
	})
}

// Everybody waits for a reload, and ten thousand extensions are an office.
func TestReloadOfManyExtensionsTouchesTheOneThatHasChanged(t *testing.T) {
	d, err := newDirectory(&Config{}, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	ha1 := MakeHA1("x", Realm, "x")
	all := make([]Extension, 50000)
	for i := range all {
		all[i] = Extension{Number: strconv.Itoa(100000 + i), HA1: ha1}
	}
	was, err := d.write(nil, all)
	if err != nil {
		t.Fatal(err)
	}
	all[7].Contact = "sip:7@192.0.2.7"
	next, err := d.write(nil, all)
	if err != nil {
		t.Fatal(err)
	}
	next.keep(was)
	added, gone := next.without(was), was.without(next)
	if len(added) != 1 || len(gone) != 0 {
		t.Errorf("%d hosts more and %d fewer", len(added), len(gone))
	}
	for i, e := range next.extensions {
		if kept := e == was.extensions[i]; kept == (i == 7) || next.extension(e.Number) != e {
			t.Fatalf("extension %d: kept %v", i, kept)
		}
	}
}
