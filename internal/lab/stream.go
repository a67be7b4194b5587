package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Transports of a carrier.
const (
	UDP = "UDP"
	TCP = "TCP"
	TLS = "TLS"
)

// Segments is how a carrier over TCP or TLS cuts what it sends. Whoever reads must not
// mind.
type Segments int

// Ways to cut.
const (
	SegmentPerMessage Segments = iota
	SegmentsSmall              // a message comes in pieces of a few bytes
	SegmentsJoined             // what is sent within a millisecond comes as one
)

// smallSegment is the length of a small piece. It is no divisor of anything.
const smallSegment = 37

// lines are the connections of a carrier over TCP or TLS.
type lines struct {
	c        *Carrier
	listener net.Listener

	mu     sync.Mutex
	closed bool                     // guarded by mu
	open   map[netip.AddrPort]*line // guarded by mu; by remote address
	made   int                      // guarded by mu; connections that were made by us
	taken  int                      // guarded by mu; and by others
	broken int                      // guarded by mu; of both, those over which there was no TLS
}

// line is one connection. What is queued before it is made goes out then.
type line struct {
	to   netip.AddrPort
	wake chan struct{}
	done chan struct{} // closed when it has ended

	mu    sync.Mutex
	queue [][]byte // guarded by mu
	conn  net.Conn // guarded by mu; nil: it is being made
	over  bool     // guarded by mu
}

func (c *Carrier) listenTCP(ctx context.Context) error {
	if c.cfg.Network.ListenStream == nil {
		return errors.New("the network has no connections")
	}
	if c.cfg.Transport == TLS && c.cfg.TLS == nil {
		return errors.New("TLS needs a certificate")
	}
	l, err := c.cfg.Network.ListenStream(ctx, c.cfg.Signal)
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return err
	}
	c.addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	c.lines = &lines{c: c, listener: l, open: make(map[netip.AddrPort]*line)}
	return nil
}

// accept takes connections until the listener is closed.
func (ls *lines) accept() {
	for {
		conn, err := ls.listener.Accept()
		if err != nil {
			return
		}
		from, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		l := newLine(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		ls.mu.Lock()
		if ls.closed {
			ls.mu.Unlock()
			_ = conn.Close()
			return
		}
		ls.taken++
		ls.open[l.to] = l
		ls.c.wg.Go(func() {
			if ls.c.cfg.Transport == TLS {
				conn = tls.Server(conn, ls.c.cfg.TLS)
			}
			ls.run(l, conn)
		})
		ls.mu.Unlock()
	}
}

func newLine(to netip.AddrPort) *line {
	return &line{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// send queues bytes for an address; it does not wait. Where there is no
// connection to it one is made. A response goes back by the connection that its
// request came by, and when that has gone to otherwise (RFC 3261 section
// 18.2.2).
func (ls *lines) send(to, otherwise netip.AddrPort, raw []byte) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.open[to]
	if l == nil && otherwise.IsValid() {
		to = otherwise
		l = ls.open[to]
	}
	if l == nil {
		if ls.closed {
			return
		}
		l = newLine(to)
		ls.open[to] = l
		ls.made++
		ls.c.wg.Go(func() { ls.dial(l) })
	}
	l.mu.Lock()
	l.queue = append(l.queue, raw)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (ls *lines) dial(l *line) {
	ctx, cancel := context.WithTimeout(ls.c.ctx, giveUp)
	defer cancel()
	conn, err := ls.c.cfg.Network.DialStream(ctx, netip.AddrPortFrom(ls.c.addr.Addr(), 0), l.to)
	if err != nil {
		ls.forget(l)
		return
	}
	if ls.c.cfg.Transport == TLS {
		cfg := ls.c.cfg.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = l.to.Addr().String()
		}
		conn = tls.Client(conn, cfg)
	}
	ls.run(l, conn)
}

func (ls *lines) forget(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.open[l.to] == l {
		delete(ls.open, l.to)
	}
}

// run reads and writes a connection until it ends.
func (ls *lines) run(l *line, conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		ctx, cancel := context.WithTimeout(ls.c.ctx, giveUp)
		defer cancel()
		if err := secured.HandshakeContext(ctx); err != nil {
			ls.mu.Lock()
			ls.broken++
			ls.mu.Unlock()
			_ = conn.Close() // never used
			ls.forget(l)
			return
		}
	}
	l.mu.Lock()
	l.conn = conn
	over := l.over
	l.mu.Unlock()
	if over {
		_ = conn.Close()
	}
	var writing sync.WaitGroup
	writing.Go(func() { ls.write(l, conn) })
	ls.read(l, conn)
	ls.forget(l)
	close(l.done)
	_ = conn.Close() // it has ended
	writing.Wait()
}

func (ls *lines) write(l *line, conn net.Conn) {
	for {
		select {
		case <-l.done:
			return
		case <-l.wake:
		}
		if ls.c.cfg.Segments == SegmentsJoined {
			select {
			case <-l.done:
				return
			case <-time.After(time.Millisecond):
			}
		}
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, piece := range ls.c.cfg.Segments.cut(queue) {
			if _, err := conn.Write(piece); err != nil {
				return // the reader sees it, too
			}
		}
	}
}

func (s Segments) cut(queue [][]byte) [][]byte {
	switch s {
	case SegmentsJoined:
		return [][]byte{bytes.Join(queue, nil)}
	case SegmentsSmall:
		var pieces [][]byte
		for _, raw := range queue {
			for len(raw) > smallSegment {
				pieces, raw = append(pieces, raw[:smallSegment]), raw[smallSegment:]
			}
			pieces = append(pieces, raw)
		}
		return pieces
	}
	return queue
}

// read takes the messages off a connection.
func (ls *lines) read(l *line, conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		raw, err := readMessage(r)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				ls.c.notes.blame("connection of %s: %v", l.to, err)
			}
			return
		}
		ls.c.take(raw, l.to)
	}
}

var errNoLength = errors.New("a message without Content-Length")

// readMessage reads the next message of a connection: CRLFs before it do not
// matter, Content-Length says where it ends (RFC 3261 sections 7.5, 18.3).
func readMessage(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if len(raw) > 0 && errors.Is(err, io.EOF) {
				err = errors.New("it ended in the middle of a message")
			}
			return nil, err
		}
		if len(raw) == 0 && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		raw = append(raw, line...)
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		if strings.EqualFold(longName(strings.TrimSpace(name)), "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > 1<<16 {
				return nil, errNoLength
			}
		}
	}
	if length < 0 {
		return nil, errNoLength
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(raw, body...), nil
}

// drop closes all connections.
func (ls *lines) drop() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.open {
		l.mu.Lock()
		l.over = true
		if l.conn != nil {
			_ = l.conn.Close() // the reader sees it
		}
		l.mu.Unlock()
	}
	clear(ls.open)
}

func (ls *lines) close() error {
	ls.mu.Lock()
	ls.closed = true
	ls.mu.Unlock()
	err := ls.listener.Close()
	ls.drop()
	return err
}

// DropConnections closes all connections of a carrier over TCP or TLS, as a proxy
// does that starts anew. Its calls stay up.
func (c *Carrier) DropConnections() {
	if c.lines != nil {
		c.lines.drop()
	}
}

// Connections counts the connections there were so far: those that the carrier
// made, and those that were made to it.
func (c *Carrier) Connections() (made, taken int) {
	if c.lines == nil {
		return 0, 0
	}
	c.lines.mu.Lock()
	defer c.lines.mu.Unlock()
	return c.lines.made, c.lines.taken
}

// BrokenConnections counts those of Connections over which there was no TLS.
func (c *Carrier) BrokenConnections() int {
	if c.lines == nil {
		return 0
	}
	c.lines.mu.Lock()
	defer c.lines.mu.Unlock()
	return c.lines.broken
}

// transport is UDP, TCP or TLS, as a Via has it.
func (c *Carrier) transport() string {
	if c.lines != nil {
		return c.cfg.Transport
	}
	return UDP
}

// param is what a URI of ours says of the transport.
func (c *Carrier) uriParam() string {
	if c.lines != nil {
		return ";transport=" + strings.ToLower(c.cfg.Transport)
	}
	return ""
}

// checkTransport wants Via to name the transport, and nothing to be repeated
// over one that loses nothing.
func (c *Carrier) checkTransport(m *Message) {
	if via := m.All("Via"); len(via) > 0 && !strings.HasPrefix(via[0], "SIP/2.0/"+c.transport()+" ") {
		c.blame(m, "Via is %q over %s", via[0], c.transport())
	}
	if contact := m.Get("Contact"); c.lines != nil && contact != "" && !strings.Contains(uriOf(contact), c.uriParam()) {
		c.blame(m, "Contact %q does not say that it is reached over %s", contact, c.cfg.Transport)
	}
}
