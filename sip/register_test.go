package sip

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

const (
	registrarAddr = "10.0.0.20:5060"
	standbyAddr   = "10.0.0.21:5060"
)

// moment is enough for what happens at once: packets of one call are handed on
// a millisecond apart.
const moment = 100 * time.Millisecond

// account is a bed with the trunk "provider", which registers at a simulated
// carrier.
type account struct {
	*bed
	told    *trunkLog
	carrier *lab.Carrier
	regs    *lab.Registrar
}

// registering builds one. The agent begins to register at once.
func registering(t *testing.T, o lab.RegistrarOptions, adjust func(*Config), before ...func(*memnet.Net)) *account {
	t.Helper()
	a := &account{told: &trunkLog{}}
	if o.Username == "" {
		o.Username, o.Password = "74950000000", "secret"
	}
	a.bed = testAgent(t, func(c *Config) {
		// The network is the bed's, and the carrier has to be there first.
		c.Trunks = append(c.Trunks, Trunk{
			Name: "provider", Host: registrarAddr, Username: "74950000000", Password: "secret", Register: true, Expires: time.Hour,
		})
		c.OnTrunk = a.told.add
		if adjust != nil {
			adjust(c)
		}
	}, append(before, func(n *memnet.Net) { a.carrier, a.regs = registrar(t, n, registrarAddr, o) })...)
	return a
}

func registrar(t *testing.T, n *memnet.Net, addr string, o lab.RegistrarOptions) (*lab.Carrier, *lab.Registrar) {
	t.Helper()
	c, err := lab.NewCarrier(t.Context(), lab.Config{Signal: netip.MustParseAddrPort(addr), Network: lab.Virtual(n.ListenUDP)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range c.Violations() {
			t.Errorf("%s: %s", addr, v)
		}
		if t.Failed() {
			ladder := strings.SplitAfter(c.Ladder(), "\n")
			t.Logf("%s\n%s", addr, strings.Join(ladder[:min(len(ladder), 60)], ""))
		}
		_ = c.Close()
	})
	return c, c.NewRegistrar(o)
}

func (a *account) state() TrunkState {
	a.t.Helper()
	return trunkState(a.t, a.agent, "provider")
}

// bound returns the only registration there is.
func (a *account) bound() lab.Binding {
	a.t.Helper()
	all := a.regs.Bindings()
	if len(all) != 1 {
		a.t.Fatalf("%d registrations, want 1: %v\n%s", len(all), all, a.log)
	}
	return all[0]
}

// lasts reports whether a registration that was just made ends so much later.
func lasts(s TrunkState, d time.Duration) bool {
	left := time.Until(s.Expires)
	return left <= d && left > d-time.Second
}

func TestRegistersAndRefreshesInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Granted: 2 * time.Minute}, nil)
		began := time.Now()
		time.Sleep(moment)
		if s := a.state(); !s.Up || !s.Known || !s.Registered || !s.Register || !lasts(s, 2*time.Minute) || s.Address != registrarAddr || s.Reason != "" {
			t.Errorf("state: %+v", s)
		}
		contact := a.bound().Contact
		if !strings.HasPrefix(contact, "sip:74950000000@"+agentAddr+";line=") {
			t.Errorf("contact %s", contact)
		}
		for range 2 * 60 * 60 {
			time.Sleep(time.Second)
			if b := a.bound(); b.Contact != contact || !a.state().Registered {
				t.Fatalf("after %s: %+v", time.Since(began), b)
			}
		}
		// From half of the granted time to three quarters of it.
		if n := a.regs.Granted(); n < 2*60*60/90 || n > 2*60*60/60+1 {
			t.Errorf("%d registrations in two hours", n)
		}
		requests := a.regs.Requests()
		if extra := len(requests) - a.regs.Granted(); extra != 1 {
			t.Errorf("%d challenges, the first nonce does for all", extra)
		}
		branches := map[string]bool{}
		for _, m := range requests {
			if m.Get("Call-ID") != requests[0].Get("Call-ID") || m.Get("From") != requests[0].Get("From") {
				t.Errorf("another Call-ID or tag: %s, %s", m.Get("Call-ID"), m.Get("From"))
			}
			if via := m.Get("Via"); branches[via] {
				t.Error("a refresh is a retransmission of an older one")
			} else {
				branches[via] = true
			}
		}
		if s := a.agent.Stats(); s.Registrations != uint64(a.regs.Granted()) || s.RegistrationsFailed != 0 {
			t.Errorf("stats: %+v", s)
		}
		if got := a.told.ups(); got != "" {
			t.Errorf("told of %q: it was never down", got)
		}
		if log := a.log.String(); strings.Count(log, "trunk is up") != 1 || strings.Contains(log, "level=WARN") || strings.Contains(log, "secret") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestRegistersWithTheFirstChallengeItKnows(t *testing.T) {
	for name, o := range map[string]lab.RegistrarOptions{
		"MD5":               {},
		"SHA-256 first":     {Credentials: lab.Credentials{Algorithms: []string{"SHA-256", "MD5"}}},
		"SHA-512-256":       {Credentials: lab.Credentials{Algorithms: []string{"SHA-512-256"}}},
		"without qop":       {Credentials: lab.Credentials{NoQOP: true}},
		"of a proxy":        {Credentials: lab.Credentials{Status: 407}},
		"nonce used once":   {NonceUses: 1},
		"nextnonce":         {NextNonce: true},
		"unknown one first": {Credentials: lab.Credentials{Algorithms: []string{"AKAv1-MD5", "MD5-sess", "SHA-256"}}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				o.Username, o.Password = "74950000000", "secret"
				o.Granted = time.Minute
				a := registering(t, o, nil)
				time.Sleep(10 * time.Minute)
				if a.bound(); a.regs.Wrong() != 0 {
					t.Errorf("%d wrong passwords", a.regs.Wrong())
				}
				requests := a.regs.Requests()
				last := requests[len(requests)-1]
				if want := "SHA-256"; strings.HasPrefix(name, want) && !strings.Contains(last.Get("Authorization"), want) {
					t.Errorf("credentials: %s", last.Get("Authorization"))
				}
				challenges := len(requests) - a.regs.Granted()
				if want := map[bool]int{true: a.regs.Granted(), false: 1}[o.NonceUses == 1]; challenges != want {
					t.Errorf("%d challenges, want %d", challenges, want)
				}
			})
		})
	}
}

func TestStaleNonceIsNoRefusal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Granted: time.Minute}, nil)
		for range 20 {
			time.Sleep(time.Minute)
			a.regs.Expire()
		}
		time.Sleep(time.Minute)
		if s := a.agent.Stats(); s.RegistrationsFailed != 0 || a.regs.Wrong() != 0 {
			t.Errorf("stats: %+v", s)
		}
		a.bound()
	})
}

func TestWrongPasswordIsAskedSeldomAndSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Credentials: lab.Credentials{Username: "74950000000", Password: "other"}}, nil)
		time.Sleep(moment)
		s := a.state()
		if want := "registrar 10.0.0.20:5060 refuses the user name or the password (401 Unauthorized); check trunks[].username, auth_user and password"; s.Up || s.Registered || s.Reason != want {
			t.Errorf("state: %+v", s)
		}
		time.Sleep(time.Hour)
		if n := a.regs.Wrong(); n < 10 || n > 25 {
			t.Errorf("%d tries in an hour", n)
		}
		if n := len(a.regs.Requests()); n != 2*a.regs.Wrong() {
			t.Errorf("%d requests for %d tries", n, a.regs.Wrong())
		}
		if log := a.log.String(); strings.Count(log, "trunk is down") != 1 || a.told.ups() != "down" {
			t.Errorf("told %s, log:\n%s", a.told.ups(), log)
		}
	})
}

func TestChallengeThatCannotBeAnsweredSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		o        lab.RegistrarOptions
		password string
		want     string
	}{
		"no password": {lab.RegistrarOptions{}, "", "registrar 10.0.0.20:5060 asks for a password, and none is configured; set trunks[].username and password"},
		"unknown kind": {
			lab.RegistrarOptions{Credentials: lab.Credentials{Username: "74950000000", Algorithms: []string{"AKAv1-MD5"}}},
			"secret",
			"registrar 10.0.0.20:5060 wants a kind of login that is not known here (401 Unauthorized)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				a := registering(t, tc.o, func(c *Config) { c.Trunks[1].Password = tc.password })
				time.Sleep(moment)
				if s := a.state(); s.Up || !strings.HasPrefix(s.Reason, tc.want) {
					t.Errorf("state: %+v", s)
				}
			})
		})
	}
}

func TestTooBriefIsAskedForLonger(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Least: 2 * time.Hour}, nil)
		time.Sleep(moment)
		if s := a.state(); !s.Registered || !lasts(s, 2*time.Hour) {
			t.Errorf("state: %+v", s)
		}
		asked := len(a.regs.Requests())
		time.Sleep(4 * time.Hour)
		if n := len(a.regs.Requests()); n != asked+a.regs.Granted()-1 {
			t.Errorf("%d requests, %d granted: the longer time has to be remembered", n, a.regs.Granted())
		}
		a.regs.Answer(423, "Interval Too Brief")
		time.Sleep(4 * time.Hour)
		if s := a.state(); s.Up || !strings.Contains(s.Reason, "raise trunks[].expires") {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Granted: time.Minute}, nil)
		time.Sleep(moment)
		a.regs.Answer(503, "Service Unavailable", "Retry-After: 600 (maintenance);duration=3600")
		asked := len(a.regs.Requests())
		time.Sleep(time.Minute)
		if n := len(a.regs.Requests()); n != asked+1 {
			t.Fatalf("%d tries in the first minute", n-asked)
		}
		want := "registrar 10.0.0.20:5060 cannot register anybody now (503 Service Unavailable) and asks to come back in 10m; ask the provider if it lasts"
		if s := a.state(); s.Up || s.Reason != want {
			t.Errorf("state: %+v", s)
		}
		a.regs.Answer(0, "")
		time.Sleep(9 * time.Minute)
		if n := len(a.regs.Requests()); n != asked+1 {
			t.Errorf("%d tries before it was time", n-asked)
		}
		time.Sleep(2 * time.Minute)
		if s := a.state(); !s.Registered || !s.Up || a.told.ups() != "down up" {
			t.Errorf("told %s, state: %+v", a.told.ups(), s)
		}
	})
}

func TestRegistrationIsNeverGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Granted: time.Minute}, nil)
		time.Sleep(moment)
		a.regs.Silence(true)
		time.Sleep(24 * time.Hour)
		if s := a.state(); s.Up || s.Reason != "registrar 10.0.0.20:5060 does not answer REGISTER within 8s; check the network, the firewall and trunks[].host" {
			t.Errorf("state: %+v", s)
		}
		n := len(a.regs.Requests())
		if n < 24*60/8 || n > 24*60/4 { // five minutes, more or less
			t.Errorf("%d tries in a day", n)
		}
		if log := a.log.String(); strings.Count(log, "level=WARN") != 2 { // not refreshed; down
			t.Errorf("log:\n%s", log)
		}
		a.regs.Silence(false)
		time.Sleep(retryMost * 5 / 4)
		if !a.state().Registered || a.told.ups() != "down up" {
			t.Errorf("told %s, state: %+v", a.told.ups(), a.state())
		}
	})
}

func TestBackOffGrowsAndIsJittered(t *testing.T) {
	for _, tc := range []struct {
		fails   int
		refused bool
		middle  time.Duration
	}{
		{1, false, 5 * time.Second},
		{2, false, 10 * time.Second},
		{4, false, 40 * time.Second},
		{7, false, 5 * time.Minute},
		{1000000, false, 5 * time.Minute},
		{1, true, 30 * time.Second},
		{2, true, time.Minute},
		{50, true, 5 * time.Minute},
	} {
		seen := map[time.Duration]bool{}
		for range 100 {
			wait := backOff(tc.fails, tc.refused)
			if seen[wait] = true; wait < tc.middle*3/4 || wait > tc.middle*5/4 {
				t.Errorf("after %d failures: %s", tc.fails, wait)
			}
		}
		if len(seen) < 50 {
			t.Errorf("after %d failures everybody comes back at the same time", tc.fails)
		}
	}
}

func TestARegistrarThatRestartsIsFoundOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, func(c *Config) { c.Trunks[1].Options = 30 * time.Second })
		time.Sleep(10 * time.Minute)
		a.carrier.OPTIONS(0)
		a.regs.Silence(true)
		time.Sleep(time.Minute)
		if s := a.state(); s.Up || !s.Registered || !strings.Contains(s.Reason, "does not answer OPTIONS within 4s") {
			t.Errorf("away: %+v", s)
		}
		a.regs.Restart()
		a.carrier.OPTIONS(200)
		a.regs.Silence(false)
		time.Sleep(40 * time.Second) // a question every 30 s, and 4 s for its answer
		if a.bound(); !a.state().Up || a.told.ups() != "down up" {
			t.Errorf("told %s, state: %+v", a.told.ups(), a.state())
		}
	})
}

func TestSuccessWithoutOurContactIsAFailure(t *testing.T) {
	for name, edit := range map[string]func([]string) []string{
		"none":         func([]string) []string { return nil },
		"of another":   func([]string) []string { return []string{"<sip:74950000000@10.9.9.9>;expires=3600"} },
		"another line": func([]string) []string { return []string{"<sip:74950000000@" + agentAddr + ";line=x>;expires=3600"} },
		"for no time": func(own []string) []string {
			return []string{strings.Replace(own[0], "expires=", "expires=0;was=", 1)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				a := registering(t, lab.RegistrarOptions{EditContacts: edit}, nil)
				time.Sleep(moment)
				if s := a.state(); s.Up || s.Registered || !strings.Contains(s.Reason, "does not list our Contact") {
					t.Errorf("state: %+v", s)
				}
			})
		})
	}
}

func TestOurContactIsFoundAmongOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Granted: 10 * time.Minute, EditContacts: func(own []string) []string {
			return append([]string{`"Anna, at home" <sip:74950000000@10.9.9.9;line=0>;expires=7000`, "<sip:74950000000@10.9.9.8>;expires=1"}, own...)
		}}, nil)
		time.Sleep(moment)
		if s := a.state(); !lasts(s, 10*time.Minute) {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestCloseTakesBackOnlyOurOwnContact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		a.regs.Bind("sip:74950000000@10.9.9.9", time.Now().Add(time.Hour))
		time.Sleep(moment)
		a.regs.Expire() // the last request is challenged, too
		if err := a.agent.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if left := a.bound(); left.Contact != "sip:74950000000@10.9.9.9" {
			t.Errorf("left: %+v", left)
		}
		if got := a.told.ups(); got != "" {
			t.Errorf("told of %q at the end", got)
		}
	})
}

func TestCloseDoesNotWaitForASilentRegistrar(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		a.regs.Silence(true)
		began := time.Now()
		if _ = a.agent.Close(t.Context()); time.Since(began) > unregisterLimit {
			t.Errorf("closing took %s", time.Since(began))
		}
	})
	inBubble(t, func(t *testing.T) { // with less time still
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		a.regs.Silence(true)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _ = a.agent.Close(ctx); time.Since(began) > 100*time.Millisecond {
			t.Errorf("closing took %s", time.Since(began))
		}
	})
}

func TestARegisterThatIsBrokenOffIsTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil, func(n *memnet.Net) {
			n.SetFilter(func(memnet.Packet) memnet.Fate { return memnet.Fate{Delay: 200 * time.Millisecond} })
		})
		time.Sleep(500 * time.Millisecond) // the credentials are on their way
		if err := a.agent.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if left := a.regs.Bindings(); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestRegistersAtTheNextAddressAndStaysThere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var standby *lab.Registrar
		o := lab.RegistrarOptions{Credentials: lab.Credentials{Username: "74950000000", Password: "secret"}, Granted: 10 * time.Minute}
		a := registering(t, o, func(c *Config) {
			c.Trunks[1].Host = "sip.example.net"
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("10.0.0.20"), netip.MustParseAddr("10.0.0.21")}, nil
			}
		})
		_, standby = registrar(t, a.net, standbyAddr, o)
		time.Sleep(time.Second)
		a.bound()
		a.regs.Silence(true)
		time.Sleep(8 * time.Minute)
		if s := a.state(); !s.Up || s.Address != standbyAddr || len(standby.Bindings()) != 1 {
			t.Errorf("state: %+v", s)
		}
		a.regs.Silence(false)
		asked := len(a.regs.Requests())
		time.Sleep(time.Hour)
		if s := a.state(); s.Address != standbyAddr || len(a.regs.Requests()) != asked {
			t.Errorf("went back for no reason: %+v", s)
		}
		if got := a.told.ups(); got != "" {
			t.Errorf("told of %q", got)
		}
	})
}

func TestRegistersAtOnceWhenTheHostMoves(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dns := &names{ip: map[string]string{}}
		o := lab.RegistrarOptions{Credentials: lab.Credentials{Username: "74950000000", Password: "secret"}}
		a := registering(t, o, func(c *Config) { c.Trunks[1].Host, c.Resolve = "sip.example.net", dns.resolve })
		_, standby := registrar(t, a.net, standbyAddr, o)
		time.Sleep(30 * time.Minute)
		if s := a.state(); s.Up || !strings.HasPrefix(s.Reason, "host sip.example.net has no address (no such host; asked for A sip.example.net)") {
			t.Errorf("nameless: %+v", s)
		}
		dns.set("sip.example.net", "10.0.0.20")
		time.Sleep(resolveEvery + time.Second)
		if a.bound(); !a.state().Up {
			t.Errorf("named: %+v", a.state())
		}
		dns.set("sip.example.net", "10.0.0.21")
		time.Sleep(2*resolveEvery + time.Second)
		if s := a.state(); s.Address != standbyAddr || len(standby.Bindings()) != 1 {
			t.Errorf("moved: %+v", s)
		}
		if got := a.told.ups(); got != "down up" {
			t.Errorf("told: %s", got)
		}
	})
}

func TestRegistrationThatEndsUnrefreshedMakesTheTrunkDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{Granted: 10 * time.Minute}, nil)
		time.Sleep(moment)
		began := time.Now()
		a.regs.Answer(403, "Forbidden")
		time.Sleep(10*time.Minute - time.Second)
		if s := a.state(); !s.Up || !s.Registered {
			t.Errorf("it holds until its end: %+v", s)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s := a.state()
		if s.Up || s.Registered || s.Since.Sub(began).Round(time.Second) != 10*time.Minute || !s.Expires.IsZero() || !strings.Contains(s.Reason, "refuses to register user 74950000000 (403 Forbidden)") {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestContactTokenIsTheSameAfterARestartAndNoOthers(t *testing.T) {
	one := Trunk{Name: "a", Username: "u", Password: "p", Host: "h"}
	other := one
	other.Password = "q"
	if contactToken(&one, []byte("1")) != contactToken(&one, []byte("2")) || contactToken(&one, nil) == contactToken(&other, nil) {
		t.Error("with a password the token follows from it")
	}
	one.Password = ""
	if contactToken(&one, []byte("1")) == contactToken(&one, []byte("2")) {
		t.Error("without a password the token must not be guessable")
	}
}

func TestTrunkThatRegistersNeedsAUser(t *testing.T) {
	n := memnet.New()
	_, err := New(Config{
		Listen: []net.PacketConn{n.MustListen(agentAddr)}, Handle: func(context.Context, *Incoming) {},
		Trunks: []Trunk{{Name: "x", Host: "10.0.0.1", Register: true}},
	})
	if err == nil || err.Error() != "sip: trunk x: registers and has no user name" {
		t.Errorf("error: %v", err)
	}
	if n.Open() != 0 {
		t.Errorf("%d sockets left", n.Open())
	}
}
