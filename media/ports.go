package media

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// How long a closed session's ports rest, so that the old call's sound never
// reaches the next one: until nobody has sent anything for restSilence, at
// least restMin, at most restMax.
const (
	restMin     = time.Second
	restSilence = 2 * time.Second
	restMax     = 10 * time.Second
)

// ports hands out pairs of an even port and the odd one above it. It starts
// at a random pair and goes round, so that a port is used again as late as
// possible.
type ports struct {
	first uint16
	total int

	mu    sync.Mutex
	next  int                       // guarded by mu; index of the pair to try
	taken []bool                    // guarded by mu; by index of the pair
	inUse int                       // guarded by mu
	noisy map[uint16]netip.AddrPort // guarded by mu; who still sent when the rest ended
}

// lease is a pair of ports with its open sockets.
type lease struct {
	port      uint16
	rtp, rtcp Conn
	noisy     netip.AddrPort // a former peer who would not stop sending
}

func newPorts(first, last uint16) (*ports, error) {
	even := (int(first) + 1) &^ 1
	total := (int(last) - even + 1) / 2
	if first == 0 || total < 1 {
		return nil, fmt.Errorf("no pair of ports in %d-%d", first, last)
	}
	return &ports{
		first: uint16(even),
		total: total,
		next:  rand.IntN(total),
		taken: make([]bool, total),
		noisy: make(map[uint16]netip.AddrPort),
	}, nil
}

// take finds a pair on which listen succeeds. A port that some other program
// holds is passed over.
func (p *ports) take(listen func(port uint16) (rtp, rtcp Conn, err error)) (lease, error) {
	var failure error
	for range p.total {
		port, ok := p.reserve()
		if !ok {
			break
		}
		rtp, rtcp, err := listen(port)
		if err != nil {
			failure = err
			p.free(port, netip.AddrPort{})
			continue
		}
		p.mu.Lock()
		l := lease{port: port, rtp: rtp, rtcp: rtcp, noisy: p.noisy[port]}
		delete(p.noisy, port)
		p.mu.Unlock()
		return l, nil
	}
	if failure != nil {
		return lease{}, fmt.Errorf("%w: %w", ErrNoPorts, failure)
	}
	return lease{}, ErrNoPorts
}

func (p *ports) reserve() (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.total {
		i := p.next
		p.next = (p.next + 1) % p.total
		if !p.taken[i] {
			p.taken[i] = true
			p.inUse++
			return p.first + uint16(2*i), true
		}
	}
	return 0, false
}

// free makes a pair available again. noisy is who still sends to it.
func (p *ports) free(port uint16, noisy netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := int(port-p.first) / 2; p.taken[i] {
		p.taken[i] = false
		p.inUse--
	}
	if noisy.IsValid() {
		p.noisy[port] = noisy
	}
}

func (p *ports) count() (inUse, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inUse, p.total
}
