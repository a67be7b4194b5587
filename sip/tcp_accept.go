package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	if err != nil || !a.guard.connects(remote) {
		_ = conn.Close() // whoever it is is not told more
		return
	}
	switch p := a.streams.reserve(conn, remote.Addr()); {
	case p == nil:
		if a.streams.refused.Add(1)%100 == 1 {
			a.log.Warn("sip: connection refused: there are too many", "from", remote, "limit", maxStreamsPeer, "limit_of_all", maxStreams,
				"limit_of_strangers", maxStrangeStreamsPeer, "limit_of_all_strangers", maxStrangeStreams)
		}
	case transport == transportTLS:
		if a.streams.spawn(func() { a.streams.greet(p, remote) }) {
			return
		}
	default:
		a.streams.add(conn, way{transport: transport, to: remote}, nil, p)
		return
	}
	_ = conn.Close() // nor is he
}

// place is what a connection takes that was accepted.
type place struct {
	conn  net.Conn // as it was accepted
	from  netip.Addr
	since time.Time
	s     *stream // guarded by streams.mu; nil: it is in its handshake
	whole bool    // guarded by streams.mu; a whole message has come by it
	left  bool    // guarded by streams.mu; it takes none any more
}

// reserve gives one more connection of an address a place, unless there are too
// many. Strangers leave room for phones that are known, and for each other: who
// has not said anything yet makes room for the next.
func (r *streams) reserve(conn net.Conn, from netip.Addr) *place {
	known := r.a.peers.allows
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total >= maxStreams || r.accepted[from] >= maxStreamsPeer {
		return nil
	}
	now := time.Now()
	if !known(from) {
		strange := 0
		for ip, n := range r.accepted {
			if !known(ip) {
				strange += n
			}
		}
		if r.accepted[from] >= maxStrangeStreamsPeer || strange >= maxStrangeStreams && !r.crowdOut(now) {
			return nil
		}
	}
	p := &place{conn: conn, from: from, since: now}
	r.total++
	r.accepted[from]++
	r.places = append(r.places, p)
	return p
}

// crowdOut ends the oldest connection of a stranger that has not brought a whole
// message, or else the oldest one that has had time enough to log in. It reports
// whether there was one. r.mu is held.
func (r *streams) crowdOut(now time.Time) bool {
	var out *place
	for _, p := range r.places { // the oldest first
		if r.a.peers.allows(p.from) {
			continue
		}
		if !p.whole {
			out = p
			break
		}
		if out == nil && now.Sub(p.since) > streamFirst {
			out = p
		}
	}
	if out == nil {
		return false
	}
	r.vacate(out)
	if out.s != nil {
		out.s.end(errCrowded)
	} else {
		_ = out.conn.Close() // the handshake says so
	}
	return true
}

var errCrowded = errors.New("it made room for others")

// vacate gives a place back, once. r.mu is held.
func (r *streams) vacate(p *place) {
	if p.left {
		return
	}
	p.left = true
	r.places = slices.DeleteFunc(r.places, func(other *place) bool { return other == p })
	r.total--
	if r.accepted[p.from]--; r.accepted[p.from] == 0 {
		delete(r.accepted, p.from)
	}
}

// unreserve gives the place of a connection back that has ended, and reports
// whether it had been taken from it. A connection of a stranger that came to
// nothing is noise.
func (r *streams) unreserve(p *place) (crowded bool) {
	r.mu.Lock()
	crowded = p.left
	r.vacate(p)
	vain := !p.whole && !r.closed
	r.mu.Unlock()
	if vain {
		r.a.guard.vain(p.from)
	}
	return crowded
}

// spoke notes that a whole message has come.
func (r *streams) spoke(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.whole = true
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
