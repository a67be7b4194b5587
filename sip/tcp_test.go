package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallOverTCP(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		out := b.inviteTCP(t.Context(), Invite{})
		req := p.expect("INVITE")
		if via := req.get("Via"); !strings.HasPrefix(via, "SIP/2.0/"+strings.ToUpper(over)+" "+agentAddr+";branch=z9hG4bK") {
			t.Errorf("Via: %s", via)
		}
		if c := req.get("Contact"); c != "<sip:anonymous@"+agentAddr+";transport="+over+">" {
			t.Errorf("Contact: %s", c)
		}
		if rec := b.journal.only(t); rec.Transport != over || rec.Listener != agentAddr || rec.Destination != tcpAddr {
			t.Errorf("journalled %+v", rec)
		}
		p.reply(req, "100 Trying")
		p.reply(req, "183 Session Progress", "body:"+testSDP)
		time.Sleep(20 * time.Second) // nothing is repeated over TCP
		p.silent(0)
		p.reply(req, "200 OK", "body:"+testSDP)
		ack := p.expect("ACK")
		if !strings.HasPrefix(ack.get("Via"), "SIP/2.0/"+strings.ToUpper(over)+" ") || ack.uri() != "sip:peer@"+tcpAddr+";transport="+over {
			t.Errorf("ACK:\n%s", ack.raw)
		}
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		done := make(chan error, 1)
		go func() { done <- o.d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.answeredTCP(p)
		if s := b.agent.Stats(); p.wire.count != 1 || s.Streams != 1 {
			t.Errorf("%d connections for two calls; %+v", p.wire.count, s)
		}
	})
}

func TestCallComesOverTCP(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		calls, release := make(chan incoming, 4), make(chan struct{})
		defer close(release)
		b, p := streamBed(t, over, accepting(calls, release))
		p.dial()
		p.send(p.initial("1", "body:"+testSDP))
		p.expect("100")
		in := (<-calls).in
		if err := in.Ring(); err != nil {
			t.Fatal(err)
		}
		if c := p.expect("180").get("Contact"); c != "<sip:74950000000@"+agentAddr+";transport="+over+">" {
			t.Errorf("Contact: %s", c)
		}
		d, err := in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := p.expect("200")
		p.send(p.of(ok, "ACK", "ack", 100))
		p.silent(40 * time.Second)
		p.send(p.of(ok, "BYE", "bye", 101))
		p.expect("200")
		<-d.Done()

		p.send(p.initial("2", "body:"+testSDP))
		p.expect("100")
		<-calls
		p.send(p.cancelOf("2"))
		p.expect("200")
		p.expect("487")
		if p.wire.count != 0 || b.agent.Stats().Streams != 1 {
			t.Errorf("%d connections were made for what came by one", p.wire.count)
		}
	})
}

// Two messages at once go into one segment, and one message into many.
func TestSegmentsDoNotMatter(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		calls, release := make(chan incoming, 4), make(chan struct{})
		defer close(release)
		_, p := streamBed(t, over, accepting(calls, release))
		p.dial()
		for c := range strings.SplitSeq(p.initial("1", "body:"+testSDP), "") {
			p.send(c)
		}
		p.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := p.expect("200")
		p.send("\r\n" + p.of(ok, "ACK", "ack", 100) + p.of(ok, "INFO", "info", 101) + "\r\n\r\n" + p.of(ok, "BYE", "bye", 102))
		p.expect("200")
		p.expect("200")
		<-d.Done()
	})
}

func TestResponsesThatFollowCloselyKeepTheirOrderOverTCP(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		const n = 300
		outs := make([]<-chan outcome, n)
		seen := make([][]int, n)
		for i := range n {
			outs[i] = b.inviteTCP(t.Context(), Invite{OnProgress: func(p Progress) { seen[i] = append(seen[i], p.Status) }})
		}
		var all strings.Builder
		for range n {
			req := p.expect("INVITE")
			all.WriteString(p.response(req, "180 Ringing") + p.response(req, "183 Session Progress", "body:"+testSDP) + p.response(req, "200 OK"))
		}
		p.send(all.String())
		for i := range n {
			if o := <-outs[i]; o.err != nil || fmt.Sprint(seen[i]) != "[180 183]" {
				t.Fatalf("call %d: %v, %v", i, seen[i], o.err)
			}
		}
	})
}

func TestTenThousandMessagesKeepTheirOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n = 10000
		b, p := tcpBed(t, nil)
		var mu sync.Mutex
		var got []string
		out := b.inviteTCP(t.Context(), Invite{OnInfo: func(_ string, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(body))
		}})
		req := p.answers()
		<-out
		go func() {
			for i := range n {
				p.send(p.inside(req, "INFO", i+1, "Content-Type: text/plain", fmt.Sprintf("body:%d", i)))
			}
		}()
		for range n {
			p.expect("200")
		}
		mu.Lock()
		defer mu.Unlock()
		if len(got) != n {
			t.Fatalf("%d of %d", len(got), n)
		}
		for i, s := range got {
			if s != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, s)
			}
		}
	})
}

// The library would send a request to whoever connected last.
func TestRequestNeverGoesToWhoeverConnectedLast(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		var other *peer
		b, p := streamBed(t, over, func(c *Config) {
			c.Trunks = append(c.Trunks, Trunk{Name: "other", Host: "10.0.0.30:5060", Transport: over, TLS: &tls.Config{RootCAs: authority().Pool()}})
		})
		other = newStreamPeer(t, b.net, over, "10.0.0.30:5060")
		d, _ := b.answeredTCP(p)
		other.dial()
		other.send(other.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1))
		other.expect("200")
		b.answeredTCP(p)
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		p.hangUp() // now the other's connection is the only one
		synctest.Wait()
		b.answeredTCP(p)
		other.silent(time.Minute)
		if p.wire.count != 2 || other.wire.count != 0 {
			t.Errorf("%d connections to the trunk, %d to the other", p.wire.count, other.wire.count)
		}
	})
}

func TestConnectionLostWhileRingingEndsTheCallAndTheRinging(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		out := b.inviteTCP(t.Context(), Invite{})
		req := p.expect("INVITE")
		p.reply(req, "180 Ringing")
		synctest.Wait()
		start := time.Now()
		p.hangUp()
		f := failure(t, <-out)
		if f.Kind != Transport || f.Rang == 0 || time.Since(start) > 10*time.Millisecond || f.Error() != "cannot send to "+tcpAddr+": the connection was lost" {
			t.Errorf("%+v after %s: %s", f, time.Since(start), f)
		}
		cancel := p.expect("CANCEL")
		if cancel.get("Via") != req.get("Via") || cancel.get("CSeq") != strings.Replace(req.get("CSeq"), "INVITE", "CANCEL", 1) {
			t.Errorf("CANCEL:\n%s", cancel.raw)
		}
		p.reply(cancel, "200 OK")
		p.reply(req, "487 Request Terminated")
		p.expect("ACK")
	})
}

func TestAnswerThatComesAfterTheConnectionWasLostIsEnded(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		out := b.inviteTCP(t.Context(), Invite{})
		req := p.expect("INVITE")
		p.reply(req, "180 Ringing")
		synctest.Wait()
		p.hangUp()
		<-out
		p.reply(p.expect("CANCEL"), "481 Too late")
		synctest.Wait()
		p.hangUp()
		synctest.Wait() // an ACK put into a connection that is ending waits for the next 200
		p.dial()        // RFC 3261 18.2.2: to the Via of the INVITE
		p.reply(req, "200 OK", "body:"+testSDP)
		p.wire.use(<-p.wire.accepted) // the Contact is where we listen
		p.expect("ACK")
		p.reply(p.expect("BYE"), "200 OK")
	})
}

func TestCallGoesOnWhenItsConnectionIsLost(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		d, _ := b.answeredTCP(p)
		p.hangUp()
		time.Sleep(time.Minute)
		select {
		case <-d.Done():
			t.Fatalf("the call ended: %v", d.Ended())
		default:
		}
		done := make(chan error, 1)
		go func() { done <- d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if err := <-done; err != nil || p.wire.count != 2 {
			t.Errorf("%v over connection %d", err, p.wire.count)
		}
	})
}

func TestPeerEndsACallByAnotherConnection(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		d, req := b.answeredTCP(p)
		p.hangUp()
		p.dial()
		p.send(p.inside(req, "BYE", 1))
		p.expect("200")
		<-d.Done()
	})
}

func TestResponseGoesToTheViaWhenItsConnectionHasGone(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		calls, release := make(chan incoming, 4), make(chan struct{})
		defer close(release)
		_, p := streamBed(t, over, accepting(calls, release))
		p.dial()
		p.send(p.initial("1", "body:"+testSDP))
		p.expect("100")
		p.hangUp()
		synctest.Wait()
		in := (<-calls).in
		_ = in.Ring()
		d, err := in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		p.expect("180")
		ok := p.expect("200")
		if p.wire.count != 1 {
			t.Errorf("connection %d", p.wire.count)
		}
		p.send(p.of(ok, "ACK", "ack", 100))
		p.send(p.of(ok, "BYE", "bye", 101))
		p.expect("200")
		<-d.Done()
	})
}

// A proxy on the way may lose the 200 behind it, whatever the first hop is.
func TestAnswerOverTCPIsRepeatedUntilItsACK(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, func(c *Config) {
			c.Handle = func(ctx context.Context, in *Incoming) {
				_, _ = in.Answer(ctx, &testMedia{}, DialogRef{}) // and returns
			}
		})
		p.dial()
		p.send(p.initial("1", "body:"+testSDP))
		p.expect("100")
		ok := p.expect("200")
		time.Sleep(1400 * time.Millisecond)
		for range 1 { // after T1; again after 2*T1 more
			m, more := p.read(time.Second)
			if !more || m.raw != ok.raw {
				t.Errorf("repeated: %t\n%s", more, m.raw)
			}
		}
		p.send(p.of(ok, "ACK", "ack", 100))
		time.Sleep(time.Second)
		for {
			if _, more := p.read(0); !more {
				break
			}
		}
		p.silent(time.Minute)
		if s := b.agent.Stats(); s.Dialogs != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestNobodyListensIsATransportError(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, _ := streamBed(t, over, func(c *Config) { c.Trunks[1].Host = "10.0.0.77:5060" })
		f := failure(t, <-b.inviteTCP(t.Context(), Invite{}))
		if f.Kind != Transport || !errors.Is(f, syscall.ECONNREFUSED) || f.Error() != "cannot send to 10.0.0.77:5060: connection refused" {
			t.Errorf("%+v: %s", f, f)
		}
	})
}

func TestTryBoundsTheWaitForAConnection(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, func(c *Config) { c.Trunks[1].Try = 2 * time.Second })
		b.net.Unplug(p.wire.addr.Addr())
		start := time.Now()
		f := failure(t, <-b.inviteTCP(t.Context(), Invite{}))
		if took := time.Since(start); f.Kind != NoResponse || took < 2*time.Second || took > 2100*time.Millisecond || f.Error() != "no answer from "+tcpAddr+" within 2s" {
			t.Errorf("%+v after %s: %s", f, took, f)
		}
		ctx, cancel := context.WithCancel(t.Context())
		out := b.inviteTCP(ctx, Invite{})
		time.Sleep(time.Second)
		cancel()
		if f := failure(t, <-out); f.Kind != Cancelled {
			t.Errorf("%+v", f)
		}
	})
}

func TestSilentConnectionIsNotUsedForTheNextCall(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		b, p := streamBed(t, over, nil)
		d, _ := b.answeredTCP(p)
		first := p.wire.conn // forgotten by a firewall: nothing comes, nothing is refused
		if f := failure(t, <-b.inviteTCP(t.Context(), Invite{})); f.Kind != NoResponse {
			t.Errorf("%+v", f)
		}
		p.wire.conn = nil
		b.answeredTCP(p)
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if p.wire.count != 2 {
			t.Errorf("connection %d", p.wire.count)
		}
		_ = first.Close()
	})
}

func TestDeadServerIsLeftForTheNextOneOverTCP(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		z := newZone()
		z.set("a."+provider, "10.0.1.1")
		z.set("b."+provider, tcpAddr[:strings.IndexByte(tcpAddr, ':')])
		name := "_sip._tcp."
		if over == transportTLS {
			name = "_sips._tcp."
		}
		z.record(name+provider, srvOf("a."+provider, 5060, 1), srvOf("b."+provider, 5060, 2))
		b, p := streamBed(t, over, func(c *Config) {
			c.Trunks[1].Host = provider
			z.use(c)
		})
		d, req := b.answeredTCP(p)
		if req.uri() != "sip:74951234567@"+provider || d.RemoteAddr().String() != tcpAddr {
			t.Errorf("%s at %s", req.uri(), d.RemoteAddr())
		}
	})
}
