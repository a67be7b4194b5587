package sip

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

const readSize = 65535 // the longest datagram, and the longest message of a stream

// listener is the packet connection that the transport reads from. It drops
// what strangers send before anything is parsed, and keeps the order of
// packets of one call: a packet that follows too closely on another of the
// same Call-ID is held back, while all others pass.
//
// The transport remembers every source of a packet for good. So it is given the
// listener's own address in place of all others, and observe puts the true one
// in.
//
// ReadFrom is called by one goroutine only; the fields below reordered are its.
type listener struct {
	net.PacketConn
	read   func([]byte) (int, netip.AddrPort, error)
	write  func([]byte, netip.AddrPort) (int, error)
	local  netip.AddrPort
	self   net.Addr // what the transport is told where packets come from
	admits admits
	seen   func(Message) // is told of every message; nil: nobody is
	// stun takes what is no SIP but an answer about our address; nil: nobody asked.
	stun func(p []byte, from netip.AddrPort) bool
	// visitor receives who is admitted and not known, see receive; nil: nobody does.
	visitor func(p []byte, from netip.AddrPort) (in bool)

	garbage, reordered atomic.Uint64

	order    orderly
	deadline bool           // a read deadline is set
	from     netip.AddrPort // who sent the packet that was handed on last
}

// admits is guard.admits.
type admits func(from netip.AddrPort, p []byte) (ok bool, answer []byte)

func newListener(c net.PacketConn, admits admits) *listener {
	l := &listener{PacketConn: c, admits: admits, self: selfAddr(c.LocalAddr().String()), order: newOrderly()}
	if a, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil {
		l.local = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	type addrPortConn interface {
		ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
		WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	}
	if fast, ok := c.(addrPortConn); ok {
		l.read, l.write = fast.ReadFromUDPAddrPort, fast.WriteToUDPAddrPort
		return l
	}
	l.read = func(b []byte) (int, netip.AddrPort, error) {
		n, addr, err := c.ReadFrom(b)
		if err != nil {
			return n, netip.AddrPort{}, err
		}
		from, _ := netip.ParseAddrPort(addr.String()) // invalid: a stranger
		return n, from, nil
	}
	l.write = func(b []byte, to netip.AddrPort) (int, error) { return c.WriteTo(b, net.UDPAddrFromAddrPort(to)) }
	return l
}

// selfAddr is a socket's own address.
type selfAddr string

func (selfAddr) Network() string  { return transportUDP }
func (s selfAddr) String() string { return string(s) }

// ReadFrom returns the next packet of a known peer whose turn it is.
func (l *listener) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if p, ok := l.order.ready(time.Now()); ok {
			l.from = p.from
			return copy(b, p.data), l.self, nil
		}
		if err := l.arm(); err != nil {
			return 0, nil, err
		}
		n, from, err := l.read(b)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && l.deadline {
				continue
			}
			return 0, nil, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !l.accept(b[:n], from) {
			continue
		}
		if l.seen != nil {
			l.seen(Message{At: time.Now(), Remote: from, Data: b[:n]})
		}
		if l.order.hold(b[:n], from, time.Now()) {
			l.reordered.Add(1)
			continue
		}
		l.from = from
		return n, l.self, nil
	}
}

// arm wakes the next read when the first held packet is due.
func (l *listener) arm() error {
	due, waiting := l.order.next()
	switch {
	case waiting:
		l.deadline = true
		return l.SetReadDeadline(due)
	case l.deadline:
		l.deadline = false
		return l.SetReadDeadline(time.Time{})
	}
	return nil
}

// accept drops what the guard does not admit, keep-alives and what is not SIP.
func (l *listener) accept(p []byte, from netip.AddrPort) bool {
	if l.stun != nil && l.stun(p, from) {
		return false
	}
	ok, answer := l.admits(from, p)
	if answer != nil {
		_, _ = l.write(answer, returnTo(p, from)) // as good as lost on the way
	}
	if !ok {
		return false
	}
	if len(p) <= 4 { // CRLF keep-alive, RFC 5626 4.4.1
		return false
	}
	if !looksLikeSIP(p) || !tame(p) {
		l.garbage.Add(1)
		return false
	}
	return l.visitor == nil || l.visitor(p, from)
}
