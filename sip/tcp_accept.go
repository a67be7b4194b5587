package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	acceptAgain = 5 * time.Millisecond // after an error, doubling
	acceptSlow  = time.Second          // up to this
)

// accept takes connections until the listener is closed. Errors of other kinds,
// such as too many open files, pass.
func (a *Agent) accept(l net.Listener, transport string) {
	wait := acceptAgain
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = acceptAgain
			a.admit(conn, transport)
			continue
		case errors.Is(err, net.ErrClosed):
			select {
			case <-a.dead:
			default:
				a.fail(fmt.Errorf("sip: listener %s ended", l.Addr()))
			}
			return
		}
		if wait == acceptAgain {
			a.log.Warn("sip: a connection could not be accepted; trying again", "addr", l.Addr(), "error", innermost(err))
		}
		timer := time.NewTimer(wait)
		select {
		case <-a.dead:
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, acceptSlow)
	}
}

// admit makes a stream of a connection of a known peer that has not too many,
// and closes every other before anything is read from it. Over TLS there is a
// handshake first, which the other connections do not wait for.
func (a *Agent) admit(conn net.Conn, transport string) {
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	switch {
	case err != nil:
	case !a.guard.connects(remote):
	case !a.streams.reserve(remote.Addr()):
		if a.streams.refused.Add(1)%100 == 1 {
			a.log.Warn("sip: connection refused: there are too many", "from", remote, "limit", maxStreamsPeer, "limit_of_all", maxStreams,
				"limit_of_strangers", maxStrangeStreamsPeer, "limit_of_all_strangers", maxStrangeStreams)
		}
	case transport == transportTLS:
		if a.streams.spawn(func() { a.streams.greet(conn, remote) }) {
			return
		}
	default:
		a.streams.add(conn, way{transport: transport, to: remote}, nil)
		return
	}
	_ = conn.Close() // whoever it is is not told more
}

// reserve counts one more connection of an address, unless there are too many.
// Strangers leave room for phones that are known.
func (r *streams) reserve(from netip.Addr) bool {
	known := r.a.peers.allows
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total >= maxStreams || r.accepted[from] >= maxStreamsPeer {
		return false
	}
	if !known(from) {
		strange := 0
		for ip, n := range r.accepted {
			if !known(ip) {
				strange += n
			}
		}
		if strange >= maxStrangeStreams || r.accepted[from] >= maxStrangeStreamsPeer {
			return false
		}
	}
	r.total++
	r.accepted[from]++
	return true
}

func (r *streams) unreserve(from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.accepted[from]--; r.accepted[from] == 0 {
		delete(r.accepted, from)
	}
}

// spawn runs f in a goroutine that close waits for; false: it is closed.
func (r *streams) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wg.Go(f)
	return true
}

// shut ends the connections from addresses that are banned as a whole.
func (r *streams) shut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.byKey {
		if r.a.guard.shuns(s.remote.Addr()) {
			s.end(errBanned)
		}
	}
}

var errBanned = errors.New("its address is banned")

// feed is a listener that accepts what it is given: the one way to have the
// transport read from a connection.
type feed struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newFeed() *feed { return &feed{conns: make(chan net.Conn), closed: make(chan struct{})} }

// put waits until the connection is taken; it is false where nobody will.
func (f *feed) put(c net.Conn) bool {
	select {
	case f.conns <- c:
		return true
	case <-f.closed:
		return false
	}
}

func (f *feed) close() { f.once.Do(func() { close(f.closed) }) }

// Accept implements net.Listener.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *feed) Close() error {
	f.close()
	return nil
}

// Addr implements net.Listener; the transport wants a port in it.
func (f *feed) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))
}
