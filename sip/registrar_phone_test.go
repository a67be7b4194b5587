package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// A phone behind a NAT registers an address that means nothing here.
func TestAPhoneBehindANATIsCalledWhereItCameFrom(t *testing.T) {
	for at, seen := range map[string]string{
		"198.51.100.7:41022": "203.0.113.5", // out there
		"10.0.7.3:41022":     "10.0.0.1",    // in another network of the office
	} {
		t.Run(at, func(t *testing.T) { inBubble(t, func(t *testing.T) { calledBehindNAT(t, at, seen) }) })
	}
}

func calledBehindNAT(t *testing.T, at, seen string) {
	t.Helper()
	from := netip.MustParseAddrPort(at)
	d := desking(t, func(c *Config) { c.PublicIP = netip.MustParseAddr("203.0.113.5") })
	nat := newDesktop(t, d.net, at)
	nat.contact = "<sip:201@192.168.1.20:5060;ob>"
	raw := nat.registration()
	raw = strings.Replace(raw, "UDP "+at, "UDP 192.168.1.20:5060", 1)
	nat.send(raw)
	res := nat.awaits("401")
	if via := res.get("Via"); !strings.Contains(via, "received="+from.Addr().String()) || !strings.Contains(via, "rport=41022") {
		t.Errorf("via %s", via)
	}
	nat.challenged(res, "WWW-Authenticate")
	nat.tries("200")
	out := d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
	req := nat.awaits("INVITE")
	if req.uri() != "sip:201@192.168.1.20:5060;ob" || !strings.Contains(req.get("Contact"), "@"+seen+":5060") {
		t.Errorf("called at %s by %s", req.uri(), req.get("Contact"))
	}
	nat.reply(req, "200 OK", "body:"+testSDP, "Contact: "+nat.contact)
	if ack := nat.awaits("ACK"); ack.uri() != "sip:201@192.168.1.20:5060;ob" {
		t.Errorf("ACK to %s", ack.uri())
	}
	o := <-out
	if o.err != nil {
		t.Fatal(o.err)
	}
	go func() { _ = o.d.Bye(context.Background()) }()
	nat.reply(nat.awaits("BYE"), "200 OK")
	<-o.d.Done()
}

// A phone without rport that sends from another port than it listens at.
func TestAPhoneThatListensElsewhereIsCalledThere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		ear := newDesktop(t, d.net, "10.0.7.1:5090")
		d.phone.contact = "<sip:201@10.0.7.1:5090>"
		send := func() {
			d.phone.send(strings.Replace(strings.Replace(d.phone.registration(), ";rport", "", 1), "UDP 10.0.7.1:5060", "UDP 10.0.7.1:5090", 1))
		}
		send()
		d.phone.challenged(ear.awaits("401"), "WWW-Authenticate")
		send()
		ear.awaits("200")
		if got := d.bound(); got != "sip:201@10.0.7.1:5090 at 10.0.7.1:5090" {
			t.Fatal(got)
		}
		d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
		ear.reply(ear.awaits("INVITE"), "486 Busy Here")
		ear.awaits("ACK")
	})
}

func TestTheWayToAPhoneIsKeptOpen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.registers("Expires: 3600")
		began := time.Now()
		var alive, asked []time.Duration
		for time.Since(began) < 10*time.Minute {
			m, ok := d.phone.read(time.Minute)
			switch {
			case !ok:
				t.Fatal("nothing for a minute")
			case m.raw == "\r\n\r\n":
				alive = append(alive, time.Since(began))
			case m.is("OPTIONS"):
				asked = append(asked, time.Since(began))
				time.Sleep(30 * time.Millisecond)
				d.phone.reply(m, "200 OK")
			default:
				t.Fatalf("unexpected\n%s", m.raw)
			}
		}
		if len(alive) < 23 || len(alive) > 25 {
			t.Errorf("%d keep-alives in ten minutes: %v", len(alive), alive)
		}
		for i, at := range asked {
			if i > 0 && (at-asked[i-1] < qualifyEvery || at-asked[i-1] > 2*qualifyEvery+time.Second) {
				t.Errorf("asked after %s", at-asked[i-1])
			}
		}
		if len(asked) < 10 || asked[0] > qualifySoon {
			t.Errorf("asked at %v", asked)
		}
		if b := d.agent.Registered("201")[0]; b.RoundTrip == nil || *b.RoundTrip != 30*time.Millisecond || !b.Reachable {
			t.Errorf("%+v", b)
		}
	})
}

func TestAPhoneThatFallsSilentIsNotReachable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.registers("Expires: 3600")
		d.phone.reply(d.phone.awaits("OPTIONS"), "404 Not Found") // any response is a sign of life
		time.Sleep(moment)
		if b := d.agent.Registered("201")[0]; !b.Reachable || b.RoundTrip == nil {
			t.Fatalf("%+v", b)
		}
		time.Sleep(2*qualifyEvery + 2*phonePatience + askAgain)
		if b := d.agent.Registered("201")[0]; b.Reachable {
			t.Error("reachable though it is silent")
		}
		if log := d.log.String(); strings.Count(log, "phone does not answer") != 1 {
			t.Error(log)
		}
		for d.phone.seen == nil || !d.agent.Registered("201")[0].Reachable { // what has piled up, and the next question
			m, ok := d.phone.read(2 * qualifyEvery)
			if !ok {
				t.Fatal("not asked again")
			}
			if m.is("OPTIONS") {
				d.phone.reply(m, "200 OK")
				time.Sleep(moment)
			}
		}
	})
}

// calling is what Handle was given.
type calling struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (c *calling) handle(_ context.Context, in *Incoming) {
	c.mu.Lock()
	c.all = append(c.all, fmt.Sprintf("%s/%s to %s", strings.Join(in.Trunks, " "), in.Extension, in.Called))
	c.mu.Unlock()
	_ = in.Reject(480, "")
}

func (c *calling) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.all, ", ")
}

// calls sends an INVITE to 102. from is the user of From.
func (d *desktop) calls(from string, cseq int, extra ...string) {
	d.t.Helper()
	if d.chosen != nil {
		extra = append(extra, "Proxy-Authorization: "+d.credentials("INVITE", "sip:102@perezvon.example"))
	}
	d.send(d.request("INVITE", "sip:102@perezvon.example", fmt.Sprintf("inv%s%d", d.addr, cseq), "<sip:"+from+"@perezvon.example>;tag=f",
		"<sip:102@perezvon.example>", "call-"+d.addr, cseq, append(extra, "body:"+testSDP)...))
}

func TestAPhoneProvesItsPasswordWhenItCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var in calling
		d := desking(t, func(c *Config) { c.Handle = in.handle })
		d.phone.registers()
		d.phone.chosen = nil
		d.phone.calls("201", 1)
		c := d.phone.challenged(d.phone.awaits("407"), "Proxy-Authenticate")
		if c.Realm != Realm || c.Stale || c.Algorithm != "MD5" {
			t.Errorf("%+v", c)
		}
		d.phone.password = "guessed"
		d.phone.calls("201", 2)
		d.phone.challenged(d.phone.awaits("407"), "Proxy-Authenticate")
		if in.log() != "" {
			t.Error(in.log())
		}
		d.phone.password = officePassword
		d.phone.calls("someone else", 3)
		d.phone.awaits("480")
		if got := in.log(); got != "/201 to 102" {
			t.Error(got)
		}
		if n := d.agent.Stats().Failures; n != 1 {
			t.Errorf("%d failures", n)
		}
	})
}

func TestWhoIsNotRegisteredGetsNoAnswerToACall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var in calling
		d := desking(t, func(c *Config) { c.Handle = in.handle })
		d.phone.challenged(d.phone.tries("401"), "WWW-Authenticate")
		d.phone.calls("201", 1)
		d.phone.silent(10 * time.Second)
		fixed := newDesktop(t, d.net, "10.0.0.50:6060") // from the fixed contact's address
		fixed.calls("101", 1)
		fixed.awaits("480")
		if got := in.log(); got != "/101 to 102" {
			t.Error(got)
		}
	})
}

// A phone in a network that a trunk may send from is no trunk.
func TestAPhoneInTheNetworkOfATrunkIsAPhone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var in calling
		d := desking(t, func(c *Config) {
			c.Handle = in.handle
			c.Trunks = append(c.Trunks, Trunk{Name: "net", Host: "10.0.7.250:5060", Peers: []netip.Prefix{netip.MustParsePrefix("10.0.7.0/24")}})
		})
		d.phone.registers()
		d.phone.chosen = nil
		for i, from := range []*desktop{d.phone, newDesktop(t, d.net, "10.0.7.1:7070")} { // its own address, and another port of it
			from.calls("201", 1)
			if res := from.awaits("407"); res.get("Proxy-Authenticate") == "" {
				t.Errorf("%d: %s", i, res.raw)
			}
		}
		other := newDesktop(t, d.net, "10.0.7.2:5060")
		other.calls("74951234567", 1)
		other.awaits("480")
		if got := in.log(); got != "net/ to 102" {
			t.Error(got)
		}
	})
}

func TestWithoutPasswordsThereIsNoRegistrar(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		p := newDesktop(t, b.net, deskAddr)
		p.send(p.registration())
		p.silent(10 * time.Second)
		fixed := newDesktop(t, b.net, "10.0.0.50:6060")
		fixed.tries("405")
	})
}

// keptBindings is a BindingStore in memory.
type keptBindings struct {
	mu   sync.Mutex
	all  map[string]Binding // guarded by mu
	fail error
}

func (k *keptBindings) SaveBinding(b Binding) func(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.RoundTrip, b.Reachable, b.Connected = nil, false, false
	k.all[b.ID] = b
	return func(context.Context) error { return k.fail }
}

func (k *keptBindings) DeleteBinding(id string) func(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, id)
	return func(context.Context) error { return k.fail }
}

func (k *keptBindings) Bindings(context.Context) ([]Binding, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Binding
	for _, b := range k.all {
		all = append(all, b)
	}
	return all, k.fail
}

func TestARestartLosesNoPhone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		kept := &keptBindings{all: map[string]Binding{}}
		with := func(c *Config) { c.Bindings = kept }
		d := desking(t, with)
		d.phone.contact = "<sip:201@192.168.1.20:5060>"
		d.phone.registers("Expires: 600")
		if err := d.agent.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept.all["gone"] = Binding{ID: "gone", Extension: "999", Contact: "sip:x@10.0.7.9", Address: netip.MustParseAddrPort("10.0.7.9:5060"), Transport: "udp", Expires: time.Now().Add(time.Hour)}
		kept.all["fixed"] = Binding{ID: "fixed", Extension: "101", Contact: "sip:x@10.0.7.9", Address: netip.MustParseAddrPort("10.0.7.9:5060"), Transport: "udp", Expires: time.Now().Add(time.Hour)}
		kept.all["old"] = Binding{ID: "old", Extension: "201", Contact: "sip:x@10.0.7.9", Address: netip.MustParseAddrPort("10.0.7.9:5060"), Transport: "udp", Expires: time.Now()}

		next := &Config{
			Listen: d.agent.cfg.Listen, Extensions: d.agent.cfg.Extensions, Handle: d.agent.cfg.Handle, Logger: d.agent.cfg.Logger, Bindings: kept,
		}
		next.Listen[0] = d.net.MustListen(agentAddr)
		a, err := New(*next)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close(t.Context())
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(kept.all) != 1 {
			t.Errorf("%d are kept, 1 is of use", len(kept.all))
		}
		d.agent = a
		if got := d.bound(); got != "sip:201@192.168.1.20:5060 at "+deskAddr {
			t.Errorf("registered: %s", got)
		}
		d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
		d.phone.reply(d.phone.awaits("INVITE"), "486 Busy Here")
		d.phone.awaits("ACK")
		if c := d.phone.challenged(d.phone.tries("401"), "WWW-Authenticate"); !c.Stale {
			t.Error("the nonce of before is not called stale")
		}
		d.phone.tries("200", "Expires: 0")
		if len(kept.all) != 0 {
			t.Error("what was taken back is kept")
		}
	})
}

func TestAFullDiskKeepsNobodyOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		kept := &keptBindings{all: map[string]Binding{}}
		d := desking(t, func(c *Config) { c.Bindings = kept })
		kept.fail = fmt.Errorf("the disk is full")
		d.phone.registers()
		if len(d.agent.Registered("201")) != 1 || !strings.Contains(d.log.String(), "could not be stored") {
			t.Error(d.log)
		}
	})
}
