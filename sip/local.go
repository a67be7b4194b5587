package sip

import (
	"context"
	"net"
	"net/netip"
)

// standpoint is how the far side sees us: a socket of ours and what is said of
// it in Via and Contact.
type standpoint struct {
	transport string
	listener  string // the socket's own address
	sentBy    string // host:port to be reached at
}

// contact is our Contact, as the peer may reach the user there.
func (p standpoint) contact(user string) string {
	uri := p.sentBy
	if user != "" {
		uri = user + "@" + uri
	}
	if p.transport != transportUDP {
		uri += ";transport=" + p.transport
	}
	return "<sip:" + uri + ">"
}

// stand returns how we appear to dest.
func (a *Agent) stand(transport string, dest netip.Addr) standpoint {
	locals := a.locals(transport)
	i, ip := socketFor(locals, dest)
	return standpoint{transport: transport, listener: locals[i].String(), sentBy: a.reached(transport, dest, locals[i], ip)}
}

// streamListeners are the open listeners of a transport that has connections.
func (c *Config) streamListeners(transport string) []net.Listener {
	switch transport {
	case transportTCP:
		return c.ListenTCP
	case transportTLS:
		return c.ListenTLS
	}
	return nil
}

// locals are the addresses of our sockets of a transport. Where we do not listen
// for TCP or TLS they are those of UDP: the far side then reaches us by the
// connections that we make.
func (a *Agent) locals(transport string) []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range a.cfg.streamListeners(transport) {
		ap, _ := netip.ParseAddrPort(l.Addr().String()) // New has looked
		all = append(all, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
	}
	if len(all) > 0 {
		return all
	}
	for _, l := range a.listeners {
		all = append(all, l.local)
	}
	return all
}

// socketFor picks the socket that requests to a destination leave from, and the
// address they seem to come from: the one bound to the address that faces it,
// else one bound to all addresses, else the first.
func socketFor(locals []netip.AddrPort, dest netip.Addr) (int, netip.Addr) {
	if len(locals) == 1 && !locals[0].Addr().IsUnspecified() {
		return 0, locals[0].Addr()
	}
	local, all := facing(dest), -1
	for i, l := range locals {
		switch ip := l.Addr(); {
		case ip == local, ip == dest:
			return i, ip
		case ip.IsUnspecified() && all < 0:
			all = i
		}
	}
	if all >= 0 && local.IsValid() {
		return all, local
	}
	if locals[0].Addr().IsUnspecified() {
		return 0, netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return 0, locals[0].Addr()
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
		p, f := a.phoneOf(t)
		if f != nil {
			return netip.Addr{}, f
		}
		if b := p.binding; b != nil && b.Listener != "" {
			here, _ := netip.ParseAddrPort(b.Listener) // ours, or nothing fits it
			_, local := socketFor([]netip.AddrPort{here}, b.Address.Addr())
			return a.advertised(b.Address.Addr(), local), nil
		}
		hop = p.hop
	} else if tr := a.peers.trunk(t.Trunk); tr != nil {
		hop = tr.hop()
	}
	addrs, f := a.reach(ctx, hop, t)
	if f != nil {
		return netip.Addr{}, f
	}
	_, local := socketFor(a.locals(hop.transport), addrs[0].Addr())
	return a.advertised(addrs[0].Addr(), local), nil
}
