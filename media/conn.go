package media

import (
	"net/netip"
	"sync"
	"time"
)

// Conn is a UDP socket. Its methods are safe for concurrent use.
type Conn interface {
	// ReadFromUDPAddrPort waits for a packet; after Close it fails with
	// net.ErrClosed. Every other error is taken for a passing one.
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	// WriteToUDPAddrPort sends to anyone, also while the socket is connected.
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	// Write sends to the connected peer.
	Write(b []byte) (int, error)
	// Connect fixes the peer as connect(2) does: packets of others that arrive
	// from now on are dropped, those already queued are not.
	Connect(peer netip.AddrPort) error
	// Disconnect lets everyone's packets in again.
	Disconnect() error
	// SetReadDeadline bounds waiting reads.
	SetReadDeadline(t time.Time) error
	// AddrPort is the local address.
	AddrPort() netip.AddrPort
	Close() error
}

// drainer is a Conn with a cheaper way to read than one packet a call.
type drainer interface {
	// drain waits for packets and hands them on, in buffers that are handle's
	// only for the call. It returns at the first error, with nil to be called
	// again; after Close the error is net.ErrClosed. handle must not close the
	// socket. scratch is a place to leave buffers in for the next call, of
	// this socket or another one of its type.
	drain(scratch *sync.Pool, handle func(b []byte, from netip.AddrPort)) error
}

// keeper is a Conn that keeps what comes until somebody looks, with the time at
// which it came. What is in no hurry needs no goroutine that waits for it.
type keeper interface {
	// keep begins to note the times. Without it, or when it fails, the ages are
	// not known and collect must not be used.
	keep() error
	// collect hands on what has come, at most burst packets, and how long ago,
	// in buffers that are handle's only for the call. It never waits. handle
	// must not close the socket. scratch is that of drainer.
	collect(scratch *sync.Pool, handle func(b []byte, from netip.AddrPort, age time.Duration))
}

// burst is how many packets are read before the socket's state is looked at
// again, so that a flood cannot keep Close waiting.
const burst = 64

// reader drains any Conn packet by packet.
type reader struct {
	conn Conn
	buf  []byte
}

func (r *reader) drain(_ *sync.Pool, handle func(b []byte, from netip.AddrPort)) error {
	n, from, err := r.conn.ReadFromUDPAddrPort(r.buf)
	if err == nil && n <= maxPacket {
		handle(r.buf[:n], from)
	}
	return err
}
