package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	"perezvon/internal/memnet"
)

// desk is a bed whose extension 201 is for phones that register.
type desk struct {
	*bed
	phone *desktop
}

const deskAddr = "10.0.7.1:5060"

// desking builds one. The phone at deskAddr is not registered yet.
func desking(t *testing.T, adjust func(*Config)) *desk {
	t.Helper()
	d := &desk{}
	d.bed = testAgent(t, func(c *Config) {
		c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, "s3cret")})
		if adjust != nil {
			adjust(c)
		}
	}, func(n *memnet.Net) { d.phone = newDesktop(t, n, deskAddr) })
	return d
}

// desktop is a phone that registers, played by hand.
type desktop struct {
	*peer
	user, password string
	contact        string // of its REGISTER
	callID         string
	cseq           int
	chosen         *digest.Challenge // of the last 401 or 407
	count          int               // of its nonce
}

func newDesktop(t *testing.T, n *memnet.Net, addr string) *desktop {
	t.Helper()
	p := newPeer(t, n, addr)
	return &desktop{peer: p, user: "201", password: "s3cret", contact: "<sip:201@" + addr + ">", callID: "reg-" + addr}
}

// registration writes a REGISTER, with credentials once it was asked for them.
// extra are header lines.
func (d *desktop) registration(extra ...string) string {
	d.t.Helper()
	d.cseq++
	aor := "<sip:" + d.user + "@perezvon.example>"
	if d.contact != "" {
		extra = append(extra, "Contact: "+d.contact)
	}
	if d.chosen != nil {
		extra = append(extra, "Authorization: "+d.credentials("REGISTER", "sip:perezvon.example"))
	}
	raw := d.request("REGISTER", "sip:perezvon.example", fmt.Sprintf("reg%s%d", d.callID, d.cseq), aor+";tag=t-"+d.callID, aor, d.callID, d.cseq, extra...)
	if d.contact == "" {
		raw = strings.Replace(raw, "Contact: <sip:peer@"+d.addr+d.wire.param()+">\r\n", "", 1)
	}
	return raw
}

func (d *desktop) credentials(method, uri string) string {
	d.t.Helper()
	d.count++
	c, err := digest.Digest(d.chosen, digest.Options{Method: method, URI: uri, Username: d.user, Password: d.password, Count: d.count})
	if err != nil {
		d.t.Fatal(err)
	}
	return c.String()
}

// challenged takes the challenge of a response.
func (d *desktop) challenged(m message, name string) *digest.Challenge {
	d.t.Helper()
	c, err := digest.ParseChallenge(m.get(name))
	if err != nil {
		d.t.Fatalf("%v in\n%s", err, m.raw)
	}
	d.chosen, d.count = c, 0
	return c
}

// tries sends a REGISTER and returns the response to it.
func (d *desktop) tries(status string, extra ...string) message {
	d.t.Helper()
	d.send(d.registration(extra...))
	return d.awaits(status)
}

// awaits is within, where OPTIONS and keep-alives may come between.
func (d *desktop) awaits(what string) message {
	d.t.Helper()
	until := time.Now().Add(5 * time.Second)
	for {
		m, ok := d.read(time.Until(until))
		switch {
		case !ok:
			d.t.Fatalf("%s: no %s", d.addr, what)
		case d.seen[m.raw] || m.is("OPTIONS") && what != "OPTIONS" || strings.TrimSpace(m.raw) == "":
			continue
		case !m.is(what):
			d.t.Fatalf("%s: got %q, want %s\n%s", d.addr, m.start, what, m.raw)
		}
		d.seen[m.raw] = true
		return m
	}
}

// registers does so, answering the challenge, and returns the 200.
func (d *desktop) registers(extra ...string) message {
	d.t.Helper()
	if d.chosen == nil {
		d.challenged(d.tries("401", extra...), "WWW-Authenticate")
	}
	return d.tries("200", extra...)
}

func TestAPhoneRegistersAndIsRung(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		if got := d.agent.Registered("201"); len(got) != 0 {
			t.Fatalf("registered before: %+v", got)
		}
		ok := d.phone.registers("Expires: 600", "User-Agent: Desk 1.0")
		if got := ok.get("Contact"); got != "<sip:201@"+deskAddr+">;expires=600" {
			t.Errorf("contact %s", got)
		}
		got := d.agent.Registered("201")
		if len(got) != 1 {
			t.Fatalf("%d bindings, want 1", len(got))
		}
		b := got[0]
		if b.Extension != "201" || b.Contact != "sip:201@"+deskAddr || b.Address != netip.MustParseAddrPort(deskAddr) || b.Transport != "udp" ||
			time.Until(b.Expires) > 10*time.Minute || time.Until(b.Expires) < 9*time.Minute || b.UserAgent != "Desk 1.0" || !b.Reachable || !b.Connected {
			t.Errorf("binding: %+v", b)
		}
		out := d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
		req := d.phone.awaits("INVITE")
		if req.uri() != "sip:201@"+deskAddr {
			t.Errorf("called at %s", req.uri())
		}
		d.phone.reply(req, "200 OK", "body:"+testSDP)
		d.phone.awaits("ACK")
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
	})
}
