package sip

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// guesser is a phone that does not know the password of an extension.
func guesser(p *peer, user string) *desktop {
	return &desktop{peer: p, user: user, password: "wrong", contact: "<sip:" + user + "@" + p.addr + ">", callID: "guess-" + p.addr}
}

// guess tries a password until the fifth wrong one. A connection may be closed
// before that has its answer.
func (d *desktop) guess() {
	d.t.Helper()
	d.challenged(d.tries("401"), "WWW-Authenticate")
	for range 4 {
		d.challenged(d.tries("401"), "WWW-Authenticate")
	}
	d.send(d.registration())
	if m, ok := d.read(time.Second); ok {
		d.seen[m.raw] = true
		d.challenged(m, "WWW-Authenticate")
	}
}

func TestWhoGuessesPasswordsIsNotListenedTo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		p := newPeer(t, d.net, stranger.String())
		thief := guesser(p, "201")
		thief.guess()
		thief.password = "s3cret"
		p.send(thief.registration())
		p.send(options(p, "o"))
		p.silent(5 * time.Minute)
		if s := d.agent.Stats(); s.Bans != 1 || s.Failures != 5 || s.Banned != 2 || s.Bindings != 0 || s.Peers != 1 {
			t.Errorf("%+v", s)
		}
		if log := d.log.String(); strings.Count(log, "sip: banned") != 1 || !strings.Contains(log, `address=203.0.113.5 extension="" why="5 wrong passwords within 1m"`) {
			t.Errorf("log:\n%s", log)
		}
		d.phone.registers() // from another address
		if !d.agent.Unban(stranger.Addr()) {
			t.Fatal("not banned")
		}
		thief.chosen = nil
		thief.registers()
	})
}

func TestInvitesToGuessPasswordsGetNoAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		p := newPeer(t, d.net, stranger.String())
		p.send(p.initial("1", "body:"+testSDP))
		p.send(options(p, "o"))
		p.silent(time.Minute)
	})
}

func TestGuessingInAnOfficeBansOneExtensionThere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "202", HA1: MakeHA1("202", Realm, "other")})
		})
		d.phone.registers()
		inside := newPeer(t, d.net, "10.0.7.1:6060") // behind the same NAT
		thief := guesser(inside, "202")
		thief.guess()
		if bans := d.agent.Bans(); len(bans) != 1 || bans[0].Extension != "202" || bans[0].Address != netip.MustParseAddr("10.0.7.1") {
			t.Fatalf("%+v", bans)
		}
		thief.password = "other"
		inside.send(thief.registration()) // right at last
		inside.silent(time.Minute)
		thief.chosen = nil
		thief.challenged(thief.tries("401"), "WWW-Authenticate") // whoever asks is asked for a password
		d.phone.tries("200")                                     // the other phone there goes on
		d.phone.send(options(d.phone.peer, "o"))
		d.phone.awaits("200")

		home := newDesktop(t, d.net, "198.51.100.7:5060")
		home.user, home.password, home.contact = "202", "other", "<sip:202@198.51.100.7:5060>"
		home.registers() // the extension itself is not locked
	})
}

func TestRightGuessOfABarredExtensionIsNotSaidToBeRight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		d.phone.registers()
		for range 5 {
			d.agent.guard.failed(netip.MustParseAddr("10.0.7.1"), "201")
		}
		// Written so that what looks before the parser does not see it.
		raw := strings.Replace(d.phone.registration(), `username="201"`, `username="2\01"`, 1)
		d.phone.send(raw)
		if m, ok := d.phone.read(time.Minute); ok && m.is("200") {
			t.Errorf("let in:\n%s", m.raw)
		}
	})
}

// Whoever is barred cannot make out a right guess by anything but a login that
// he is refused anyway.
func TestRightGuessForAnotherRequestIsNotSaidToBeRight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := desking(t, nil)
		for _, known := range []bool{false, true} {
			if known {
				d.phone.registers()
			}
			p := d.phone
			if !known {
				p = newDesktop(t, d.net, stranger.String())
			}
			before := d.agent.Stats().Failures
			var answers []string
			for _, password := range []string{"wrong", officePassword} {
				p.chosen, p.password = nil, password
				p.challenged(p.tries("401"), "WWW-Authenticate")
				p.sent++
				p.cseq++
				aor := "<sip:201@perezvon.example>"
				p.send(p.request("REGISTER", "sip:perezvon.example", fmt.Sprint("astray", p.sent), aor+";tag=t", aor, p.callID, p.cseq,
					"Authorization: "+p.credentials("REGISTER", "sip:elsewhere")))
				m, ok := p.read(time.Second)
				if !ok {
					t.Fatal("no answer")
				}
				answers = append(answers, m.start+fmt.Sprint(p.challenged(m, "WWW-Authenticate").Stale))
			}
			if answers[0] != answers[1] || !strings.Contains(answers[1], "401") {
				t.Errorf("known %v: %q", known, answers)
			}
			if why := d.agent.peers.extension("201").lastFailure.Load().Reason; !strings.HasPrefix(why, "the phone's answer is for another request") {
				t.Error(why)
			}
			if n := d.agent.Stats().Failures - before; n != 2 {
				t.Errorf("known %v: %d failures are counted", known, n)
			}
		}
	})
}

func TestConnectionsOfWhoIsBannedAreClosed(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, "s3cret")})
		})
		far := newStreamPeer(t, b.net, over, stranger.String())
		far.dial()
		idle := far.wire.conn
		far.dial()
		both := []net.Conn{idle, far.wire.conn}
		thief := guesser(far, "201")
		thief.guess()
		for _, c := range both {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a connection is open: %v", err)
			}
			_ = c.Close()
		}
		if c := connect(t, b, "203.0.113.5:0"); !isClosed(c) {
			t.Error("a new one is taken")
		}
		p.dial() // the trunk's
		p.send(options(p, "o"))
		p.expect("200")
		synctest.Wait()
		if s := b.agent.Stats(); s.Streams != 1 || s.Bans != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAHandshakeDoesNotOutlastABan(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := streamBed(t, transportTLS, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, "s3cret")})
		})
		slow := connect(t, b, "203.0.113.5:0")
		synctest.Wait() // it is taken
		far := newStreamPeer(t, b.net, transportTLS, stranger.String())
		far.dial()
		guesser(far, "201").guess()
		synctest.Wait()
		secured := tls.Client(slow, &tls.Config{RootCAs: authority().Pool(), ServerName: agentName})
		_ = slow.SetDeadline(time.Now().Add(time.Second))
		_ = secured.Handshake() // the agent may end it before or after
		if _, err := secured.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection is open: %v", err)
		}
		_ = secured.Close()
		synctest.Wait()
		if s := b.agent.Stats(); s.Streams != 0 || s.Bans != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestConnectionsOfStrangersLeaveRoomForPhones(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := streamBed(t, transportTCP, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, "s3cret")})
		})
		for i := range 20 {
			ip := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
			open := 0
			for range maxStrangeStreamsPeer + 1 {
				if c := connect(t, b, netip.AddrPortFrom(ip, 0).String()); !isClosed(c) {
					open++
				}
			}
			if open != maxStrangeStreamsPeer {
				t.Errorf("%d connections of one stranger, want %d", open, maxStrangeStreamsPeer)
			}
		}
		synctest.Wait()
		if n := b.agent.Stats().Streams; n != maxStrangeStreams {
			t.Errorf("%d connections of strangers, want %d", n, maxStrangeStreams)
		}
		for range maxStreamsPeer {
			if c := connect(t, b, tcpAddr[:strings.Index(tcpAddr, ":")]+":0"); isClosed(c) {
				t.Fatal("the trunk cannot connect")
			}
		}
		time.Sleep(streamFirst + time.Second)
		if s := b.agent.Stats(); s.Streams != maxStreamsPeer {
			t.Errorf("strangers stay: %d connections", s.Streams)
		}
	})
}

// Eight addresses have room for all connections that strangers may have.
func TestStrangersConnectionsKeepNoPhoneOut(t *testing.T) {
	for _, said := range []string{"nothing", "half a message", "a message"} {
		t.Run(said, func(t *testing.T) {
			overStreams(t, func(t *testing.T, over string) {
				d := streamDesk(t, over, nil)
				d.phone.hangUp()
				for i := range maxStrangeStreams / maxStrangeStreamsPeer {
					far := newStreamPeer(t, d.net, over, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 5060).String())
					one := guesser(far, "201")
					for n := range maxStrangeStreamsPeer {
						far.dial()
						switch said {
						case "half a message":
							far.send("REGISTER sip:x SIP/2.0\r\n")
						case "a message":
							one.callID = fmt.Sprint("hold", i, n)
							one.tries("401")
							one.chosen = nil
						}
					}
				}
				if said == "a message" {
					time.Sleep(streamFirst + time.Second)
				}
				synctest.Wait()
				if n := d.agent.Stats().Streams; n != maxStrangeStreams {
					t.Fatalf("%d connections", n)
				}
				d.phone.dial()
				d.phone.registers()
				time.Sleep(2 * streamKnock)
				d.phone.tries("200")
			})
		})
	}
}

func TestHandshakesOfStrangersKeepNoPhoneOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := streamDesk(t, transportTLS, nil)
		d.phone.hangUp()
		start := time.Now()
		var all []net.Conn
		for i := range maxStrangeStreams {
			all = append(all, connect(t, d.bed, fmt.Sprintf("203.0.113.%d:0", i/maxStrangeStreamsPeer)))
		}
		d.phone.dial()
		d.phone.registers()
		for _, c := range all {
			_, _ = io.Copy(io.Discard, c)
		}
		if took := time.Since(start); took > streamFirst+time.Second {
			t.Errorf("strangers may take %s for the handshake", took)
		}
	})
}

func TestAStrangerWhoConnectsForNothingIsBanned(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, _ := streamBed(t, over, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "201", HA1: MakeHA1("201", Realm, "s3cret")})
			c.Perimeter.Ignored = 10
		})
		for i := range 10 {
			if n := len(b.agent.Bans()); n != 0 {
				t.Fatalf("banned after %d", i)
			}
			c := connect(t, b, "203.0.113.5:0")
			synctest.Wait()
			_ = c.Close()
			synctest.Wait()
		}
		if n := len(b.agent.Bans()); n != 1 {
			t.Errorf("%d bans", n)
		}
	})
}
