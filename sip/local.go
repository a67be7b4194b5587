package sip

import (
	"context"
	"net"
	"net/netip"
)

// listenerFor picks the socket that requests to a destination leave from: the
// one bound to the address that faces it, else one bound to all addresses,
// else the first.
func (a *Agent) listenerFor(dest netip.Addr) (*listener, netip.Addr) {
	if l := a.listeners[0]; len(a.listeners) == 1 && !l.local.Addr().IsUnspecified() {
		return l, l.local.Addr()
	}
	local := facing(dest)
	var all *listener
	for _, l := range a.listeners {
		switch ip := l.local.Addr(); {
		case ip == local, ip == dest:
			return l, ip
		case ip.IsUnspecified() && all == nil:
			all = l
		}
	}
	if all != nil && local.IsValid() {
		return all, local
	}
	l := a.listeners[0]
	if l.local.Addr().IsUnspecified() {
		return l, netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return l, l.local.Addr()
}

// facing returns the local address that the kernel would send from; invalid if
// there is no route. No packet is sent.
func facing(dest netip.Addr) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dest, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	ap := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return ap.Addr().Unmap()
}

// advertised is the address that the peer at dest is told to send to.
func (a *Agent) advertised(dest, local netip.Addr) netip.Addr {
	pub := a.cfg.PublicIP
	switch {
	case !pub.IsValid(), dest.IsLoopback() && !pub.IsLoopback(), inside(dest) && !inside(pub):
		return local
	}
	return pub
}

// inside reports whether an address means nothing on the Internet.
func inside(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}

// LocalIP returns the address to write into the session description for this
// target. The error is a *Failure: the target is unknown or its host has no
// address (Unresolved), or ctx has ended (Cancelled).
func (a *Agent) LocalIP(ctx context.Context, t Target) (netip.Addr, error) {
	var hop *endpoint
	if t.Extension != "" {
		if e := a.peers.extension(t.Extension); e != nil {
			hop = e.hop
		}
	} else if tr := a.peers.trunk(t.Trunk); tr != nil {
		hop = tr.hop()
	}
	addrs, f := a.reach(ctx, hop, t)
	if f != nil {
		return netip.Addr{}, f
	}
	_, local := a.listenerFor(addrs[0].Addr())
	return a.advertised(addrs[0].Addr(), local), nil
}
