package sip

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"
)

// streamDesk is a bed over TCP or TLS whose extension 201 is for phones that
// register, with such a phone at 10.0.7.1, which is connected.
func streamDesk(t *testing.T, over string, adjust func(*Config)) *desk {
	t.Helper()
	b, _ := streamBed(t, over, func(c *Config) {
		c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, officePassword)})
		if adjust != nil {
			adjust(c)
		}
	})
	d := &desk{bed: b, phone: newStreamDesktop(t, b, over, deskAddr)}
	d.phone.dial()
	return d
}

func newStreamDesktop(t *testing.T, b *bed, over, addr string) *desktop {
	t.Helper()
	p := newStreamPeer(t, b.net, over, addr)
	return &desktop{peer: p, user: "201", password: officePassword, contact: "<sip:201@" + addr + ";transport=" + over + ">", callID: "reg-" + addr}
}

// answers takes a call and returns its INVITE.
func (d *desktop) answers() message {
	d.t.Helper()
	req := d.awaits("INVITE")
	d.reply(req, "200 OK", "body:"+testSDP)
	d.awaits("ACK")
	return req
}

func TestAPhoneIsCalledByTheConnectionThatItMade(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		d := streamDesk(t, over, nil)
		d.phone.contact = "<sip:201@192.168.1.20:5060;transport=" + over + ">" // behind a NAT
		if got := d.phone.registers("Expires: 3600").get("Contact"); got != d.phone.contact+";expires=120" {
			t.Errorf("granted %s", got)
		}
		b := d.agent.Registered("201")[0]
		if b.Transport != over || b.Address.Addr() != netip.MustParseAddr("10.0.7.1") || b.Address.Port() == 5060 || !b.Connected || !b.Reachable {
			t.Errorf("%+v", b)
		}
		out := d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
		d.phone.answers()
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		// Its connection is lost and made again, from another port: the call goes on.
		d.phone.hangUp()
		time.Sleep(moment)
		if b := d.agent.Registered("201")[0]; b.Connected || b.Reachable {
			t.Errorf("the connection has ended: %+v", b)
		}
		if f := failure(t, <-d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})); f.Kind != NotRegistered ||
			f.Error() != "extension 201 cannot be reached; the connection that the phone registered by has ended, and it comes back with its next registration" {
			t.Error(f)
		}
		d.phone.dial()
		d.phone.tries("200")
		go func() { _ = o.d.Bye(context.Background()) }()
		d.phone.reply(d.phone.awaits("BYE"), "200 OK")
	})
}

func TestAPhoneWhoseConnectionHasEndedIsCalledAtItsContact(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		d := streamDesk(t, over, nil)
		d.phone.registers()
		d.phone.hangUp()
		time.Sleep(moment)
		if b := d.agent.Registered("201")[0]; b.Connected || !b.Reachable {
			t.Errorf("%+v", b)
		}
		out := d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
		d.phone.answers() // it listens at its Contact
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

func TestAPhoneThatIsGoneFromItsContactComesBackByItself(t *testing.T) {
	const back = "; the connection that the phone registered by has ended, and it comes back with its next registration"
	t.Run("nobody listens there", func(t *testing.T) {
		overStreams(t, func(t *testing.T, over string) {
			d := streamDesk(t, over, nil)
			d.phone.contact = "<sip:201@10.0.7.1:5999;transport=" + over + ">"
			d.phone.registers()
			d.phone.hangUp()
			time.Sleep(moment)
			if f := failure(t, <-d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})); f.Kind != Transport || f.Error() != "cannot send to 10.0.7.1:5999: connection refused"+back {
				t.Error(f)
			}
		})
	})
	for _, tt := range []struct{ answer, want string }{
		{"SIP/2.0 400 Bad Request\r\n\r\n", "it does not speak TLS at this port"},
		{"", "it ends the connection during the TLS handshake"},
		{"\x15\x03\x03\x00\x02\x02\x46", "it speaks no TLS 1.2 or newer, and older versions are not safe; see whether it has newer software"},
		{"\x15\x03\x03\x00\x02\x02\x28", "it refuses the TLS handshake (handshake failure)"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := streamDesk(t, transportTLS, nil)
				ear := newPeerWith(t, d.net, nil, "10.0.7.1:5999")
				d.phone.contact = "<sip:201@10.0.7.1:5999;transport=tls>"
				d.phone.registers()
				d.phone.hangUp()
				time.Sleep(moment)
				out := d.invite(t.Context(), Invite{Target: Target{Extension: "201"}})
				var o outcome
				for ended := false; !ended; {
					select {
					case c := <-ear.wire.accepted: // for OPTIONS, too
						_, _ = c.Read(make([]byte, 1024))
						_, _ = io.WriteString(c, tt.answer)
						_ = c.Close()
					case o = <-out:
						ended = true
					}
				}
				if f := failure(t, o); f.Kind != Transport || f.Error() != "cannot send to 10.0.7.1:5999: "+tt.want+back {
					t.Error(f)
				}
			})
		})
	}
}

func TestAStrangerDoesNotStayByBeginningMessages(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		d := streamDesk(t, over, nil)
		raw := d.phone.registration()
		half := len(raw) / 2
		d.phone.send(raw + raw[:half])
		time.Sleep(streamKnock - 5*time.Second)
		d.phone.send(raw[half:] + raw[:half])
		time.Sleep(6 * time.Second)
		if n := d.agent.Stats().Streams; n != 0 {
			t.Errorf("he is connected after %s", streamKnock)
		}
	})
}

func TestAStrangerMayConnectToRegister(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		d := streamDesk(t, over, nil)
		d.phone.closedByAgent(streamFirst + time.Second) // he does not
		d.phone.dial()
		d.phone.challenged(d.phone.tries("401"), "WWW-Authenticate")
		d.phone.password = "wrong"
		d.phone.tries("401")
		if n := d.agent.Stats().Failures; n != 1 {
			t.Errorf("%d failures", n)
		}
		d.phone.calls("201", 1)
		d.phone.silent(time.Second)
		d.phone.closedByAgent(streamKnock)
		d.phone.dial()
		d.phone.password, d.phone.chosen = officePassword, nil
		d.phone.registers()
		time.Sleep(2 * streamKnock)
		d.phone.tries("200") // who is registered may be silent
	})
}
