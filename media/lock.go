package media

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// lockSilence is how long the locked source must be silent before another
	// one may take its place.
	lockSilence = 1500 * time.Millisecond
	// lockPackets is how many consistent packets make an unannounced source
	// believable.
	lockPackets = 3
	// lockGap is how far the sequence number may go on between two of them.
	lockGap = 10
)

// lock decides whose packets are heard. The address of the description is
// believed at once, any other source after three consistent packets. The lock
// is open again after every new description and after 1.5 s of silence, then
// only for the same IP or an address the description names. All others are
// strangers.
type lock struct {
	noisy netip.AddrPort // who used the port before us and would not stop; never believed unannounced

	rem     *remote
	peer    netip.AddrPort // invalid before the first lock
	open    bool           // a new description has come since
	moved   bool           // and it names another address
	since   time.Duration  // when it opened
	last    time.Duration  // last packet of peer
	cand    netip.AddrPort // who is on probation
	ssrc    uint32         // of cand
	seq     uint16         // of cand
	counted int            // consistent packets of cand
}

// accept reports whether a packet is heard.
func (l *lock) accept(from netip.AddrPort, p *packet, rem *remote, now time.Duration) bool {
	if rem != l.rem {
		l.moved = l.rem != nil && l.rem.moves != rem.moves
		l.rem, l.open, l.since, l.cand = rem, true, now, netip.AddrPort{}
	}
	if from == l.peer {
		l.last = now
		// When the description names a new address, sound still under way from
		// the old one must not close the lock before the new one is heard.
		if l.open && (!l.moved || now-l.since >= lockSilence) {
			l.open = false
		}
		return true
	}
	announced := from == rem.stream.RTP
	if !l.open {
		near := from.Addr() == l.peer.Addr() || slices.Contains(rem.stream.Hosts, from.Addr())
		if now-l.last < lockSilence || !near {
			return false
		}
	}
	if !announced && (from == l.noisy || !l.believable(from, p)) {
		return false
	}
	l.peer, l.open, l.last, l.cand = from, false, now, netip.AddrPort{}
	return true
}

// believable counts consistent packets of a source the description does not
// name.
func (l *lock) believable(from netip.AddrPort, p *packet) bool {
	step := int16(p.seq - l.seq)
	if from == l.cand && p.ssrc == l.ssrc && step > 0 && step <= lockGap {
		l.counted++
	} else if from != l.cand || p.ssrc != l.ssrc || step != 0 {
		l.cand, l.ssrc, l.counted = from, p.ssrc, 1
	}
	l.seq = p.seq
	return l.counted >= lockPackets
}
