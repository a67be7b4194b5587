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
	// lockGrace is how long the address of a description is waited for before
	// another IP is believed.
	lockGrace = 500 * time.Millisecond
	// lockFirm is how long a source that no description names must have been
	// locked before the kernel may drop what others send.
	lockFirm = 10 * time.Second
	// lockPackets is how many consistent packets make an unannounced source
	// believable.
	lockPackets = 3
	// lockGap is how far the sequence number may go on between two of them.
	lockGap = 10
)

// lock decides whose packets are heard. The address of the description is
// believed at once, whoever was heard before it. Another port of its IP needs
// three consistent packets. Another IP, as behind NAT, needs them too, after
// half a second in which the described address could have spoken: whoever
// sprays the ports of a new call is seldom later than that.
//
// The lock is open again after every new description and after 1.5 s of
// silence. Unless the description names another address, it is open only for
// the same IP or one that the description names. All others are strangers.
//
// With SRTP nothing of this is asked: only packets of who has the key come
// here, from wherever. The newest one says where he is.
type lock struct {
	noisy netip.AddrPort // who used the port before us and would not stop; never believed unannounced

	rem     *remote
	peer    netip.AddrPort // invalid before the first lock
	open    bool           // a new description has come since
	moved   bool           // and it names another address
	told    settlement     // what the sender knows of peer
	since   time.Duration  // when peer was locked, or a later description was first used
	last    time.Duration  // last packet of peer
	cand    netip.AddrPort // who is on probation
	ssrc    uint32         // of cand
	seq     uint16         // of cand
	counted int            // consistent packets of cand
	top     uint16         // with SRTP: highest sequence number heard
	topSSRC uint32         // of the stream top is of
	topKey  *opener        // and what opened it

	crowd crowd
}

// settlement is how certain it is that a source is the other side.
type settlement uint8

const (
	unknown  settlement = iota // nothing is said about it
	believed                   // sound goes there, others are still listened for
	firm                       // the kernel may drop what others send
)

// accept reports whether a packet is heard.
func (l *lock) accept(from netip.AddrPort, p *packet, rem *remote, now time.Duration) bool {
	if rem != l.rem {
		l.renew(rem, now)
	}
	newest := rem.cipher != nil && l.newest(p, rem.cipher.in.used)
	switch {
	case from == rem.stream.RTP:
		l.take(from, now)
		return true
	case from == l.peer:
		l.last = now
		// When the description names a new address, sound still under way from
		// the old one must not close the lock before the new one is heard.
		if l.open && (!l.moved || now-rem.named >= lockSilence) {
			l.open = false
		}
		return true
	case rem.cipher != nil:
		if newest {
			l.take(from, now)
		}
		return true
	case !l.admits(from, now) || !l.believable(from, p):
		return false
	}
	l.take(from, now)
	return true
}

// newest follows the sequence of authentic packets and reports whether p is
// ahead of all before it. One from behind could have been caught on its way and
// sent on from elsewhere. With a new key a new sequence may begin.
func (l *lock) newest(p *packet, key *opener) bool {
	ahead := l.topKey != key || l.topSSRC != p.ssrc || int16(p.seq-l.top) > 0
	if ahead {
		l.topKey, l.topSSRC, l.top = key, p.ssrc, p.seq
	}
	return ahead
}

// renew opens the lock for a new description.
func (l *lock) renew(rem *remote, now time.Duration) {
	moved := l.rem != nil && l.rem.moves != rem.moves
	l.moved = moved || l.open && l.moved
	l.rem, l.open, l.since, l.cand = rem, true, now, netip.AddrPort{}
}

// take locks a source.
func (l *lock) take(from netip.AddrPort, now time.Duration) {
	if from != l.peer {
		l.peer, l.since, l.told, l.cand = from, now, unknown, netip.AddrPort{}
	}
	l.open, l.last = false, now
}

// admits reports whether a source that is neither locked nor the address of
// the description may be put on probation.
func (l *lock) admits(from netip.AddrPort, now time.Duration) bool {
	if from == l.noisy {
		return false
	}
	stream := &l.rem.stream
	host := from.Addr()
	announced := host == stream.RTP.Addr()
	if l.peer.IsValid() && (!l.open || !l.moved) {
		if announced && host != l.peer.Addr() {
			return true // somebody else has its place
		}
		near := host == l.peer.Addr() || slices.Contains(stream.Hosts, host)
		if !near || !l.open && now-l.last < lockSilence {
			return false
		}
	}
	return announced || now-max(l.rem.named, l.last) >= lockGrace
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

// settlement of the locked source. Had the described address ever spoken, it
// would be the locked one.
func (l *lock) settlement(now time.Duration) settlement {
	if l.peer == l.rem.stream.RTP || now-l.since >= lockFirm {
		return firm
	}
	return believed
}

const (
	crowdPackets = 100 // more packets of strangers than this are worth a word
	crowdNames   = 8   // so many addresses are remembered
)

// crowd is what strangers send.
type crowd struct {
	packets   int
	addresses []netip.AddrPort // the first of them
}

// add counts a packet and reports whether it is the one too many.
func (c *crowd) add(from netip.AddrPort) bool {
	if c.packets > crowdPackets {
		return false
	}
	c.packets++
	if len(c.addresses) < crowdNames && !slices.Contains(c.addresses, from) {
		c.addresses = append(c.addresses, from)
	}
	return c.packets > crowdPackets
}
