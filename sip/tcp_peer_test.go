package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/certtest"
	"perezvon/internal/memnet"
)

const tcpAddr = "10.0.0.20:5060"

// wire is what a peer over TCP or TLS speaks by: the connection of the agent
// that it accepted last, or its own to the agent.
type wire struct {
	t        *testing.T
	net      *memnet.Net
	addr     netip.AddrPort
	over     string // tcp or tls
	accepted chan net.Conn
	conn     net.Conn // nil: none yet, or it has ended
	buf      string
	count    int // of connections accepted
}

// authority signs the certificates of all tests.
var authority = sync.OnceValue(func() *certtest.CA { return certtest.NewCA("Test authority") })

// overStreams runs a test over TCP and over TLS.
func overStreams(t *testing.T, f func(t *testing.T, over string)) {
	t.Helper()
	for _, over := range []string{transportTCP, transportTLS} {
		t.Run(over, func(t *testing.T) { inBubble(t, func(t *testing.T) { f(t, over) }) })
	}
}

func (w *wire) name() string {
	if w == nil {
		return "UDP"
	}
	return strings.ToUpper(w.over)
}

func (w *wire) param() string {
	if w == nil {
		return ""
	}
	return ";transport=" + w.over
}

// newTCPPeer is a peer that listens for connections.
func newTCPPeer(t *testing.T, n *memnet.Net, addr string) *peer {
	t.Helper()
	return newStreamPeer(t, n, transportTCP, addr)
}

func newStreamPeer(t *testing.T, n *memnet.Net, over, addr string) *peer {
	t.Helper()
	if over == transportTCP {
		return newPeerWith(t, n, nil, addr)
	}
	return newPeerWith(t, n, authority().Issue(netip.MustParseAddrPort(addr).Addr().String(), provider).Server(), addr)
}

// newPeerWith is a peer over TLS with this configuration; nil: over TCP.
func newPeerWith(t *testing.T, n *memnet.Net, own *tls.Config, addr string) *peer {
	t.Helper()
	w := &wire{t: t, net: n, over: transportTCP, addr: netip.MustParseAddrPort(addr), accepted: make(chan net.Conn, 100)}
	if own != nil {
		w.over = transportTLS
	}
	w.listen(n.MustListenStream(addr), own)
	return &peer{t: t, addr: addr, tag: "peer-" + strings.ReplaceAll(addr, ":", "-"), seen: map[string]bool{}, to: agentAddr, wire: w}
}

// listen takes connections until the end of the test.
func (w *wire) listen(l net.Listener, own *tls.Config) {
	t := w.t
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if own != nil {
				secured := tls.Server(c, own)
				if secured.Handshake() != nil {
					_ = c.Close()
					continue // it is the agent's part to say why
				}
				c = secured
			}
			w.accepted <- c
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
}

// dial connects to the agent.
func (p *peer) dial() {
	p.t.Helper()
	c, err := p.wire.net.DialStream(p.t.Context(), netip.AddrPortFrom(p.wire.addr.Addr(), 0), netip.MustParseAddrPort(agentAddr))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.wire.over == transportTCP {
		p.wire.use(c)
		return
	}
	secured := tls.Client(c, &tls.Config{RootCAs: authority().Pool(), ServerName: agentName})
	if err := secured.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.wire.use(secured)
}

// use has the peer speak by another connection.
func (w *wire) use(c net.Conn) { w.conn, w.buf = c, "" }

// hangUp closes the connection.
func (p *peer) hangUp() {
	_ = p.wire.conn.Close() // never fails
	p.wire.conn = nil
}

// next is the connection to read from, once there is one.
func (w *wire) next(until time.Time) net.Conn {
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
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
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
	if rest, err := io.ReadAll(p.wire.conn); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		p.t.Fatalf("the connection was not closed within %s: %v, read %q", wait, err, rest)
	}
	p.hangUp()
}

// agentName is whom the certificate of the agent is for.
const agentName = "pbx.example.net"

// overStream lets an agent listen and connect over TCP or TLS, and makes the
// trunk "stream" of the peer at tcpAddr.
func overStream(n *memnet.Net, over string, c *Config) {
	listen := []net.Listener{n.MustListenStream(agentAddr)}
	if over == transportTLS {
		c.ListenTLS, c.TLS = listen, authority().Issue(agentName).Server()
	} else {
		c.ListenTCP = listen
	}
	c.DialTCP = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		s, err := n.DialStream(ctx, netip.MustParseAddrPort("10.0.0.1:0"), to)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	c.Trunks = append(c.Trunks, Trunk{Name: "stream", Host: tcpAddr, Transport: over, TLS: &tls.Config{RootCAs: authority().Pool()}})
}

// tcpBed is streamBed over TCP.
func tcpBed(t *testing.T, adjust func(*Config)) (*bed, *peer) {
	t.Helper()
	return streamBed(t, transportTCP, adjust)
}

// streamBed is testAgent with a trunk over TCP or TLS, whose peer it returns.
// What it has opened is closed at the end.
func streamBed(t *testing.T, over string, adjust func(*Config)) (*bed, *peer) {
	t.Helper()
	var n *memnet.Net
	var p *peer
	b := testAgent(t, func(c *Config) {
		overStream(n, over, c)
		if adjust != nil {
			adjust(c)
		}
	}, func(net *memnet.Net) { n, p = net, newStreamPeer(t, net, over, tcpAddr) })
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

// inviteTCP starts a call by the trunk over TCP or TLS.
func (b *bed) inviteTCP(ctx context.Context, inv Invite) <-chan outcome {
	inv.Target = Target{Trunk: "stream"}
	return b.invite(ctx, inv)
}

// answeredTCP has a call to the trunk over TCP or TLS up.
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
