//go:build !linux

package media

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
)

// udpConn is a socket of the kernel whose peer is only remembered: sessions
// look at the source of every packet themselves.
type udpConn struct {
	*net.UDPConn
	addr netip.AddrPort
	peer atomic.Pointer[netip.AddrPort]
}

func listenUDP(ctx context.Context, addr netip.AddrPort) (Conn, error) {
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, addr.String())
	if err != nil {
		return nil, err
	}
	c := pc.(*net.UDPConn)
	local := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return &udpConn{UDPConn: c, addr: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}, nil
}

func (c *udpConn) AddrPort() netip.AddrPort { return c.addr }

func (c *udpConn) Connect(peer netip.AddrPort) error {
	c.peer.Store(&peer)
	return nil
}

func (c *udpConn) Disconnect() error {
	c.peer.Store(nil)
	return nil
}

func (c *udpConn) Write(b []byte) (int, error) {
	peer := c.peer.Load()
	if peer == nil {
		return 0, errors.New("write: socket is not connected")
	}
	return c.WriteToUDPAddrPort(b, *peer)
}
