package sip

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"perezvon/internal/memnet"
)

// connect is a connection to the agent.
func connect(t *testing.T, b *bed, from string) *memnet.Stream {
	t.Helper()
	c, err := b.net.DialStream(t.Context(), netip.MustParseAddrPort(from), netip.MustParseAddrPort(agentAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// isClosed reports whether the agent has closed a connection.
func isClosed(c *memnet.Stream) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := io.ReadAll(c)
	return err == nil
}

func options(p *peer, id string) string {
	return p.request("OPTIONS", "sip:"+agentAddr, id, "<sip:a@b>;tag=1", "<sip:x@y>", id, 1)
}

func TestConnectionsOfStrangersAreClosedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := tcpBed(t, nil)
		for range 50 {
			c := connect(t, b, "203.0.113.5:0")
			if !isClosed(c) {
				t.Fatal("open")
			}
		}
		if s := b.agent.Stats(); s.Strangers != 50 || s.Streams != 0 {
			t.Errorf("%+v", s)
		}
		if log := b.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "connection refused: no trunk's host or peers") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestConnectionsAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, func(c *Config) { c.Trunks[0].Peers = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} })
		var open []*memnet.Stream
		for range maxStreamsPeer {
			open = append(open, connect(t, b, "10.0.0.20:0"))
		}
		synctest.Wait()
		if c := connect(t, b, "10.0.0.20:0"); !isClosed(c) {
			t.Errorf("more than %d of one address", maxStreamsPeer)
		}
		d, _ := b.answeredTCP(p) // our own are not among them
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		for i := range maxStreams - maxStreamsPeer {
			open = append(open, connect(t, b, fmt.Sprintf("10.1.%d.%d:0", i/200, i%200)))
		}
		synctest.Wait()
		if c := connect(t, b, "10.1.9.9:0"); !isClosed(c) {
			t.Errorf("more than %d", maxStreams)
		}
		if s := b.agent.Stats(); s.Refused != 2 || s.Streams != maxStreams+1 {
			t.Errorf("%+v", s)
		}
		for _, c := range open {
			_ = c.Close()
		}
		synctest.Wait()
		if c := connect(t, b, "10.0.0.20:0"); isClosed(c) {
			t.Error("closed ones count on")
		}
	})
}

func TestAcceptGoesOnAfterErrors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, nil)
		b.net.FailAccept(syscall.EMFILE)
		time.Sleep(time.Minute)
		if n := strings.Count(b.log.String(), "could not be accepted"); n != 1 {
			t.Errorf("told %d times:\n%s", n, b.log)
		}
		b.net.FailAccept(nil)
		p.dial()
		p.send(options(p, "o"))
		p.expect("200")
		select {
		case err := <-b.agent.Fatal():
			t.Errorf("fatal: %v", err)
		default:
		}
	})
}

func TestListenerThatEndsIsFatal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := tcpBed(t, nil)
		_ = b.agent.cfg.ListenTCP[0].Close()
		if err := <-b.agent.Fatal(); err == nil || !strings.Contains(err.Error(), "listener "+agentAddr+" ended") {
			t.Errorf("fatal: %v", err)
		}
	})
}

func TestKeepAliveIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		_, p := tcpBed(t, nil)
		p.dial()
		read := func() string {
			buf := make([]byte, 64)
			_ = p.wire.conn.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := p.wire.conn.Read(buf)
			return string(buf[:n])
		}
		p.send("\r\n\r\n")
		if got := read(); got != "\r\n" {
			t.Errorf("%q", got)
		}
		p.send("\r\n") // half a ping is none
		if got := read(); got != "" {
			t.Errorf("%q", got)
		}
		p.send("\r\n")
		if got := read(); got != "\r\n" {
			t.Errorf("%q", got)
		}
		for range 5 { // and keeps the connection open
			time.Sleep(streamIdle - time.Minute)
			p.send("\r\n\r\n")
			if got := read(); got != "\r\n" {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, nil)
		p.dial()
		time.Sleep(streamIdle - time.Second)
		synctest.Wait()
		if s := b.agent.Stats(); s.Streams != 1 {
			t.Errorf("%+v", s)
		}
		p.closedByAgent(2 * time.Second)
	})
}

func TestHalfAMessageIsNotWaitedForForever(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, part := range []string{"OPT", "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n", "OPTIONS sip:a SIP/2.0\r\nContent-Length: 99\r\n\r\n12345"} {
			_, p := tcpBed(t, nil)
			p.dial()
			p.send(options(p, "o") + part)
			p.expect("200")
			start := time.Now()
			for range 8 { // a byte now and then does not help
				time.Sleep(streamHalf / 10)
				p.send("x")
			}
			p.closedByAgent(streamHalf + time.Second - time.Since(start))
		}
	})
}

func TestGarbageClosesItsConnectionOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, nil)
		d, _ := b.answeredTCP(p)
		call := p.wire.conn
		for _, garbage := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", strings.Repeat("x", 1<<20),
			"OPTIONS sip:a SIP/2.0\r\nContent-Length: 9999999\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\n\r\n",
		} {
			c := connect(t, b, "10.0.0.20:0")
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.Write([]byte(garbage)) // it may be closed before all is written
			synctest.Wait()
			if !isClosed(c) {
				t.Errorf("%.30q: open", garbage)
			}
		}
		p.wire.use(call)
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if s := b.agent.Stats(); s.Streams != 1 || strings.Contains(b.log.String(), "level=ERROR") {
			t.Errorf("%+v\n%s", s, b.log)
		}
	})
}

// The library would close the connection, and with it end every other call.
func TestMalformedMessageDoesNotHurtTheOthersOfItsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, nil)
		p.dial()
		for i, bad := range []string{
			"OPTIONS sip:a SIP/2.0\r\nCSeq: nonsense\r\nContent-Length: 0\r\n\r\n",
			"OPTIONS  SIP/2.0\r\nContent-Length: 0\r\n\r\n",
			"OPTIONS sip:a SIP/2.0\r\nVia: x\r\nno colon here\r\nContent-Length: 0\r\n\r\n",
			"SIP/2.0 abc OK\r\nContent-Length: 0\r\n\r\n",
		} {
			p.send(bad + options(p, fmt.Sprint("o", i)))
			p.expect("200")
		}
		if s := b.agent.Stats(); s.Garbage == 0 || s.Streams != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSlowReaderIsGivenUpAndHoldsNobodyUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, nil)
		slow := connect(t, b, "10.0.0.20:0")
		start := time.Now()
		go func() {
			for i := range 2000 { // and never reads a response
				if _, err := slow.Write([]byte(options(p, fmt.Sprint("slow", i)))); err != nil {
					return
				}
			}
		}()
		d, _ := b.answeredTCP(p)
		go func() { _ = d.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("a call beside it took %s", took)
		}
		time.Sleep(streamWrite + time.Second)
		synctest.Wait()
		if s := b.agent.Stats(); s.Streams != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseLeavesNothingOfConnections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, nil)
		d, _ := b.answeredTCP(p)
		idle, stuck := connect(t, b, "10.0.0.20:0"), connect(t, b, "10.0.0.20:0")
		_, _ = stuck.Write([]byte("OPTIONS sip:"))
		closed := make(chan error, 1)
		go func() { closed <- b.agent.Close(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if err := <-closed; err != nil {
			t.Error(err)
		}
		<-d.Done()
		if !isClosed(idle) || !isClosed(stuck) {
			t.Error("a connection is open")
		}
		if _, err := b.net.DialStream(t.Context(), netip.MustParseAddrPort("10.0.0.20:0"), netip.MustParseAddrPort(agentAddr)); err == nil {
			t.Error("it still listens")
		}
		p.hangUp()
		if n := b.net.Streams(); n != 2 { // ours
			t.Errorf("%d ends of connections are open", n)
		}
	})
}

func TestCloseBreaksOffConnecting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := tcpBed(t, func(c *Config) { c.Trunks[1].Try = time.Minute })
		b.net.Unplug(p.wire.addr.Addr())
		out := b.inviteTCP(t.Context(), Invite{})
		time.Sleep(time.Second)
		start := time.Now()
		_ = b.agent.Close(t.Context())
		if took := time.Since(start); took > time.Second {
			t.Errorf("closing took %s", took)
		}
		<-out
	})
}

func TestCallOverRealTCP(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	l, err := ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l2, err := ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u2, err := ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start := func(u net.PacketConn, l net.Listener, other string, h func(context.Context, *Incoming)) *Agent {
		a, err := New(Config{
			Listen: []net.PacketConn{u}, ListenTCP: []net.Listener{l}, Handle: h, Logger: slog.New(slog.DiscardHandler),
			Trunks: []Trunk{{Name: "other", Host: other, Transport: "tcp"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return a
	}
	dialogs := make(chan *Dialog, 1)
	start(u2, l2, l.Addr().String(), func(ctx context.Context, in *Incoming) {
		_ = in.Ring()
		d, err := in.Answer(ctx, &testMedia{}, DialogRef{})
		if err != nil {
			t.Error(err)
			return
		}
		dialogs <- d
		<-ctx.Done()
	})
	a := start(u, l, l2.Addr().String(), func(context.Context, *Incoming) {})
	for i := range 4 {
		d, err := a.Invite(t.Context(), Invite{Target: Target{Trunk: "other"}, User: "74951234567", Media: &testMedia{}})
		if err != nil {
			t.Fatal(err)
		}
		far := <-dialogs
		if i%2 == 0 {
			err = d.Bye(t.Context())
			<-far.Done()
		} else {
			err = far.Bye(t.Context())
			<-d.Done()
		}
		if err != nil {
			t.Error(err)
		}
	}
	if s := a.Stats(); s.Streams != 2 { // there and, for the other's BYE, back
		t.Errorf("%+v", s)
	}
}
