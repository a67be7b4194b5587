package sip

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/memnet"
)

const tcpAddr = "10.0.0.20:5060"

// wire is what a peer over TCP speaks by: the connection of the agent that it
// accepted last, or its own to the agent.
type wire struct {
	t        *testing.T
	net      *memnet.Net
	addr     netip.AddrPort
	accepted chan *memnet.Stream
	conn     *memnet.Stream // nil: none yet, or it has ended
	buf      string
	count    int // of connections accepted
}

func (w *wire) name() string {
	if w == nil {
		return "UDP"
	}
	return "TCP"
}

func (w *wire) param() string {
	if w == nil {
		return ""
	}
	return ";transport=tcp"
}

// newTCPPeer is a peer that listens for connections.
func newTCPPeer(t *testing.T, n *memnet.Net, addr string) *peer {
	t.Helper()
	l := n.MustListenStream(addr)
	w := &wire{t: t, net: n, addr: netip.MustParseAddrPort(addr), accepted: make(chan *memnet.Stream, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.accepted <- c.(*memnet.Stream)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		if w.conn != nil {
			_ = w.conn.Close()
		}
		for len(w.accepted) > 0 {
			_ = (<-w.accepted).Close()
		}
	})
	return &peer{t: t, addr: addr, tag: "peer-" + strings.ReplaceAll(addr, ":", "-"), seen: map[string]bool{}, to: agentAddr, wire: w}
}

// dial connects to the agent.
func (p *peer) dial() {
	p.t.Helper()
	c, err := p.wire.net.DialStream(p.t.Context(), netip.AddrPortFrom(p.wire.addr.Addr(), 0), netip.MustParseAddrPort(agentAddr))
	if err != nil {
		p.t.Fatal(err)
	}
	p.wire.use(c)
}

// use has the peer speak by another connection.
func (w *wire) use(c *memnet.Stream) { w.conn, w.buf = c, "" }

// hangUp closes the connection.
func (p *peer) hangUp() {
	_ = p.wire.conn.Close() // never fails
	p.wire.conn = nil
}

// next is the connection to read from, once there is one.
func (w *wire) next(until time.Time) *memnet.Stream {
	if w.conn != nil {
		return w.conn
	}
	select {
	case c := <-w.accepted:
		w.count++
		w.use(c)
	case <-time.After(time.Until(until)):
	}
	return w.conn
}

func (w *wire) read(wait time.Duration) (message, bool) {
	w.t.Helper()
	until := time.Now().Add(wait)
	for {
		if m, ok := w.cut(); ok {
			return m, true
		}
		c := w.next(until)
		if c == nil {
			return message{}, false
		}
		_ = c.SetReadDeadline(until)
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		w.buf += string(buf[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return message{}, false
		case errors.Is(err, io.EOF):
			_ = c.Close()
			w.conn = nil
		case err != nil:
			w.t.Fatalf("%s: read: %v", w.addr, err)
		}
	}
}

// cut takes a message off what was read; a CRLF before it is none.
func (w *wire) cut() (message, bool) {
	w.buf = strings.TrimPrefix(w.buf, "\r\n")
	head, rest, ok := strings.Cut(w.buf, "\r\n\r\n")
	if !ok {
		return message{}, false
	}
	m := parseRaw(head+"\r\n\r\n", netip.AddrPort{})
	n, err := strconv.Atoi(m.get("Content-Length"))
	if err != nil {
		w.t.Fatalf("no Content-Length:\n%s", head)
	}
	if len(rest) < n {
		return message{}, false
	}
	w.buf = rest[n:]
	from, _ := netip.ParseAddrPort(w.conn.RemoteAddr().String())
	return parseRaw(head+"\r\n\r\n"+rest[:n], from), true
}

func (w *wire) send(raw string) {
	w.t.Helper()
	c := w.next(time.Now())
	if c == nil {
		w.t.Fatalf("%s: there is no connection to send by", w.addr)
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(raw)); err != nil {
		w.t.Fatalf("%s: send: %v", w.addr, err)
	}
}

// closedByAgent waits until the agent has closed the connection.
func (p *peer) closedByAgent(wait time.Duration) {
	p.t.Helper()
	_ = p.wire.conn.SetReadDeadline(time.Now().Add(wait))
	if rest, err := io.ReadAll(p.wire.conn); err != nil {
		p.t.Fatalf("the connection was not closed within %s: %v, read %q", wait, err, rest)
	}
	p.hangUp()
}

// overTCP lets an agent listen and connect over TCP, and makes the trunk
// "stream" of the peer at tcpAddr.
func overTCP(n *memnet.Net, c *Config) {
	c.ListenTCP = []net.Listener{n.MustListenStream(agentAddr)}
	c.DialTCP = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		s, err := n.DialStream(ctx, netip.MustParseAddrPort("10.0.0.1:0"), to)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	c.Trunks = append(c.Trunks, Trunk{Name: "stream", Host: tcpAddr, Transport: "tcp"})
}

// tcpBed is testAgent with a trunk over TCP, whose peer it returns. What it
// has opened is closed at the end.
func tcpBed(t *testing.T, adjust func(*Config)) (*bed, *peer) {
	t.Helper()
	var n *memnet.Net
	var p *peer
	b := testAgent(t, func(c *Config) {
		overTCP(n, c)
		if adjust != nil {
			adjust(c)
		}
	}, func(net *memnet.Net) { n, p = net, newTCPPeer(t, net, tcpAddr) })
	t.Cleanup(func() { // before the agent is closed: what a test closes, it has closed
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = b.agent.Close(ctx) // tests leave dialogs open
		synctest.Wait()
		if s := b.agent.Stats(); s.Streams != 0 {
			t.Errorf("%d connections are left", s.Streams)
		}
	})
	return b, p
}

// inviteTCP starts a call by the trunk over TCP.
func (b *bed) inviteTCP(ctx context.Context, inv Invite) <-chan outcome {
	inv.Target = Target{Trunk: "stream"}
	return b.invite(ctx, inv)
}

// answeredTCP has a call to the trunk over TCP up.
func (b *bed) answeredTCP(p *peer) (*Dialog, message) {
	b.t.Helper()
	out := b.inviteTCP(b.t.Context(), Invite{})
	req := p.answers()
	o := <-out
	if o.err != nil {
		b.t.Fatal(o.err)
	}
	return o.d, req
}
