package sip

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/certtest"
	"perezvon/internal/memnet"
)

// tlsTrunk is an agent with a trunk over TLS at tcpAddr, whose host is a name,
// and a peer there that speaks TLS in its own way.
func tlsTrunk(t *testing.T, own *tls.Config, adjust func(*Config)) (*bed, *peer) {
	t.Helper()
	z := newZone()
	z.set(provider, "10.0.0.21")
	z.set("edge.example.org", "10.0.0.21")
	z.record("_sips._tcp."+provider, srvOf("edge.example.org", 5061, 1))
	b, _ := streamBed(t, transportTLS, func(c *Config) {
		c.Trunks[1].Host = provider
		z.use(c)
		if adjust != nil {
			adjust(c)
		}
	})
	return b, newPeerWith(t, b.net, own, "10.0.0.21:5061")
}

func TestTrunkHasToProveItsNameWhereverItsRecordsLead(t *testing.T) {
	now := time.Now
	tests := []struct {
		name   string
		own    func() *certtest.Pair
		change func(*tls.Config)
		want   string // of the failure; empty: there is none
	}{
		{"its own name", func() *certtest.Pair { return authority().Issue(provider) }, nil, ""},
		{
			"the name of the record", func() *certtest.Pair { return authority().Issue("edge.example.org") }, nil,
			"its certificate is for edge.example.org and not for " + provider + "; if that is the provider's, write it in trunks[].tls.server_name",
		},
		{"the name that is configured", func() *certtest.Pair { return authority().Issue("edge.example.org") }, func(c *tls.Config) { c.ServerName = "edge.example.org" }, ""},
		{"many others", func() *certtest.Pair { return authority().Issue("a", "b", "c", "d", "10.0.0.21") }, nil, "its certificate is for a, b, c, 2 more and not for"},
		{
			"expired", func() *certtest.Pair {
				return authority().IssueFor(now().AddDate(0, 0, -9), now().AddDate(0, 0, -2), provider)
			}, nil,
			"its certificate has expired on 1999-12-30; ask the provider to renew it, and check the clock of this machine",
		},
		{
			"not valid yet", func() *certtest.Pair {
				return authority().IssueFor(now().AddDate(0, 0, 2), now().AddDate(0, 0, 9), provider)
			}, nil,
			"its certificate is valid from 2000-01-03 on; check the clock of this machine",
		},
		{
			"an authority that nobody knows", func() *certtest.Pair { return certtest.NewCA("Nobody").Issue(provider) }, nil,
			"its certificate is signed by Nobody, whom this machine does not trust; name the authority's certificate in trunks[].tls.ca",
		},
		{"anything, where nothing is verified", func() *certtest.Pair { return certtest.NewCA("Nobody").Issue("x") }, func(c *tls.Config) { c.InsecureSkipVerify = true }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b, p := tlsTrunk(t, tt.own().Server(), func(c *Config) {
					if tt.change != nil {
						tt.change(c.Trunks[1].TLS)
					}
				})
				out := b.inviteTCP(t.Context(), Invite{})
				if tt.want == "" {
					if req := p.answers(); req.uri() != "sip:74951234567@"+provider {
						t.Errorf("Request-URI %s", req.uri())
					}
					if o := <-out; o.err != nil {
						t.Error(o.err)
					}
					return
				}
				if f := failure(t, <-out); f.Kind != Transport || !strings.HasPrefix(f.Error(), "cannot send to 10.0.0.21:5061: "+tt.want) {
					t.Errorf("%+v: %s", f, f)
				}
			})
		})
	}
}

func TestTrunkThatIsNotTrustedIsDownAndSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := tlsTrunk(t, authority().Issue("edge.example.org").Server(), func(c *Config) {
			c.Trunks[1].Username, c.Trunks[1].Register, c.Trunks[1].Options = "749", true, 30*time.Second
		})
		time.Sleep(time.Minute)
		s, _ := b.agent.TrunkState("stream")
		if s.Up || s.Transport != "tls" || !strings.Contains(s.Reason, provider+" (10.0.0.21:5061)") ||
			!strings.Contains(s.Reason, "its certificate is for edge.example.org and not for "+provider) {
			t.Errorf("%+v", s)
		}
	})
}

func TestServerOfAnotherKindIsToldInWords(t *testing.T) {
	old := func() *tls.Config {
		c := authority().Issue(provider).Server()
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		return c
	}
	asking := func() *tls.Config {
		c := authority().Issue(provider).Server()
		c.ClientAuth = tls.RequireAnyClientCert
		return c
	}
	askingEarly := func() *tls.Config {
		c := asking()
		c.MaxVersion = tls.VersionTLS12
		return c
	}
	for _, tt := range []struct {
		want string
		own  func() *tls.Config
	}{{"it speaks no TLS 1.2 or newer", old}, {"it wants a certificate of ours", askingEarly}, {"it wants a certificate of ours", asking}} {
		inBubble(t, func(t *testing.T) {
			want := tt.want
			b, _ := tlsTrunk(t, tt.own(), nil)
			if f := failure(t, <-b.inviteTCP(t.Context(), Invite{})); f.Kind != Transport || !strings.Contains(f.Error(), want) {
				t.Errorf("%+v: %s, want %s", f, f, want)
			}
		})
	}
	for want, answer := range map[string]string{"it does not speak TLS at this port": "SIP/2.0 400 Bad Request\r\n\r\n", "it ends the connection during the TLS handshake": ""} {
		inBubble(t, func(t *testing.T) {
			b, p := tlsTrunk(t, nil, nil)
			out := b.inviteTCP(t.Context(), Invite{})
			c := <-p.wire.accepted
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
			if f := failure(t, <-out); f.Kind != Transport || !strings.Contains(f.Error(), want) {
				t.Errorf("%+v: %s, want %s", f, f, want)
			}
		})
	}
	inBubble(t, func(t *testing.T) { // says nothing at all
		b, p := tlsTrunk(t, nil, func(c *Config) { c.Trunks[1].Try = 2 * time.Second })
		f := failure(t, <-b.inviteTCP(t.Context(), Invite{}))
		if f.Kind != NoResponse || f.Error() != "no answer from 10.0.0.21:5061 within 2s" {
			t.Errorf("%+v: %s", f, f)
		}
		_ = (<-p.wire.accepted).Close()
	})
}

// Whoever comes over such a connection may hear what is meant for another.
func TestTrunksAtOneAddressShareNoConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, func(c *Config) {
			c.Trunks = append(c.Trunks, Trunk{
				Name: "second", Host: tcpAddr, Transport: "tls", TLS: &tls.Config{RootCAs: authority().Pool(), ServerName: "other.example.net"},
			})
		})
		d, _ := b.answeredTCP(p)
		if f := failure(t, <-b.invite(t.Context(), Invite{Target: Target{Trunk: "second"}})); !strings.Contains(f.Error(), "and not for other.example.net") {
			t.Errorf("%s", f)
		}
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
	})
}

// Who connects has proved nothing: requests to the trunk do not go there.
func TestRequestsToATrunkGoByNoConnectionThatItDidNotProveItsNameOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, nil)
		c, err := b.net.DialStream(t.Context(), netip.MustParseAddrPort(tcpAddr), netip.MustParseAddrPort(agentAddr))
		if err != nil {
			t.Fatal(err)
		}
		forged := tls.Client(c, &tls.Config{RootCAs: authority().Pool(), ServerName: agentName})
		if err := forged.Handshake(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.answeredTCP(p)
		if p.wire.count != 1 {
			t.Errorf("%d connections to the trunk", p.wire.count)
		}
		_ = forged.Close()
	})
}

func TestPhoneNeedsNoCertificateOfAnAuthority(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := streamBed(t, transportTLS, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "102", Contact: "sip:102@10.0.0.60:5061;transport=tls"})
		})
		phone := newPeerWith(t, b.net, certtest.NewCA("phone").Issue("phone").Server(), "10.0.0.60:5061")
		out := b.invite(t.Context(), Invite{Target: Target{Extension: "102"}})
		req := phone.answers()
		if c := req.get("Contact"); req.uri() != "sip:102@10.0.0.60:5061;transport=tls" || !strings.HasSuffix(c, agentAddr+";transport=tls>") {
			t.Errorf("Request-URI %s, Contact %s", req.uri(), c)
		}
		if o := <-out; o.err != nil {
			t.Error(o.err)
		}
	})
}

// A phone behind a router is reached by the connection that it has opened.
func TestRequestsGoByTheConnectionThatThePhoneOpened(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		calls, release := make(chan incoming, 4), make(chan struct{})
		defer close(release)
		b, _ := streamBed(t, over, func(c *Config) {
			accepting(calls, release)(c)
			c.Extensions = append(c.Extensions, Extension{Number: "102", Contact: "sip:102@203.0.113.9:5061;transport=" + over})
		})
		p := newStreamPeer(t, b.net, over, "203.0.113.9:5061")
		p.dial()
		p.send(p.initial("1", "Contact: <sip:102@192.168.7.7:5061;transport="+over+">", "body:"+testSDP))
		p.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		p.send(p.of(p.expect("200"), "ACK", "ack", 100))
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if p.wire.count != 0 {
			t.Error("a connection was made to it")
		}
	})
}

func TestSilenceInsteadOfAHandshakeHoldsNobodyUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, nil)
		silent := connect(t, b, "10.0.0.20:0")
		half := connect(t, b, "10.0.0.20:0")
		_, _ = half.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a ClientHello
		start := time.Now()
		p.dial()
		p.send(options(p, "o"))
		p.expect("200")
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("whoever came next waited %s", took)
		}
		for _, c := range []*memnet.Stream{silent, half} {
			_ = c.SetReadDeadline(time.Now().Add(time.Hour))
			_, _ = io.Copy(io.Discard, c)
		}
		if took := time.Since(start); took < handshakeTime || took > handshakeTime+time.Second {
			t.Errorf("closed after %s", took)
		}
		synctest.Wait()
		if s := b.agent.Stats(); s.Unshaken != 2 || s.Streams != 1 {
			t.Errorf("%+v", s)
		}
		if log := b.log.String(); strings.Count(log, "no TLS with whoever connected") != 1 || !strings.Contains(log, "not finished within 10s") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestHandshakesThatDoNotEndAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, func(c *Config) { c.Trunks[0].Peers = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} })
		count := func(from string, n int) (open int) {
			for range n {
				if c := connect(t, b, from); !isClosed(c) {
					open++
				}
			}
			return open
		}
		if n := count("10.1.0.1:0", maxStreamsPeer+10); n != maxStreamsPeer {
			t.Errorf("%d of one address, want %d", n, maxStreamsPeer)
		}
		all := maxStreamsPeer
		for i := range 20 {
			all += count(fmt.Sprintf("10.1.1.%d:0", i), maxStreamsPeer)
		}
		if all != maxStreams {
			t.Errorf("%d in all, want %d", all, maxStreams)
		}
		time.Sleep(handshakeTime)
		synctest.Wait()
		p.dial() // there is room again
		p.send(options(p, "o"))
		p.expect("200")
		if s := b.agent.Stats(); s.Unshaken != maxStreams || s.Streams != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhoeverConnectsHasToSpeakTLSAsWeDo(t *testing.T) {
	old := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	tests := []struct {
		name, want string
		speak      func(net.Conn)
	}{
		{"older versions", "it speaks no TLS 1.2 or newer", func(c net.Conn) { shake(c, old) }},
		{"plain SIP", "it does not speak TLS; who speaks plain SIP over TCP needs a tcp:// address", func(c net.Conn) { _, _ = io.WriteString(c, "OPTIONS sip:a SIP/2.0\r\n\r\n") }},
		{"another authority", "it does not trust the certificate of sip.tls.cert", func(c net.Conn) { shake(c, func(c *tls.Config) { c.RootCAs = certtest.NewCA("x").Pool() }) }},
		{"nothing", "it went away during the handshake", func(net.Conn) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b, p := streamBed(t, transportTLS, nil)
				c := connect(t, b, "10.0.0.20:0")
				tt.speak(c)
				if tt.name != "nothing" {
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					if _, err := io.Copy(io.Discard, c); err != nil {
						t.Errorf("not closed: %v", err)
					}
				}
				_ = c.Close()
				synctest.Wait()
				if log := b.log.String(); !strings.Contains(log, tt.want) || b.agent.Stats().Unshaken != 1 {
					t.Errorf("log:\n%s", log)
				}
				p.dial()
				p.send(options(p, "o"))
				p.expect("200")
			})
		})
	}
}

// shake begins TLS with the agent.
func shake(c net.Conn, change func(*tls.Config)) {
	cfg := &tls.Config{RootCAs: authority().Pool(), ServerName: agentName, MinVersion: tls.VersionTLS12}
	change(cfg)
	_ = tls.Client(c, cfg).Handshake() // what comes of it the agent says
}

func TestCloseBreaksOffHandshakes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tlsTrunk(t, nil, func(c *Config) { c.Trunks[1].Try = time.Minute })
		silent := connect(t, b, "10.0.0.21:0")
		out := b.inviteTCP(t.Context(), Invite{}) // the far side says nothing either
		time.Sleep(time.Second)
		start := time.Now()
		_ = b.agent.Close(t.Context())
		if took := time.Since(start); took > time.Second || !isClosed(silent) {
			t.Errorf("closing took %s", took)
		}
		<-out
		_ = (<-p.wire.accepted).Close()
		if log := b.log.String(); strings.Contains(log, "no TLS with") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// tapped keeps what was read last.
type tapped struct {
	net.Conn
	last []byte
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.last = append([]byte(nil), b[:n]...)
	}
	return n, err
}

func TestFarSideIsToldWhenAConnectionOverTLSEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, nil)
		tap := &tapped{Conn: connect(t, b, "10.0.0.20:0")}
		c := tls.Client(tap, &tls.Config{RootCAs: authority().Pool(), ServerName: agentName, MaxVersion: tls.VersionTLS12}) // its alerts can be told by their first byte
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		p.wire.use(c)
		p.send(options(p, "o"))
		p.expect("200")
		go func() { _ = b.agent.Close(t.Context()) }()
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = io.Copy(io.Discard, c)
		const alert = 21 // RFC 5246 6.2.1
		if len(tap.last) == 0 || tap.last[0] != alert {
			t.Errorf("the last that came is no alert: % x", tap.last)
		}
	})
}
