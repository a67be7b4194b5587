package sip

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// trying has the trunk "provider", which does not register by itself, at a
// simulated carrier with a registrar.
func trying(t *testing.T, adjust func(*Config), before ...func(*memnet.Net)) *account {
	t.Helper()
	return registering(t, lab.RegistrarOptions{}, func(c *Config) {
		c.Trunks[1].Register = false
		if adjust != nil {
			adjust(c)
		}
	}, before...)
}

// wants compares a report with lines of what, result and a part of the detail.
func (a *account) wants(register bool, want ...string) TrunkReport {
	a.t.Helper()
	report, err := a.agent.TryTrunk(a.t.Context(), "provider", register)
	if err != nil {
		a.t.Fatal(err)
	}
	var got []string
	for _, one := range report.Trials {
		got = append(got, fmt.Sprintf("%s %s: %s", one.What, one.Result, one.Detail))
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			a.t.Fatalf("%d trials, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		}
		for part := range strings.SplitSeq(want[i], " … ") {
			if !strings.Contains(got[i], part) {
				a.t.Errorf("%s\nwant %s", got[i], want[i])
			}
		}
	}
	return report
}

const (
	nameOK    = "name ok: 10.0.0.20:5060 is an address"
	optionsOK = "options ok: 10.0.0.20:5060 answers OPTIONS over udp with 200 OK"
	loginOK   = "login ok: registrar 10.0.0.20:5060 knows user 74950000000 and takes the password"
)

func TestTrunkThatWorksIsTried(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := trying(t, nil)
		a.wants(true, nameOK, optionsOK, loginOK, "register ok: registrar 10.0.0.20:5060 registers, for 1m … lets us go")
		if n := len(a.regs.Bindings()); n != 0 {
			t.Errorf("%d registrations are left", n)
		}
		a.wants(false, nameOK, optionsOK)
		if s := a.state(); s.Known {
			t.Errorf("a trial is not what the trunk's state is made of: %+v", s)
		}
	})
}

func TestTrialDisturbsNoRegistration(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := trying(t, nil)
		a.regs.Bind("sip:74950000000@10.0.0.77:5060;transport=udp", time.Now().Add(time.Hour))
		a.wants(true, nameOK, optionsOK, loginOK, "register note: not tried: registrar 10.0.0.20:5060 has 1 other devices of the account")
		if all := a.regs.Bindings(); len(all) != 1 || all[0].Contact != "sip:74950000000@10.0.0.77:5060;transport=udp" {
			t.Errorf("registrations: %v", all)
		}
	})
	inBubble(t, func(t *testing.T) { // that of the server
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		before := a.bound()
		a.wants(true, nameOK, optionsOK, loginOK, "register ok: registrar 10.0.0.20:5060 has the registration of the server with this configuration, at "+agentAddr)
		if b := a.bound(); b != before {
			t.Errorf("%v, before %v", b, before)
		}
	})
}

func TestTrialSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name   string
		adjust func(*Config)
		begin  func(*account)
		want   []string
	}{
		{"unknown host", func(c *Config) { c.Trunks[1].Host, c.Resolve = "sip.exmaple.net", (&names{}).resolve }, nil, []string{
			"name failed: host sip.exmaple.net has no address (no such host; asked for A sip.exmaple.net); check the name in trunks[].host and the DNS",
		}},
		{"silent", nil, func(a *account) { a.carrier.OPTIONS(0); a.regs.Silence(true) }, []string{
			nameOK, "options failed: 10.0.0.20:5060 does not answer OPTIONS within 4s; check the network, the firewall",
			"login failed: registrar 10.0.0.20:5060 does not answer REGISTER within 8s; check the network",
		}},
		{"answers no OPTIONS", nil, func(a *account) { a.carrier.OPTIONS(0) }, []string{
			nameOK, "options note: 10.0.0.20:5060 does not answer OPTIONS … set trunks[].options to off", loginOK, "register ok: ",
		}},
		{"overloaded", nil, func(a *account) { a.carrier.OPTIONS(503); a.regs.Answer(503, "Service Unavailable", "Retry-After: 60") }, []string{
			nameOK, "options failed: 10.0.0.20:5060 answers OPTIONS with 503 … overloaded", "login failed: registrar 10.0.0.20:5060 cannot register anybody now (503 Service Unavailable) and asks to come back in 1m",
		}},
		{"refuses OPTIONS", nil, func(a *account) { a.carrier.OPTIONS(403) }, []string{
			nameOK, "options ok: 10.0.0.20:5060 answers OPTIONS over udp with 403", loginOK, "register ok: ",
		}},
		{"wrong password", func(c *Config) { c.Trunks[1].Password = "guess" }, nil, []string{
			nameOK, optionsOK, "login failed: registrar 10.0.0.20:5060 refuses the user name or the password (401 Unauthorized); check trunks[].username, auth_user and password",
		}},
		{"no password", func(c *Config) { c.Trunks[1].Password = "" }, nil, []string{
			nameOK, optionsOK, "login failed: registrar 10.0.0.20:5060 asks for a password, and none is configured; set trunks[].username and password",
		}},
		{"403", nil, func(a *account) { a.regs.Answer(403, "Forbidden") }, []string{
			nameOK, optionsOK, "login failed: registrar 10.0.0.20:5060 refuses to register user 74950000000 (403 Forbidden); check",
		}},
		{"404", nil, func(a *account) { a.regs.Answer(404, "Not Found") }, []string{
			nameOK, optionsOK, "login failed: registrar 10.0.0.20:5060 does not know user 74950000000 (404 Not Found); check trunks[].username and domain",
		}},
		{"no questions", nil, func(a *account) { a.regs.Answer(400, "Contact missing") }, []string{
			nameOK, optionsOK, "login note: registrar 10.0.0.20:5060 does not tell what is registered (400 Contact missing)",
			"register failed: registrar 10.0.0.20:5060 answers REGISTER with 400 Contact missing; ask the provider what it means",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				a := trying(t, tt.adjust)
				if tt.begin != nil {
					tt.begin(a)
				}
				a.wants(true, tt.want...)
			})
		})
	}
}

func TestTrialFindsTheOtherTransport(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := atCarrier(t, transportTCP, lab.SegmentPerMessage, func(c *Config) {
			c.Trunks[1].Transport, c.Trunks[1].Register, c.Trunks[1].Options = transportUDP, false, 0
		})
		report, err := p.agent.TryTrunk(t.Context(), "stream", true)
		if err != nil || len(report.Trials) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		got := report.Trials[1]
		if got.Result != TrialFailed || !strings.HasSuffix(got.Detail, "; over tcp "+providedAddr+" does answer: set trunks[].transport to tcp") {
			t.Errorf("%+v", got)
		}
	})
}

func TestTrialOverTLSNamesTheCertificate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := atCarrier(t, transportTLS, lab.SegmentPerMessage, func(c *Config) {
			c.Trunks[1].Register, c.Trunks[1].Options = false, 0
		})
		report, err := p.agent.TryTrunk(t.Context(), "stream", true)
		if err != nil || len(report.Trials) != 4 {
			t.Fatalf("%+v, %v", report, err)
		}
		for _, one := range report.Trials {
			if one.Result != TrialOK {
				t.Errorf("%+v", one)
			}
		}
	})
	inBubble(t, func(t *testing.T) { // a name that is not proved
		p := atCarrier(t, transportTLS, lab.SegmentPerMessage, func(c *Config) {
			c.Trunks[1].Register, c.Trunks[1].Options = false, 0
			c.Trunks[1].TLS = c.Trunks[1].TLS.Clone()
			c.Trunks[1].TLS.ServerName = "sip.elsewhere.example"
		})
		report, err := p.agent.TryTrunk(t.Context(), "stream", true)
		if err != nil || len(report.Trials) < 2 || report.Trials[1].Result != TrialFailed || !strings.Contains(report.Trials[1].Detail, "certificate") {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

func TestTrialTellsOfNATAndOfSound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks = append(c.Trunks, Trunk{Name: "far", Host: "203.0.113.1"}) })
		far := newPeer(t, b.net, "203.0.113.1:5060")
		go func() {
			req := far.expect("OPTIONS")
			res := far.response(req, "200 OK", "body:"+testSDP)
			far.send(strings.Replace(res, ";rport", ";rport=1;received=198.51.100.9", 1))
		}()
		report, err := b.agent.TryTrunk(t.Context(), "far", false)
		if err != nil || len(report.Trials) != 3 || string(report.SDP) != testSDP {
			t.Fatalf("%+v, %v", report, err)
		}
		if got := report.Trials[2]; got.Result != TrialNote || !strings.Contains(got.Detail, "it sees us at 198.51.100.9, and here we are at 10.0.0.1: there is a NAT") {
			t.Errorf("%+v", got)
		}
		if _, err := b.agent.TryTrunk(t.Context(), "nobody", false); !errors.Is(err, ErrUnknownTarget) {
			t.Errorf("%v", err)
		}
	})
}
