package sip

import (
	"errors"
	"net"
	"net/netip"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// way is what a request goes by, so that two of the same may share a connection.
type way struct {
	transport string // tcp or tls
	to        netip.AddrPort
	// trunk is whose certificate a connection over TLS that we make has to show;
	// nil: nobody's. What was accepted has shown none. One that is configured
	// anew is another.
	trunk *trunk
}

func (w way) String() string { return w.to.String() + " over " + w.transport }

// by is the way to an address. trunk is whose the request is, empty if it is
// nobody's or not known.
func (r *streams) by(transport, trunk string, to netip.AddrPort) way {
	w := way{transport: transport, to: r.a.detour(transport, to)}
	if transport != transportTLS {
		return w
	}
	if w.trunk = r.a.peers.prover(trunk, to); w.trunk != nil || trunk == "" || r.a.peers.trunk(trunk) != nil {
		return w
	}
	// The trunk of a call in progress is no more: what there is serves it on.
	r.mu.Lock()
	defer r.mu.Unlock()
	for other := range r.live {
		if other.transport == transport && other.to == w.to && other.trunk != nil && other.trunk.Name == trunk {
			return other
		}
	}
	w.trunk = &r.gone
	return w
}

// find returns the connection that requests go by, nil if there is none. r.mu
// is held. One that was accepted has shown no certificate: it takes requests
// that are to go to whoever has made it, such as a phone, and none to a
// trunk's own address.
func (r *streams) find(w way) *stream {
	if s := r.live[w]; s != nil {
		return s
	}
	if w.trunk == nil || w.trunk.secure == nil || w.trunk.at(w.to) {
		return nil
	}
	return r.live[way{transport: w.transport, to: w.to}]
}

// forward is a stream as the transport has it for requests of ours. It is
// found by its laddr only, which no two streams share: a request never goes to
// whoever connected last.
type forward struct{ s *stream }

// back is a stream as the transport has it for responses to what came by it.
type back struct{ s *stream }

var _, _ sipmsg.Connection = (*forward)(nil), (*back)(nil)

// WriteMsg implements sipmsg.Connection.
func (f *forward) WriteMsg(m sipmsg.Message) error { return f.s.send([]byte(m.String())) }

// WriteMsg sends a response by the connection that its request came by. When
// that has gone it goes to the address of the request's Via (RFC 3261 18.2.2).
func (b *back) WriteMsg(m sipmsg.Message) error {
	data := []byte(m.String())
	err := b.s.send(data)
	if err == nil {
		return nil
	}
	transport := b.s.way.transport
	to, ok := viaAddr(m.Via(), transport)
	if !ok {
		return err
	}
	return b.s.a.streams.post(b.s.a.streams.by(transport, "", to), data)
}

// viaAddr is where a response goes that has no connection: the address its
// request came from, at the port of its Via.
func viaAddr(v *sipmsg.ViaHeader, transport string) (netip.AddrPort, bool) {
	if v == nil {
		return netip.AddrPort{}, false
	}
	host, port := v.Host, v.Port
	if r, ok := param(v.Params, "received"); ok && r != "" {
		host = r
	}
	ip, err := netip.ParseAddr(host)
	if port == 0 {
		port = int(defaultPort(transport))
	}
	if err != nil || port < 0 || port > 65535 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), true
}

// The transport counts who uses a connection, to close it when nobody does.
// A stream ends for reasons of its own.

// LocalAddr implements sipmsg.Connection.
func (f *forward) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(f.s.local) }

// Ref implements sipmsg.Connection.
func (f *forward) Ref(int) int { return 1 }

// TryClose implements sipmsg.Connection.
func (f *forward) TryClose() (int, error) { return 1, nil }

// Close implements sipmsg.Connection.
func (f *forward) Close() error { return nil }

// LocalAddr implements sipmsg.Connection.
func (b *back) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(b.s.local) }

// Ref implements sipmsg.Connection.
func (b *back) Ref(int) int { return 1 }

// TryClose implements sipmsg.Connection.
func (b *back) TryClose() (int, error) { return 1, nil }

// Close implements sipmsg.Connection.
func (b *back) Close() error { return nil }

// stale reports whether a transaction of ours was lost with a connection that
// had been there before it: the far side may have closed it, as idle ones are,
// before it saw the request.
func stale(tx *sipmsg.ClientTx, since time.Time) bool {
	f, ok := tx.Connection().(*forward)
	return ok && f.s.ended() != nil && f.s.born.Before(since)
}

// errLost says that the connection of a transaction ended before its response
// came.
var errLost = errors.New("the connection was lost")

// lostBy returns why a transaction of ours ended where its connection did, else
// the transaction's own error.
func lostBy(tx *sipmsg.ClientTx) error {
	if f, ok := tx.Connection().(*forward); ok {
		if why := f.s.lost(); why != nil {
			return why
		}
	}
	return tx.Err()
}

// lost is errLost with the reason, nil while the connection is there.
func (s *stream) lost() error {
	switch why := s.ended(); {
	case why == nil:
		return nil
	case errors.As(why, new(*untrustedError)): // says more
		return errors.Join(why, errLost)
	default:
		return errors.Join(errLost, why)
	}
}
