package sip

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	knockEvery = time.Minute
	maxKnocks  = 10 // are told of per knockEvery
)

// doorbell decides which strangers, or connections, are told of: each address
// once a minute, of all together a few. It remembers those it told of, no others, so that a flood
// costs no memory.
type doorbell struct {
	mu         sync.Mutex
	told       []knock // guarded by mu; by time, at most maxKnocks
	suppressed uint64  // guarded by mu; since the last that was told of
}

type knock struct {
	from netip.Addr
	at   time.Time
}

// press reports whether to tell of the address, and how many were not told of
// before.
func (b *doorbell) press(from netip.Addr, now time.Time) (suppressed uint64, tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.told) > 0 && now.Sub(b.told[0].at) >= knockEvery {
		b.told = b.told[1:]
	}
	if len(b.told) == maxKnocks || slices.ContainsFunc(b.told, func(k knock) bool { return k.from == from }) {
		b.suppressed++
		return 0, false
	}
	b.told = append(b.told, knock{from, now})
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// ring logs a request that nobody will answer, or a connection that nobody will
// read: then method is empty. Most are scans, but the first call of a provider
// whose address is not configured looks just like them.
func (a *Agent) ring(method sipmsg.RequestMethod, from netip.AddrPort) {
	suppressed, tell := a.doorbell.press(from.Addr(), time.Now())
	if !tell {
		return
	}
	if method == "" {
		a.log.Warn("sip: connection refused: no trunk's host or peers and no extension's contact has this address; see trunks[].peers",
			"from", from, "suppressed", suppressed)
		return
	}
	a.log.Warn("sip: request ignored: no trunk's host or peers and no extension's contact has this address; see trunks[].peers",
		"method", string(method), "from", from, "suppressed", suppressed)
}
