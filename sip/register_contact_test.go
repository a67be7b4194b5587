package sip

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"perezvon/internal/lab"
)

// answering makes the handler answer, and returns where the calls come.
func answering(c *Config) <-chan *Incoming {
	calls := make(chan *Incoming, 10)
	c.Handle = func(ctx context.Context, in *Incoming) {
		calls <- in
		if _, err := in.Answer(ctx, &testMedia{}, DialogRef{}); err != nil {
			return
		}
		<-ctx.Done()
	}
	return calls
}

func TestCallToTheContactIsTheTrunksWhereverItComesFrom(t *testing.T) {
	for _, from := range []string{carrierAddr, phoneAddr, "203.0.113.7:5080"} { // another trunk, a phone, nobody known
		inBubble(t, func(t *testing.T) {
			var calls <-chan *Incoming
			a := registering(t, lab.RegistrarOptions{}, func(c *Config) { calls = answering(c) })
			time.Sleep(moment)
			uri := a.bound().Contact
			var p *peer
			switch from {
			case carrierAddr:
				p = a.bed.carrier
			case phoneAddr:
				p = a.phone
			default:
				p = newPeer(t, a.net, from)
			}
			invite := p.request("INVITE", uri, "1", "<sip:79160001122@"+from+">;tag=1", "<sip:74951112233@provider.example>", "call", 1, "body:"+testSDP)
			p.send(invite)
			p.expect("100")
			res := p.expect("200")
			in := <-calls
			if !slices.Equal(in.Trunks, []string{"provider"}) || in.Extension != "" {
				t.Errorf("from %s: trunks %v, extension %q", from, in.Trunks, in.Extension)
			}
			if in.Called != "74950000000" || in.RequestUser != "74950000000" || in.ToUser != "74951112233" {
				t.Errorf("called %q, request %q, to %q", in.Called, in.RequestUser, in.ToUser)
			}
			target := strings.Trim(res.get("Contact"), "<>")
			if strings.Contains(target, tokenParam+"=") {
				t.Errorf("the token is for the registrar alone: %s", target)
			}
			p.send(p.request("ACK", target, "2", "<sip:79160001122@"+from+">;tag=1", res.get("To"), "call", 1))
			p.send(p.request("BYE", target, "3", "<sip:79160001122@"+from+">;tag=1", res.get("To"), "call", 2))
			p.expect("200")
		})
	}
}

func TestWrongTokenOpensNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, nil)
		time.Sleep(moment)
		uri, token, _ := strings.Cut(a.bound().Contact, ";line=")
		stranger := newPeer(t, a.net, "203.0.113.7:5080")
		for _, wrong := range []string{"", ";line=", ";line=" + token[1:], ";line=" + token + "0", ";line=" + strings.Repeat("0", len(token)), ";x=" + token} {
			stranger.send(stranger.request("INVITE", uri+wrong, "1", "<sip:a@b>;tag=1", "<sip:x@y>", "call", 1, "body:"+testSDP))
		}
		stranger.silent(time.Minute)
		if s := a.agent.Stats(); s.Strangers != 6 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestUserNameTellsAccountsOfOneProviderApart(t *testing.T) {
	d, err := newDirectory(&Config{Trunks: []Trunk{
		{Name: "one", Host: "192.0.2.1", Username: "100", Register: true},
		{Name: "two", Host: "192.0.2.1", Username: "200", Register: true},
		{Name: "fixed", Host: "192.0.2.1", Username: "300"},
	}}, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{peers: d}
	p := &peer{addr: "192.0.2.1:5060"}
	for user, want := range map[string][]string{
		"200": {"two"}, "300": {"one", "two", "fixed"}, "74951112233": {"one", "two", "fixed"},
	} {
		m, err := sipmsg.ParseMessage([]byte(p.request("INVITE", "sip:"+user+"@"+agentAddr, "1", "<sip:a@b>;tag=1", "<sip:x@y>", "call", 1)))
		if err != nil {
			t.Fatal(err)
		}
		req := m.(*sipmsg.Request)
		req.SetSource(p.addr)
		if got, ext := a.whose(req); !slices.Equal(got, want) || ext != "" {
			t.Errorf("%s: %v %q, want %v", user, got, ext, want)
		}
	}
}

func TestCarrierCallsTheRegisteredContact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls <-chan *Incoming
		a := registering(t, lab.RegistrarOptions{}, func(c *Config) { calls = answering(c) })
		time.Sleep(moment)
		party, err := a.carrier.Call(t.Context(), lab.CallOptions{Account: "74950000000", User: "74951112233", From: "79160001122", Script: lab.Script{lab.Bye()}})
		if err != nil {
			t.Fatal(err)
		}
		if in := <-calls; in.From != "79160001122" || in.ToUser != "74951112233" || !slices.Equal(in.Trunks, []string{"provider"}) {
			t.Errorf("call: %+v", in)
		}
		<-party.Ended()
		if _, err := a.carrier.Call(t.Context(), lab.CallOptions{Account: "none", To: netip.MustParseAddrPort(agentAddr)}); err == nil {
			t.Error("nobody of that name is registered")
		}
	})
}
