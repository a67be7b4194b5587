package media

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/media/g711"
)

// sender is what a leg sends: one stream with one SSRC, whoever feeds it.
type sender struct {
	settled atomic.Bool // the destination is the locked source; cleared to look again

	began func(to netip.AddrPort) // is told of the first packet, under mu; set before it; nil: nobody is

	mu        sync.Mutex
	conn      Conn           // guarded by mu, as everything below
	dest      netip.AddrPort // invalid: nowhere yet
	connected bool           // conn is connected to dest
	closed    bool
	rem       *remote // nil before an agreement
	feed      uint64  // the route that may feed the stream, 0 none
	player    *player // feeds the stream; relayed packets are dropped meanwhile

	ssrc     uint32
	started  bool
	seq      uint16        // highest sent
	ts       uint32        // highest sent
	tsAt     time.Duration // when ts was first sent
	lastLen  uint32        // samples in the last packet
	packets  uint64
	bytes    uint64 // payload bytes
	failures uint64 // writes that failed

	// The offsets between the packets of a source and those sent hold as long
	// as the source does.
	source    uint64 // 0: none, the next packet anchors the stream anew
	sourceSRC uint32 // SSRC of the source's packets
	seqOff    uint16
	tsOff     uint32
	base      uint16 // first sequence number since the anchor
	fresh     int    // packets for which base still matters
	restart   uint16 // what comes next where the source has begun a new sequence
}

// reorderWindow is for how many packets after a change of source late ones
// from before it are looked for.
const reorderWindow = 100

func (t *sender) init(c Conn) {
	// With the sequence in the lower half of its range the first packet may be
	// lost and SRTP still finds its place (RFC 3711, section 3.3.1).
	t.conn, t.ssrc, t.seq, t.ts = c, random32(), uint16(random32()>>17), random32()
}

// agree takes a new agreement and opens the socket for other sources again.
// Unless the other side moved, the source found before stays the destination.
func (t *sender) agree(r *remote, moved bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rem = r
	t.disconnect()
	if moved {
		t.dest = r.stream.RTP
	}
}

// settle makes the locked source the destination. With alone the kernel drops
// what others send from now on; that must not happen while the address of the
// description may still speak for the first time.
func (t *sender) settle(peer netip.AddrPort, r *remote, alone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.rem != r { // a newer agreement wants to look again
		return
	}
	t.disconnect()
	t.dest = peer
	t.connected = alone && t.conn.Connect(peer) == nil
	t.settled.Store(true)
}

// unsettle lets other sources in. The destination stays.
func (t *sender) unsettle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.disconnect()
	}
}

func (t *sender) disconnect() {
	if t.connected {
		_ = t.conn.Disconnect()
		t.connected = false
	}
	t.settled.Store(false)
}

// target is where packets go at present.
func (t *sender) target() netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dest
}

func (t *sender) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.replace(nil, ErrClosed)
}

// feedFrom makes a route the one that is relayed; feedEnd ends it.
func (t *sender) feedFrom(route uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.feed = route
}

func (t *sender) feedEnd(route uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.feed == route {
		t.feed = 0
	}
}

// relay sends a packet that another leg received. Packets that this leg did
// not agree to are left out without a gap in the sequence.
func (t *sender) relay(source uint64, p *packet, events bool, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rem, audio := t.rem, p.kind.audio()
	if source != t.feed || t.closed || t.busy(audio) {
		return
	}
	if rem == nil || !rem.sends {
		t.source = 0
		return
	}
	same := t.source == source && t.sourceSRC == p.ssrc
	if same && t.astray(p.seq) {
		if p.seq != t.restart {
			t.restart = p.seq + 1
			return
		}
		same = false
	}
	pass := audio || events && p.kind == kindEvent && rem.event != 0
	if !pass || len(p.data) == headerLen {
		// One that comes late has its gap already, and it may be a double.
		if same && int16(p.seq+t.seqOff-t.seq) > 0 {
			t.seqOff--
		}
		return
	}
	marker := p.marker
	if !same {
		t.anchor(source, p, now)
		marker = audio
	}
	seq := p.seq + t.seqOff
	if t.fresh > 0 {
		t.fresh--
		if int16(seq-t.base) < 0 {
			return
		}
	}
	payload := rem.event
	if audio {
		payload = rem.payload
		if p.kind.law() != rem.law {
			transcode(p.body(), rem.law)
		}
	}
	t.write(p.data, payload, marker, seq, p.ts+t.tsOff, now)
}

// astray reports whether a packet of the source is from outside its sequence:
// it is too old to be heard, or its sender begins anew, which the next packet
// shows. Passed on, a sequence that fell back would be silence to the far side,
// for minutes where it is encrypted. t.mu is held.
func (t *sender) astray(seq uint16) bool {
	ahead := int16(seq + t.seqOff - t.seq)
	return ahead < -maxMisorder || ahead > maxDropout
}

// busy reports whether a player has the stream. Ringback gives it up for
// sound. t.mu is held.
func (t *sender) busy(audio bool) bool {
	if audio && t.player != nil && t.player.yields {
		t.replace(nil, nil)
	}
	return t.player != nil
}

// transcode turns sound in the other law into law, in place.
func transcode(b []byte, law g711.Law) {
	table := g711.AToU()
	if law == g711.ALaw {
		table = g711.UToA()
	}
	for i, v := range b {
		b[i] = table[v]
	}
}

// anchor joins a new source to the stream: the next sequence number, and a
// timestamp that went on with the clock.
func (t *sender) anchor(source uint64, p *packet, now time.Duration) {
	t.source, t.sourceSRC = source, p.ssrc
	t.base, t.fresh = t.seq+1, reorderWindow
	t.seqOff = t.base - p.seq
	t.tsOff = t.nextTS(now) - p.ts
}

func (t *sender) nextTS(now time.Duration) uint32 {
	if !t.started {
		return t.ts
	}
	return t.ts + max(samples(now-t.tsAt), t.lastLen)
}

// write sends data, which has room for the header in front. A peer that
// refuses is a passing trouble, and so is every other.
func (t *sender) write(data []byte, payload uint8, marker bool, seq uint16, ts uint32, now time.Duration) {
	if c := t.rem.cipher; c != nil && !c.out.spend(seq) {
		return
	}
	putHeader(data, payload, marker, seq, ts, t.ssrc)
	if !t.started || int16(seq-t.seq) > 0 {
		if ts != t.ts || !t.started {
			t.ts, t.tsAt = ts, now
		}
		t.seq, t.lastLen, t.started = seq, uint32(len(data)-headerLen), true
	}
	wire, err := data, error(nil)
	if c := t.rem.cipher; c != nil {
		wire, err = c.out.sealRTP(data)
	}
	switch {
	case err != nil:
	case t.connected:
		_, err = t.conn.Write(wire)
	case t.dest.IsValid():
		_, err = t.conn.WriteToUDPAddrPort(wire, t.dest)
	default:
		return
	}
	if err != nil {
		t.failures++
		return
	}
	if t.packets == 0 && t.began != nil {
		t.began(t.dest)
	}
	t.packets++
	t.bytes += uint64(len(data) - headerLen)
}
