package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Network opens the sockets of a carrier.
type Network struct {
	// Listen opens a packet socket. Port 0 takes any free one.
	Listen func(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error)
	// ListenStream and DialStream are for carriers over TCP or TLS; nil: there are
	// none.
	ListenStream func(ctx context.Context, addr netip.AddrPort) (net.Listener, error)
	DialStream   func(ctx context.Context, from, to netip.AddrPort) (net.Conn, error)
	// Slack is how far packets of one stream may arrive from their time
	// before the sender is blamed for its pacing.
	Slack time.Duration
	// Lossy says that audio packets may be lost on the way: gaps are counted
	// and nobody is blamed for them.
	Lossy bool
}

// Loopback is this machine's own network. Its slack allows for a busy
// machine.
func Loopback() Network {
	var lc net.ListenConfig
	return Network{
		Slack: 250 * time.Millisecond,
		Listen: func(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
			return lc.ListenPacket(ctx, "udp4", addr.String())
		},
		ListenStream: func(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
			return lc.Listen(ctx, "tcp4", addr.String())
		},
		DialStream: func(ctx context.Context, from, to netip.AddrPort) (net.Conn, error) {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from)}
			return d.DialContext(ctx, "tcp4", to.String())
		},
	}
}

// Virtual is a network in memory, where packets arrive when they are sent:
//
//	lab.Virtual(memnet.New().ListenUDP)
func Virtual[C net.PacketConn](listen func(context.Context, netip.AddrPort) (C, error)) Network {
	return Network{Slack: 5 * time.Millisecond, Listen: func(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
		c, err := listen(ctx, addr)
		if err != nil {
			return nil, err
		}
		return c, nil
	}}
}

// Streams adds connections in memory to a network:
//
//	n := memnet.New()
//	lab.Streams(lab.Virtual(n.ListenUDP), n.ListenStream, n.DialStream)
func Streams[L net.Listener, C net.Conn](
	n Network, listen func(context.Context, netip.AddrPort) (L, error), dial func(ctx context.Context, from, to netip.AddrPort) (C, error),
) Network {
	n.ListenStream = func(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
		l, err := listen(ctx, addr)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	n.DialStream = func(ctx context.Context, from, to netip.AddrPort) (net.Conn, error) {
		c, err := dial(ctx, from, to)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	return n
}

// listenPair opens an even port for RTP and the odd one above it for RTCP.
func (n Network) listenPair(ctx context.Context, ip netip.Addr) (rtp, rtcp net.PacketConn, err error) {
	for range 100 {
		first, err := n.Listen(ctx, netip.AddrPortFrom(ip, 0))
		if err != nil {
			return nil, nil, fmt.Errorf("open an audio port: %w", err)
		}
		port := localPort(first)
		other := port + 1
		if port%2 == 1 {
			other = port - 1
		}
		second, err := n.Listen(ctx, netip.AddrPortFrom(ip, other))
		if err != nil {
			_ = first.Close()
			continue
		}
		if port%2 == 1 {
			first, second = second, first
		}
		return first, second, nil
	}
	return nil, nil, fmt.Errorf("open an audio port: no free pair on %s", ip)
}

func localPort(c net.PacketConn) uint16 { return addrPort(c.LocalAddr()).Port() }

// addrPort is a socket address without an IPv4 address hidden in IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		ap, _ := netip.ParseAddrPort(a.String())
		return ap
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
