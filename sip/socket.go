package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	sipmsg "github.com/emiago/sipgo/sip"
)

// socketBuffer is the receive buffer asked for: a burst of several thousand
// messages waits there instead of being lost.
const socketBuffer = 4 << 20

// The library refuses UDP messages above this size minus 200, responses too,
// which have no other way to go, and cuts off what it reads at its own buffer
// size. Both are variables of its package, so they are set before anything can
// run.
func init() {
	sipmsg.UDPMTUSize = 65507 + 200
	sipmsg.TransportBufferReadSize = readSize
}

// ListenUDP opens an IPv4 socket for Config.Listen. addr is "ip:port" or
// ":port". The receive buffer is set to 4 MiB; a kernel that allows less gives
// less. The error of a port that is taken or not permitted says what to do.
func ListenUDP(ctx context.Context, addr string) (net.PacketConn, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp4", addr)
	if err != nil {
		return nil, listenError("udp", "ss -ulpn", addr, err)
	}
	if u, ok := c.(*net.UDPConn); ok {
		if err := u.SetReadBuffer(socketBuffer); err != nil {
			return nil, errors.Join(fmt.Errorf("listen for SIP on udp %s: receive buffer: %w", addr, err), c.Close())
		}
	}
	return c, nil
}

// ListenTCP opens an IPv4 listener for Config.ListenTCP. addr is "ip:port" or
// ":port". The error of a port that is taken or not permitted says what to do.
func ListenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", addr)
	if err != nil {
		return nil, listenError("tcp", "ss -tlpn", addr, err)
	}
	return l, nil
}

// listenError says what can be done about an address that cannot be used. show
// is the command that lists who uses it.
func listenError(network, show, addr string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "the port is in use by another program; stop that program (" + show + " shows it) or choose another port in sip.listen: "
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this machine has no such address; use 0.0.0.0 or one of its own in sip.listen: "
	case errors.Is(err, syscall.EACCES):
		advice = "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, choose a higher one in sip.listen: "
	}
	return fmt.Errorf("listen for SIP on %s %s: %s%w", network, addr, advice, err)
}
