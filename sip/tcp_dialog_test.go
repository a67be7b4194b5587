package sip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestContactDecidesTheTransportOfADialog(t *testing.T) {
	for _, tc := range []struct{ contact, want string }{
		{"sip:peer@" + tcpAddr + ";transport=tcp", "tcp"},
		{"sip:peer@" + tcpAddr, "tcp"},   // says nothing, and is where the answer came from
		{"sip:peer@" + phoneAddr, "udp"}, // says nothing, and is another host
		{"sip:peer@" + phoneAddr + ";transport=UDP", "udp"},
		{"sip:peer@10.0.0.30:5060;transport=TCP", "tcp"},
	} {
		inBubble(t, func(t *testing.T) {
			b, p := tcpBed(t, nil)
			there := newTCPPeer(t, b.net, "10.0.0.30:5060")
			out := b.inviteTCP(t.Context(), Invite{})
			p.reply(p.expect("INVITE"), "200 OK", "Contact: <"+tc.contact+">", "body:"+testSDP)
			at := map[string]*peer{tcpAddr: p, phoneAddr: b.phone, "10.0.0.30:5060": there}
			o := <-out
			if o.err != nil {
				t.Fatal(o.err)
			}
			to := at[o.d.RemoteAddr().String()]
			ack := to.expect("ACK")
			if got := strings.ToLower(ack.get("Via")[len("SIP/2.0/"):][:3]); got != tc.want {
				t.Errorf("%s: over %s", tc.contact, got)
			}
			go func() { _ = o.d.Bye(t.Context()) }()
			to.reply(to.expect("BYE"), "200 OK")
		})
	}
}

func TestUDPDialogMovesToAConnectionWhenItsContactSaysSo(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		out := b.invite(t.Context(), Invite{})
		b.carrier.reply(b.carrier.expect("INVITE"), "200 OK", "Contact: <sip:peer@"+tcpAddr+";transport="+over+">", "body:"+testSDP)
		p.expect("ACK")
		o := <-out
		if rec := b.journal.only(t); o.err != nil || rec.Transport != over {
			t.Errorf("%v, %+v", o.err, rec)
		}
		go func() { _ = o.d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
	})
}

func TestExtensionOverAConnectionIsCalledAtItsContact(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "102", Contact: "sip:102@" + tcpAddr + ";transport=" + over})
		})
		out := b.invite(t.Context(), Invite{Target: Target{Extension: "102"}})
		if req := p.answers(); req.uri() != "sip:102@"+tcpAddr+";transport="+over {
			t.Errorf("Request-URI %s", req.uri())
		}
		if o := <-out; o.err != nil {
			t.Error(o.err)
		}
	})
}

func TestTrunkOverAConnectionWithoutAListenerUsesOurConnection(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, func(c *Config) {
			_ = c.streamListeners(over)[0].Close()
			c.ListenTCP, c.ListenTLS = nil, nil
		})
		d, req := b.answeredTCP(p)
		if c := req.get("Contact"); c != "<sip:anonymous@"+agentAddr+";transport="+over+">" {
			t.Errorf("Contact: %s", c)
		}
		p.send(p.inside(req, "BYE", 1))
		p.expect("200")
		<-d.Done()
		// What goes over UDP stays there: we could not be reached otherwise.
		out := b.invite(t.Context(), Invite{})
		b.carrier.answers("Contact: <sip:peer@" + carrierAddr + ";transport=" + over + ">")
		if o := <-out; o.err != nil {
			t.Error(o.err)
		}
	})
}

func TestOrphansOverAConnectionAreEnded(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		out := b.inviteTCP(t.Context(), Invite{})
		req := p.expect("INVITE")
		p.reply(req, "180 Ringing")
		synctest.Wait()
		early := b.journal.only(t)
		p.reply(req, "200 OK", "body:"+testSDP)
		p.expect("ACK")
		<-out
		confirmed := b.journal.only(t)

		b2, q := streamBed(t, over, nil) // the same addresses, after the crash
		errs := make(chan error, 2)
		end := func(rec DialogRecord) {
			go func() {
				_, err := b2.agent.EndOrphan(t.Context(), rec, Reason{Protocol: "SIP", Cause: 500})
				errs <- err
			}()
		}
		end(early)
		cancel := q.expect("CANCEL")
		if cancel.get("Via") != req.get("Via") {
			t.Errorf("CANCEL:\n%s", cancel.raw)
		}
		q.reply(cancel, "200 OK")
		q.reply(req, "487 Request Terminated")
		q.expect("ACK")
		if err := <-errs; err != nil {
			t.Error(err)
		}
		end(confirmed)
		q.reply(q.expect("BYE"), "200 OK")
		if err := <-errs; err != nil {
			t.Error(err)
		}
	})
}

func TestOrphanedCallerOverAConnectionIsRefusedAtItsVia(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		calls, release := make(chan incoming, 4), make(chan struct{})
		defer close(release)
		b, p := streamBed(t, over, accepting(calls, release))
		p.dial()
		p.send(p.initial("1", "Contact: <sip:192.168.7.7>", "body:"+testSDP)) // behind a NAT
		p.expect("100")
		_ = (<-calls).in.Ring()
		p.expect("180")
		rec := b.journal.only(t)
		p.hangUp()
		if _, err := b.agent.EndOrphan(t.Context(), rec, Reason{Protocol: "SIP", Cause: 500}); err != nil {
			t.Fatal(err)
		}
		p.expect("503")
	})
}

func TestWhereAResponseGoesIsNotForTheSenderOfTheRequestToSay(t *testing.T) {
	for _, forged := range []string{";received=10.0.0.77", ";Received = 10.0.0.77;received=10.0.0.77", ";received=10.0.0.77;rport=5077", ";rport=5077"} {
		inBubble(t, func(t *testing.T) {
			calls, release := make(chan incoming, 1), make(chan struct{})
			defer close(release)
			b, p := tcpBed(t, accepting(calls, release))
			third := newTCPPeer(t, b.net, "10.0.0.77:5060")
			p.dial()
			p.send(strings.Replace(p.initial("1", "body:"+testSDP), ";rport", forged, 1))
			p.expect("100")
			p.hangUp()
			time.Sleep(time.Second)
			if err := (<-calls).in.Ring(); err != nil {
				t.Fatal(err)
			}
			p.expect("180") // at its Via
			third.silent(time.Minute)

			raw := b.carrier.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1)
			b.carrier.send(strings.Replace(raw, ";rport", forged, 1))
			if via := b.carrier.expect("200").get("Via"); strings.Contains(via, "77") {
				t.Errorf("Via: %s", via)
			}
		})
	}
}

func TestConnectionsThatComeAndGoAreLoggedSeldom(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		for range 100 {
			p.dial()
			p.send(strings.Replace(p.request("OPTIONS", "sip:"+agentAddr, newTag(), "<sip:a@b>;tag=1", "<sip:x@y>", newTag(), 1), tcpAddr+";", "10.0.0.20:5999;", 1))
			p.hangUp() // the answer goes where nobody listens
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(knockEvery)
		p.dial()
		p.hangUp()
		time.Sleep(time.Second)
		log := b.log.String()
		if n := strings.Count(log, "sip: connection ended"); n != 2 || !strings.Contains(log, "suppressed=99") {
			t.Errorf("%d lines:\n%s", n, log)
		}
		if n := strings.Count(log, "sip: messages not sent"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log)
		}
	})
}
