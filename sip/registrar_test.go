package sip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
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

const (
	deskAddr       = "10.0.7.1:5060"
	officePassword = "s3cret"
)

// desking builds one. The phone at deskAddr is not registered yet.
func desking(t *testing.T, adjust func(*Config)) *desk {
	t.Helper()
	d := &desk{}
	d.bed = testAgent(t, func(c *Config) {
		c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, officePassword)})
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
	cseq, sent     int
	chosen         *digest.Challenge // of the last 401 or 407
	count          int               // of its nonce
}

func newDesktop(t *testing.T, n *memnet.Net, addr string) *desktop {
	t.Helper()
	p := newPeer(t, n, addr)
	return &desktop{peer: p, user: "201", password: officePassword, contact: "<sip:201@" + addr + ">", callID: "reg-" + addr}
}

// registration writes a REGISTER, with credentials once it was asked for them.
// extra are header lines.
func (d *desktop) registration(extra ...string) string {
	d.t.Helper()
	d.cseq++
	d.sent++
	aor := "<sip:" + d.user + "@perezvon.example>"
	if d.contact != "" {
		extra = append(extra, "Contact: "+d.contact)
	}
	if d.chosen != nil {
		extra = append(extra, "Authorization: "+d.credentials("REGISTER", "sip:perezvon.example"))
	}
	raw := d.request("REGISTER", "sip:perezvon.example", fmt.Sprintf("reg%s%d", d.callID, d.sent), aor+";tag=t-"+d.callID, aor, d.callID, d.cseq, extra...)
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
		case d.seen[m.raw] || m.is("OPTIONS") && what != "OPTIONS" || m.is("100") || strings.TrimSpace(m.raw) == "":
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

// bindings of extension 201, each as its Contact and where it is, the newest
// first.
func (d *desk) bound() string {
	var all []string
	for _, b := range d.agent.Registered("201") {
		all = append(all, fmt.Sprintf("%s at %s", b.Contact, b.Address))
	}
	return strings.Join(all, ", ")
}

func TestRegistrationsAreRefusedAndGranted(t *testing.T) {
	const here = "<sip:201@" + deskAddr + ">"
	tests := []struct {
		name     string
		contacts []string // of the REGISTER, after one of here for an hour
		expires  string
		status   string
		want     string // of the 200
		left     string
	}{
		{"refreshed for less", []string{here}, "120", "200", here + ";expires=120", "sip:201@" + deskAddr + " at " + deskAddr},
		{"for as long as we like", []string{here}, "", "200", here + ";expires=3600", "sip:201@" + deskAddr + " at " + deskAddr},
		{"for longer than we like", []string{here + ";expires=999999"}, "60", "200", here + ";expires=3600", "sip:201@" + deskAddr + " at " + deskAddr},
		{"its own expires comes first", []string{here + ";expires=300"}, "600", "200", here + ";expires=300", "sip:201@" + deskAddr + " at " + deskAddr},
		{"an expires that is no number", []string{here + ";expires=soon"}, "600", "200", here + ";expires=3600", "sip:201@" + deskAddr + " at " + deskAddr},
		{"for too short", []string{here}, "59", "423", "", "sip:201@" + deskAddr + " at " + deskAddr},
		{"for the shortest time", []string{here}, "60", "200", here + ";expires=60", "sip:201@" + deskAddr + " at " + deskAddr},
		{"taken back", []string{here}, "0", "200", "", ""},
		{"taken back by its own expires", []string{here + ";expires=0"}, "600", "200", "", ""},
		{"all taken back", []string{"*"}, "0", "200", "", ""},
		{"all, and no word of taking back", []string{"*"}, "", "400", "", "sip:201@" + deskAddr + " at " + deskAddr},
		{"all for a while", []string{"*"}, "60", "400", "", "sip:201@" + deskAddr + " at " + deskAddr},
		{"all and one", []string{"*", here}, "0", "400", "", "sip:201@" + deskAddr + " at " + deskAddr},
		{"who is not there is taken back", []string{"<sip:201@10.0.7.99>"}, "0", "200", here + ";expires=3600", "sip:201@" + deskAddr + " at " + deskAddr},
		{"asks only", nil, "600", "200", here + ";expires=3600", "sip:201@" + deskAddr + " at " + deskAddr},
		{"a telephone number", []string{"<tel:+74950000000>"}, "600", "400", "", "sip:201@" + deskAddr + " at " + deskAddr},
		{"a giant", []string{"<sip:" + strings.Repeat("x", maxContact) + "@10.0.7.1>"}, "600", "400", "", "sip:201@" + deskAddr + " at " + deskAddr},
		{"one comes, one goes", []string{here + ";expires=0", "<sip:201@10.0.7.1:5070>;expires=90"}, "600", "200", "<sip:201@10.0.7.1:5070>;expires=90", "sip:201@10.0.7.1:5070 at " + deskAddr},
		{"two in one header", []string{here + ";expires=90, <sip:201@10.0.7.1:5070>;expires=90"}, "", "200", "<sip:201@10.0.7.1:5070>;expires=90", "sip:201@10.0.7.1:5070 at " + deskAddr + ", sip:201@" + deskAddr + " at " + deskAddr},
		{"of several one is too short", []string{here + ";expires=0", "<sip:201@10.0.7.1:5070>;expires=5"}, "", "423", "", "sip:201@" + deskAddr + " at " + deskAddr},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := desking(t, nil)
				d.phone.registers("Expires: 3600")
				var extra []string
				for _, c := range tt.contacts {
					extra = append(extra, "Contact: "+c)
				}
				if tt.expires != "" {
					extra = append(extra, "Expires: "+tt.expires)
				}
				d.phone.contact = ""
				res := d.phone.tries(tt.status, extra...)
				if got := res.get("Contact"); got != tt.want {
					t.Errorf("contact %q, want %q", got, tt.want)
				}
				if got := res.get("Min-Expires"); (got == "60") != (tt.status == "423") {
					t.Errorf("Min-Expires %q", got)
				}
				if got := res.get("Date"); (got != "") != (tt.status == "200") {
					t.Errorf("Date %q", got)
				}
				if got := d.bound(); got != tt.left {
					t.Errorf("registered: %s, want %s", got, tt.left)
				}
			})
		})
	}
}

func TestWhoeverExistsIsAskedAsWhoeverDoesNot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		answers := map[string]string{}
		for _, user := range []string{"201", "101", "999", "carrier"} { // registers, is at a fixed contact, is nobody, is a trunk
			for _, password := range []string{"", "wrong"} {
				p := newDesktop(t, d.net, fmt.Sprintf("10.0.8.%d:5060", len(answers)+1))
				p.user, p.password = user, password
				res := p.tries("401")
				c := p.challenged(res, "WWW-Authenticate")
				if password != "" {
					res = p.tries("401")
					if again := p.challenged(res, "WWW-Authenticate"); again.Stale {
						t.Error("a wrong password is called stale")
					}
				}
				clean := strings.NewReplacer(user, "USER", p.addr, "ADDR", strings.Split(p.addr, ":")[0], "IP", c.Nonce, "NONCE", p.chosen.Nonce, "NONCE", res.tag("To"), "TAG", p.callID, "CALL").Replace(res.raw)
				clean = strings.ReplaceAll(clean, fmt.Sprint(p.cseq), "SEQ")
				answers[user+password] = clean
			}
		}
		for who, a := range answers {
			want := answers["201"]
			if strings.HasSuffix(who, "wrong") {
				want = answers["201wrong"]
			}
			if a != want {
				t.Errorf("%s is answered\n%s\nwhich is not\n%s", who, a, want)
			}
		}
		if n := d.agent.Stats().Peers; n != 1 { // our own socket
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

// A server that was restarted has another secret; a phone that is told so by
// stale=true asks nobody for the password.
func TestOldNoncesAreStale(t *testing.T) {
	for name, wait := range map[string]time.Duration{"of a while ago": nonceLife, "of another run": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := desking(t, nil)
				d.phone.challenged(d.phone.tries("401"), "WWW-Authenticate")
				if wait == 0 {
					d.phone.chosen.Nonce = newChallenger([]byte("another run")).nonce(netip.MustParseAddr("10.0.7.1"), time.Now())
				}
				time.Sleep(wait)
				if c := d.phone.challenged(d.phone.tries("401"), "WWW-Authenticate"); !c.Stale {
					t.Errorf("not stale: %+v", c)
				}
				d.phone.tries("200")
				if n := d.agent.Stats().Failures; n != 0 {
					t.Errorf("%d failures are counted", n)
				}
			})
		})
	}
}

func TestOverheardCredentialsAreOfNoUse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.registers()
		time.Sleep(2 * time.Second)
		// Behind the same NAT somebody repeats them for a Contact of his own.
		thief := newDesktop(t, d.net, "10.0.7.1:6060")
		thief.chosen, thief.count, thief.contact = d.phone.chosen, d.phone.count-1, "<sip:thief@10.0.7.66>"
		raw := d.phone.registration()
		_, credentials, _ := strings.Cut(raw, "Authorization: ")
		credentials, _, _ = strings.Cut(credentials, "\r\n")
		d.phone.send(raw)
		d.phone.awaits("200")
		thief.chosen = nil
		if c := thief.challenged(thief.tries("401", "Authorization: "+credentials), "WWW-Authenticate"); !c.Stale {
			t.Error("not called stale")
		}
		if got := d.bound(); got != "sip:201@"+deskAddr+" at "+deskAddr {
			t.Errorf("registered: %s", got)
		}
	})
}

func TestARequestThatWasOvertakenChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.registers("Expires: 600")
		d.phone.tries("200", "Expires: 700")
		d.phone.cseq -= 2
		d.phone.tries("500", "Expires: 0") // with a nonce count that is new
		if len(d.agent.Registered("201")) != 1 {
			t.Error("taken back by an old request")
		}
		d.phone.tries("200", "Expires: 0") // the number of the last one: its repetition
		if len(d.agent.Registered("201")) != 1 {
			t.Error("taken back by a repetition")
		}
		d.phone.callID, d.phone.cseq = "another", 0 // the phone was switched off and on
		d.phone.tries("200", "Expires: 0")
		if len(d.agent.Registered("201")) != 0 {
			t.Error("still registered")
		}
	})
}

func TestAnotherNumberThanTheUserNameIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "202", HA1: MakeHA1("202", Realm, "other")})
		})
		d.phone.challenged(d.phone.tries("401"), "WWW-Authenticate")
		raw := strings.ReplaceAll(d.phone.registration(), "To: <sip:201@", "To: <sip:202@")
		d.phone.send(raw)
		d.phone.awaits("403")
		if len(d.agent.Registered("202"))+len(d.agent.Registered("201")) != 0 {
			t.Error("registered")
		}
	})
}

func TestTenPhonesMayBeOneExtension(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var told events
		d := desking(t, func(c *Config) { c.OnBinding = told.add })
		for i := range maxBindings + 1 {
			p := newDesktop(t, d.net, fmt.Sprintf("10.0.9.%d:5060", i+1))
			p.registers()
			time.Sleep(time.Second)
		}
		all := d.agent.Registered("201")
		if len(all) != maxBindings || all[0].Address.String() != "10.0.9.11:5060" || all[9].Address.String() != "10.0.9.2:5060" {
			t.Errorf("%d: %s", len(all), d.bound())
		}
		if got := told.log(); !strings.HasSuffix(got, "201 replaced 10.0.9.1:5060") {
			t.Error(got)
		}
	})
}

// Phones by connections register for two minutes, those over UDP for an hour.
func TestANewPhoneFindsRoomHoweverShortItRegisters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		for i := range maxBindings {
			newDesktop(t, d.net, fmt.Sprintf("10.0.9.%d:5060", i+1)).registers("Expires: 3600")
			time.Sleep(time.Second)
		}
		last := newDesktop(t, d.net, "10.0.9.100:5060")
		if res := last.registers("Expires: 120"); !slices.Contains(res.all("Contact"), last.contact+";expires=120") {
			t.Errorf("answered\n%s", res.raw)
		}
		if all := d.agent.Registered("201"); len(all) != maxBindings || all[0].Address.String() != last.addr || all[9].Address.String() != "10.0.9.2:5060" {
			t.Errorf("%d: %s", len(all), d.bound())
		}
	})
}

func TestAPhoneThatComesWithAnotherContactIsTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.contact = `<sip:201@10.0.7.1:40001>;+sip.instance="<urn:uuid:1>"`
		d.phone.registers()
		d.phone.contact = `<sip:201@10.0.7.1:40002>;+sip.instance="<urn:uuid:1>"`
		d.phone.callID, d.phone.cseq = "again", 0
		d.phone.registers()
		if got := d.bound(); got != "sip:201@10.0.7.1:40002 at "+deskAddr {
			t.Error(got)
		}
	})
}

// events are what OnBinding was told, a line for each.
type events struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (e *events) add(one BindingEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	what := "registered"
	if !one.Registered {
		what = one.Reason
	}
	e.all = append(e.all, one.Binding.Extension+" "+what+" "+one.Binding.Address.String())
}

func (e *events) log() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.all, ", ")
}

func TestARegistrationThatIsNotRefreshedEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var told events
		d := desking(t, func(c *Config) { c.OnBinding = told.add })
		d.phone.registers("Expires: 60")
		time.Sleep(50 * time.Second)
		d.phone.tries("200", "Expires: 60")
		time.Sleep(59 * time.Second)
		if len(d.agent.Registered("201")) != 1 {
			t.Error("ended though it was refreshed")
		}
		time.Sleep(2 * time.Second)
		if len(d.agent.Registered("201")) != 0 {
			t.Error("registered for longer than was granted")
		}
		if got := told.log(); got != "201 registered "+deskAddr+", 201 expired "+deskAddr {
			t.Error(got)
		}
		if d.agent.peers.allows(netip.MustParseAddr("10.0.7.1")) {
			t.Error("its address is still known")
		}
		f := failure(t, <-d.invite(t.Context(), Invite{Target: Target{Extension: "201"}}))
		if f.Kind != NotRegistered || f.Error() != "extension 201 is not registered" {
			t.Errorf("%v: %s", f.Kind, f)
		}
		_, err := d.agent.LocalIP(t.Context(), Target{Extension: "201"})
		if o := (outcome{err: err}); failure(t, o).Kind != NotRegistered {
			t.Error(err)
		}
	})
}
