package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes wait at one end of a stream before its writer has
// to wait, as a full send buffer makes it.
const window = 64 << 10

// backlog is how many connections wait to be accepted before further ones are
// refused.
const backlog = 1024

// streams is the part of a Net that carries connections.
type streams struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*Listener // guarded by mu
	conns     map[*Stream]struct{}         // guarded by mu; both ends of each
	dead      map[netip.Addr]bool          // guarded by mu; unplugged
	accept    error                        // guarded by mu; what Accept fails with
	ports     uint16                       // guarded by mu
}

// Listener takes the connections to one address. It is a net.Listener.
type Listener struct {
	net    *Net
	addr   netip.AddrPort
	queue  chan *Stream
	wake   chan struct{} // has a token when Accept should look again
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*Listener)(nil)

// ListenStream opens addr for connections. The context is not used.
func (n *Net) ListenStream(_ context.Context, addr netip.AddrPort) (*Listener, error) {
	n.stream.mu.Lock()
	defer n.stream.mu.Unlock()
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.stream.port())
	}
	if n.stream.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &Listener{net: n, addr: addr, queue: make(chan *Stream, backlog), wake: make(chan struct{}, 1), closed: make(chan struct{})}
	n.stream.listeners[addr] = l
	return l, nil
}

// MustListenStream is ListenStream for tests: addr is "ip:port" and a failure
// panics.
func (n *Net) MustListenStream(addr string) *Listener {
	l, err := n.ListenStream(context.Background(), netip.MustParseAddrPort(addr))
	if err != nil {
		panic(err)
	}
	return l
}

// port is the next ephemeral one. mu is held.
func (s *streams) port() uint16 {
	if s.ports++; s.ports < 32768 {
		s.ports = 32768
	}
	return s.ports
}

// DialStream connects to an address, from an ephemeral port of from, or from
// exactly from if it has a port. Where nobody listens it is refused; a host
// that was unplugged answers nothing until ctx ends.
func (n *Net) DialStream(ctx context.Context, from, to netip.AddrPort) (*Stream, error) {
	s := &n.stream
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	s.mu.Lock()
	if s.dead[to.Addr()] {
		s.mu.Unlock()
		<-ctx.Done()
		return nil, fail(context.Cause(ctx))
	}
	l := s.listeners[to]
	if l == nil {
		l = s.listeners[netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port())]
	}
	if l == nil || len(l.queue) == cap(l.queue) {
		s.mu.Unlock()
		return nil, fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	if from.Port() == 0 {
		from = netip.AddrPortFrom(from.Addr(), s.port())
	}
	near, far := newStream(n, from, to), newStream(n, to, from)
	near.far, far.far = far, near
	s.conns[near], s.conns[far] = struct{}{}, struct{}{}
	l.queue <- far // has room: only under mu is anything put in
	s.mu.Unlock()
	return near, nil
}

// FailAccept makes every Accept fail with err until it is nil again, as a
// process does that has no file descriptor left.
func (n *Net) FailAccept(err error) {
	n.stream.mu.Lock()
	n.stream.accept = err
	var all []*Listener
	for _, l := range n.stream.listeners {
		all = append(all, l)
	}
	n.stream.mu.Unlock()
	for _, l := range all {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Streams returns how many ends of connections are open: a test that ends with
// more than it began with has leaked one.
func (n *Net) Streams() int {
	n.stream.mu.Lock()
	defer n.stream.mu.Unlock()
	return len(n.stream.conns)
}

// unplug makes a host fall silent: its ends of connections are gone, and the
// far ends hear nothing of it.
func (s *streams) unplug(ip netip.Addr) {
	s.mu.Lock()
	s.dead[ip] = true
	var gone []*Stream
	for c := range s.conns {
		if c.local.Addr() == ip {
			gone = append(gone, c)
			delete(s.conns, c)
		}
	}
	var closing []*Listener
	for at, l := range s.listeners {
		if at.Addr() == ip {
			closing = append(closing, l)
		}
	}
	s.mu.Unlock()
	for _, c := range gone {
		c.die()
	}
	for _, l := range closing {
		_ = l.Close() // never fails
	}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.net.stream.mu.Lock()
		err := l.net.stream.accept
		l.net.stream.mu.Unlock()
		select {
		case <-l.closed:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		default:
		}
		if err != nil {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
		}
		select {
		case <-l.closed:
		case <-l.wake:
		case c := <-l.queue:
			return c, nil
		}
	}
}

// Close refuses further connections; those that nobody accepted are closed.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.net.stream.mu.Lock()
		delete(l.net.stream.listeners, l.addr)
		l.net.stream.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.queue:
				_ = c.Close() // never fails
				continue
			default:
			}
			return
		}
	})
	return nil
}

// Addr is a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Stream is one end of a connection. What one Write takes arrives as one
// segment: a Read never returns bytes of two. All methods are safe for
// concurrent use.
type Stream struct {
	net           *Net
	local, remote netip.AddrPort
	far           *Stream
	read, write   deadline
	writing       chan struct{} // holds a token while a Write runs: they do not mix

	mu     sync.Mutex
	in     [][]byte      // guarded by mu; what the far end wrote
	size   int           // guarded by mu; bytes in in
	fin    error         // guarded by mu; what reads fail with behind in; nil: the far end may still write
	closed bool          // guarded by mu
	dead   bool          // guarded by mu; the host is gone: nobody reads
	moved  chan struct{} // guarded by mu; closed and renewed at every change
}

var _ net.Conn = (*Stream)(nil)

func newStream(n *Net, local, remote netip.AddrPort) *Stream {
	s := &Stream{net: n, local: local, remote: remote, writing: make(chan struct{}, 1), moved: make(chan struct{})}
	s.read.init()
	s.write.init()
	return s
}

// change wakes whoever waits at this end. mu is held.
func (s *Stream) change() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// Read returns bytes of the next segment, and io.EOF behind the last one when
// the far end has closed.
func (s *Stream) Read(b []byte) (int, error) {
	for {
		expired, later := s.read.wait()
		s.mu.Lock()
		switch {
		case s.closed:
			s.mu.Unlock()
			return 0, s.fail("read", net.ErrClosed)
		case len(s.in) > 0:
			n := copy(b, s.in[0])
			if s.in[0] = s.in[0][n:]; len(s.in[0]) == 0 {
				s.in = s.in[1:]
			}
			s.size -= n
			s.change()
			s.mu.Unlock()
			return n, nil
		case s.fin != nil:
			err := s.fin
			s.mu.Unlock()
			if errors.Is(err, io.EOF) {
				return 0, io.EOF
			}
			return 0, s.fail("read", err)
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-expired:
			return 0, s.fail("read", os.ErrDeadlineExceeded)
		case <-later:
		case <-moved:
		}
	}
}

// Write sends b as one segment, cut only where the far end's window is full,
// and waits until it has room.
func (s *Stream) Write(b []byte) (int, error) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	sent := 0
	for sent < len(b) || sent == 0 {
		expired, later := s.write.wait()
		s.mu.Lock()
		closed, reset := s.closed, s.fin != nil && !errors.Is(s.fin, io.EOF)
		own := s.moved
		s.mu.Unlock()
		if closed {
			return sent, s.fail("write", net.ErrClosed)
		}
		select {
		case <-expired:
			return sent, s.fail("write", os.ErrDeadlineExceeded)
		default:
		}
		n, moved, gone := s.far.take(b[sent:])
		if gone || reset {
			return sent, s.fail("write", os.NewSyscallError("write", syscall.EPIPE))
		}
		if sent += n; n > 0 || len(b) == 0 {
			if sent == len(b) {
				return sent, nil
			}
			continue
		}
		select {
		case <-expired:
		case <-later:
		case <-moved:
		case <-own:
		}
	}
	return sent, nil
}

// take queues what there is room for at the reading end.
func (s *Stream) take(b []byte) (n int, moved <-chan struct{}, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && !s.dead {
		return 0, nil, true
	}
	n = min(len(b), window-s.size)
	if n > 0 {
		s.in = append(s.in, append([]byte(nil), b[:n]...))
		s.size += n
		s.change()
	}
	return n, s.moved, false
}

// Close ends both directions: the far end reads what was written and then
// io.EOF.
func (s *Stream) Close() error { return s.end(io.EOF) }

// Reset is Close with an error for the far end: connection reset by peer. What
// it has not read yet is lost.
func (s *Stream) Reset() { _ = s.end(os.NewSyscallError("read", syscall.ECONNRESET)) } // never fails

func (s *Stream) end(fin error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.change()
	s.mu.Unlock()
	s.net.stream.mu.Lock()
	delete(s.net.stream.conns, s)
	s.net.stream.mu.Unlock()
	f := s.far
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fin == nil {
		f.fin = fin
		if !errors.Is(fin, io.EOF) {
			f.in, f.size = nil, 0
		}
		f.change()
	}
	return nil
}

// die closes this end without the far end's hearing of it.
func (s *Stream) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.dead = true, true
	s.change()
}

func (s *Stream) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

// LocalAddr is a *net.TCPAddr.
func (s *Stream) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr is a *net.TCPAddr.
func (s *Stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// SetDeadline bounds waiting reads and writes; the zero time removes the bound.
func (s *Stream) SetDeadline(t time.Time) error {
	s.read.set(t)
	s.write.set(t)
	return nil
}

// SetReadDeadline bounds waiting reads.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.read.set(t)
	return nil
}

// SetWriteDeadline bounds waiting writes.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.write.set(t)
	return nil
}

// String says which connection this is.
func (s *Stream) String() string { return fmt.Sprintf("%s-%s", s.local, s.remote) }
