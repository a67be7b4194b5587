package sip

import (
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

const (
	// orderGap is how far apart two packets of one Call-ID are handed on. The
	// transaction layer starts a goroutine per message, and the newest runs
	// first: without a gap a 200 right behind a 183 is handled before it.
	orderGap = time.Millisecond
	maxHeld  = 256   // packets held back at once; above that order is not kept
	readSize = 65535 // the longest datagram
)

// listener is the packet connection that the transport reads from. It drops
// what strangers send before anything is parsed, and keeps the order of
// packets of one call: a packet that follows too closely on another of the
// same Call-ID is held back, while all others pass.
//
// ReadFrom is called by one goroutine only; the fields below inner are its.
type listener struct {
	net.PacketConn
	read     func([]byte) (int, netip.AddrPort, error)
	write    func([]byte, netip.AddrPort) (int, error)
	local    netip.AddrPort
	known    func(netip.Addr) bool
	expected func([]byte) bool // lets packets in whose sender is not known; nil: none
	// stranger is told of what is dropped because known said no.
	stranger func(p []byte, from netip.AddrPort)

	strangers, garbage, reordered atomic.Uint64

	seed     maphash.Seed
	recent   map[uint64]time.Time // Call-ID: when its last packet is, or will be, handed on
	swept    time.Time
	held     []packet // ordered by due
	deadline bool     // a read deadline is set
}

type packet struct {
	data []byte
	from netip.AddrPort
	due  time.Time
}

func newListener(c net.PacketConn, known func(netip.Addr) bool, stranger func([]byte, netip.AddrPort)) *listener {
	l := &listener{PacketConn: c, known: known, stranger: stranger, seed: maphash.MakeSeed(), recent: make(map[uint64]time.Time)}
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

// ReadFrom returns the next packet of a known peer whose turn it is.
func (l *listener) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		now := time.Now()
		if len(l.held) > 0 && !l.held[0].due.After(now) {
			p := l.held[0]
			l.held = l.held[1:]
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
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
		if l.accept(b[:n], from) && !l.hold(b[:n], from, time.Now()) {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
	}
}

// arm wakes the next read when the first held packet is due.
func (l *listener) arm() error {
	switch {
	case len(l.held) > 0:
		l.deadline = true
		return l.SetReadDeadline(l.held[0].due)
	case l.deadline:
		l.deadline = false
		return l.SetReadDeadline(time.Time{})
	}
	return nil
}

// accept drops keep-alives, strangers and what is not SIP.
func (l *listener) accept(p []byte, from netip.AddrPort) bool {
	if !l.known(from.Addr()) && (l.expected == nil || !l.expected(p)) {
		l.strangers.Add(1)
		l.stranger(p, from)
		return false
	}
	if len(p) <= 4 { // CRLF keep-alive, RFC 5626 4.4.1
		return false
	}
	if !looksLikeSIP(p) {
		l.garbage.Add(1)
		return false
	}
	return true
}

// hold keeps the packet back if it follows too closely on another of its
// Call-ID.
func (l *listener) hold(p []byte, from netip.AddrPort, now time.Time) bool {
	id := sniffCallID(p)
	if id == nil {
		return false
	}
	l.sweep(now)
	key := maphash.Bytes(l.seed, id)
	due := l.recent[key].Add(orderGap)
	if !due.After(now) || len(l.held) == maxHeld {
		l.recent[key] = now
		return false
	}
	l.recent[key] = due
	at := len(l.held)
	for at > 0 && l.held[at-1].due.After(due) {
		at--
	}
	l.held = append(l.held, packet{})
	copy(l.held[at+1:], l.held[at:])
	l.held[at] = packet{data: append([]byte(nil), p...), from: from, due: due}
	l.reordered.Add(1)
	return true
}

// sweep forgets Call-IDs whose last packet is long handed on.
func (l *listener) sweep(now time.Time) {
	if now.Sub(l.swept) < 64*orderGap {
		return
	}
	l.swept = now
	for key, at := range l.recent {
		if now.Sub(at) > orderGap {
			delete(l.recent, key)
		}
	}
}
