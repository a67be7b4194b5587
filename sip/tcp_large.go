package sip

import (
	"context"
	"net/netip"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	// largestUDP is how many bytes a request over UDP may have: what is longer
	// may be cut into fragments, which many a router drops (RFC 3261 18.1.1).
	largestUDP = 1300
	// widenTime is how long a peer over UDP may take to accept a connection for
	// what is larger.
	widenTime = t1
	// udpOnlyFor is how long a peer that does not is not tried again.
	udpOnlyFor = time.Hour
	maxUDPOnly = 1024 // peers that are remembered
)

// udpOnly are peers that take SIP over UDP and by no connection to the same
// address.
type udpOnly struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time // guarded by mu
}

func (u *udpOnly) add(to netip.AddrPort, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.until) >= maxUDPOnly || u.until == nil {
		u.until = make(map[netip.AddrPort]time.Time) // at worst they are tried again
	}
	u.until[to] = now.Add(udpOnlyFor)
}

func (u *udpOnly) has(to netip.AddrPort, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Before(u.until[to])
}

// length counts what is written.
type length int

// WriteString implements io.StringWriter.
func (l *length) WriteString(s string) (int, error) {
	*l += length(len(s))
	return len(s), nil
}

// widen turns a request over UDP that is too large for it into one over TCP,
// where the peer takes a connection at the same address. It may wait for that,
// a moment at most. The dialog and our Contact stay as they are.
func (a *Agent) widen(ctx context.Context, req *sipmsg.Request) bool {
	if transportOf(req) != transportUDP {
		return false
	}
	var n length
	if req.StringWrite(&n); n <= largestUDP {
		return false
	}
	to, err := netip.ParseAddrPort(req.Destination())
	if err != nil || a.udpOnly.has(to, time.Now()) {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, widenTime)
	defer cancel()
	if _, _, err := a.streams.get(limited, way{transport: transportTCP, to: to}); err != nil {
		if ctx.Err() == nil {
			a.narrow(to, err)
		}
		return false
	}
	via := req.Via()
	if host, port, err := sipmsg.ParseAddr(a.stand(transportTCP, to.Addr()).sentBy); err == nil {
		via.Host, via.Port = host, port
	}
	via.Transport = "TCP"
	req.SetTransport("TCP")
	req.Laddr = sipmsg.Addr{}
	return true
}

// narrow has large requests to a peer go over UDP for a while.
func (a *Agent) narrow(to netip.AddrPort, why error) {
	a.udpOnly.add(to, time.Now())
	a.log.Info("sip: a large request goes over UDP, for the peer takes none over TCP", "to", to, "why", innermost(why), "tried_again_in", udpOnlyFor)
}
