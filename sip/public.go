package sip

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// mirrorPause is how long a trunk's opinion of where we are stays as it is: one
// that sees us somewhere else with every request would have us register without
// end.
const mirrorPause = 30 * time.Second

// mirror is where a trunk sees us. The zero value is that of one that has not
// said so.
type mirror struct {
	mu    sync.Mutex
	at    netip.AddrPort // guarded by mu; port 0: not said
	since time.Time      // guarded by mu
}

func (m *mirror) seen() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// show notes where the trunk sees us, and reports whether that is news.
func (m *mirror) show(at netip.AddrPort, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at == m.at || m.at.IsValid() && now.Sub(m.since) < mirrorPause {
		return false
	}
	m.at, m.since = at, now
	return true
}

// sawUs reads from a response to a REGISTER or OPTIONS of ours where the trunk
// saw it come from: behind NAT that is our public address. What it says counts
// for calls with it alone, and only where it is an address of the Internet: a
// trunk that lies harms itself.
func (a *Agent) sawUs(t *trunk, dest netip.AddrPort, res *sipmsg.Response) {
	at := mirrored(res)
	if from := sourceOf(res).Addr(); !global(at.Addr()) || from != dest.Addr() && !t.mayUse(from) {
		return
	}
	if t.hop().transport != transportUDP { // the port of the connection is not where we listen
		at = netip.AddrPortFrom(at.Addr(), 0)
	}
	if t.mirror.show(at, time.Now()) {
		a.log.Info("sip: the trunk sees us", "trunk", t.Name, "at", at.Addr(), "port", at.Port())
		nudge(t.renumbered)
	}
}

// mirrored is where a response says that its request came from (RFC 3261
// 18.2.1, RFC 3581); port 0 if it does not tell that.
func mirrored(res *sipmsg.Response) netip.AddrPort {
	if at := seenAt(res); at.IsValid() {
		return at
	}
	v := res.Via()
	if v == nil {
		return netip.AddrPort{}
	}
	received, _ := param(v.Params, "received")
	ip, err := netip.ParseAddr(received)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap(), 0)
}

// global reports whether an address is one that the whole Internet can send to.
func global(ip netip.Addr) bool {
	if !ip.Is4() || !ip.IsGlobalUnicast() || inside(ip) {
		return false
	}
	b := ip.As4()
	shared := b[0] == 100 && b[1]&0xc0 == 64 // RFC 6598: behind a NAT of the provider's
	return b[0] != 0 && b[0] < 240 && !shared
}

// public is where the peer at dest sees a socket of ours, or will. Port 0 is the
// socket's own. It is invalid where that is the socket's own address: in local
// networks, without NAT, and as long as nothing is known.
func (a *Agent) public(transport string, dest netip.Addr, socket netip.AddrPort, local netip.Addr) netip.AddrPort {
	if pub := a.cfg.PublicIP; pub.IsValid() {
		if dest.IsLoopback() && !pub.IsLoopback() || inside(dest) && !inside(pub) {
			return netip.AddrPort{}
		}
		return netip.AddrPortFrom(pub, 0)
	}
	if inside(dest) || global(local) {
		return netip.AddrPort{}
	}
	at := a.stun.seen(socket)
	if !at.IsValid() {
		at = a.peers.seenBy(dest)
	}
	if transport != transportUDP && at.IsValid() {
		at = netip.AddrPortFrom(at.Addr(), 0)
	}
	return at
}

// seenBy is where we are seen from dest: as its trunk sees us, else as all
// trunks do that see us anywhere.
func (d *directory) seenBy(dest netip.Addr) netip.AddrPort {
	var common netip.AddrPort
	agreed := true
	for _, t := range d.trunks() {
		at := t.mirror.seen()
		if !at.IsValid() {
			continue
		}
		if t.mayUse(dest) || t.host.on(dest) || t.proxy != nil && t.proxy.on(dest) {
			return at
		}
		switch {
		case !common.IsValid():
			common = at
		case common.Addr() != at.Addr():
			agreed = false
		case common.Port() != at.Port(): // its NAT has a port for every destination
			common = netip.AddrPortFrom(at.Addr(), 0)
		}
	}
	if !agreed {
		return netip.AddrPort{}
	}
	return common
}

// advertised is the address that the peer at dest is told to send to.
func (a *Agent) advertised(dest, local netip.Addr) netip.Addr {
	if at := a.public(transportUDP, dest, netip.AddrPort{}, local); at.IsValid() {
		return at.Addr()
	}
	return local
}

// reached is the host:port at which the peer at dest reaches a socket of ours
// that faces it with the local address.
func (a *Agent) reached(transport string, dest netip.Addr, socket netip.AddrPort, local netip.Addr) string {
	port := socket.Port()
	if at := a.public(transport, dest, socket, local); at.IsValid() {
		if local = at.Addr(); at.Port() != 0 {
			port = at.Port()
		}
	}
	return local.String() + ":" + strconv.Itoa(int(port))
}
