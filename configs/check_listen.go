package configs

import "net/netip"

// socket is an address at which the program listens, and the key that says so.
type socket struct {
	path    string
	network string // udp or tcp
	at      netip.AddrPort
	written string // as it stands in the file
}

// sockets reports addresses that are the same one twice: the second would find
// the first in its way.
func (c *checker) sockets() {
	all := make([]socket, 0, len(c.cfg.SIP.Listen)+1)
	for i, l := range c.cfg.SIP.Listen {
		network := l.Transport
		if network == "tls" {
			network = "tcp"
		}
		all = append(all, socket{index("sip.listen", i), network, l.Addr, l.String()})
	}
	if c.ok("http.listen") {
		all = append(all, socket{"http.listen", "tcp", c.cfg.HTTP.Listen, "http.listen " + c.cfg.HTTP.Listen.String()})
	}
	for i, s := range all {
		for _, first := range all[:i] {
			if !s.meets(first) {
				continue
			}
			path, other := s.path, first.written
			if !c.has(path) { // a default: what is written has to go elsewhere
				path, other = first.path, s.written
			}
			if c.ok(path) {
				c.fail(path, "%s listens there already: give another port", other)
			}
			break
		}
	}
}

// meets reports whether two sockets cannot be open at one time.
func (s socket) meets(other socket) bool {
	a, b := s.at.Addr().Unmap(), other.at.Addr().Unmap()
	everywhere := func(at, one netip.Addr) bool { return at.IsUnspecified() && (at.Is6() || one.Is4()) }
	return s.at.IsValid() && other.at.IsValid() && s.network == other.network && s.at.Port() == other.at.Port() &&
		(a == b || everywhere(a, b) || everywhere(b, a))
}
