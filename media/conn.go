package media

import (
	"net/netip"
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
