package media

import (
	"net/netip"
	"sync"
	"time"
)

// Stats are the counters of a session. What was not measured is nil, never
// zero.
type Stats struct {
	Codec      Codec          // agreed, to send in
	Secure     string         // suite of SRTP agreed, as in a=crypto; empty: plain
	Peer       netip.AddrPort // where sound goes at present
	SSRCIn     uint32         // of the stream received last; 0 none
	SSRCOut    uint32
	PacketsIn  uint64 // RTP packets heard
	PacketsOut uint64 // RTP packets sent
	BytesIn    uint64 // payload
	BytesOut   uint64 // payload
	Strangers  uint64 // packets ignored: of others, of no agreed payload type, or malformed
	SendErrors uint64 // packets the network refused

	Lost      *int64         // packets that did not arrive, RFC 3550 A.3; late doubles make it less
	Jitter    *time.Duration // interarrival jitter, RFC 3550 A.8
	RoundTrip *time.Duration // from the latest RTCP report of the other side
	LostOut   *int64         // of ours, as the other side reports
}

// Stats returns the counters as they stand.
func (s *Session) Stats() Stats {
	st := Stats{Strangers: s.strangers.Load()}
	if r := s.remote.Load(); r != nil {
		st.Codec, st.Secure = r.stream.Codec, r.cipher.String()
	}
	s.tx.mu.Lock()
	st.Peer, st.SSRCOut = s.tx.dest, s.tx.ssrc
	st.PacketsOut, st.BytesOut, st.SendErrors = s.tx.packets, s.tx.bytes, s.tx.failures
	s.tx.mu.Unlock()
	s.rx.stats(&st)
	return st
}

// How far ahead of the newest packet and how far behind it another of the same
// sequence may be (RFC 3550, appendix A.1).
const (
	maxDropout  = 3000
	maxMisorder = 100
)

// reception is what a leg receives.
type reception struct {
	mu      sync.Mutex
	started bool   // guarded by mu, as everything below
	ssrc    uint32 // of the present stream
	maxSeq  uint16
	badSeq  uint32 // what follows a jump, if the stream began anew; 1<<16 + 1 none
	cycles  uint32 // of sequence numbers, times 65536
	first   uint32 // first sequence number
	got     uint32 // packets of the present stream
	lost    int64  // in streams before this one
	packets uint64 // of all streams
	bytes   uint64

	transit int32
	timed   bool   // transit is set
	jitter  uint32 // samples times 16

	expectedBefore, gotBefore uint32 // at the last report

	lsr   uint32        // middle of the NTP time in the last sender report, 0 none
	lsrAt time.Duration // when it came

	roundTrip time.Duration
	hasTrip   bool
	lostOut   int64
	hasOut    bool
}

const noBadSeq = 1<<16 + 1

// packet counts a packet, by RFC 3550 A.1, A.3 and A.8.
func (r *reception) packet(p *packet, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets++
	r.bytes += uint64(len(p.data) - headerLen)
	if !r.started || r.ssrc != p.ssrc {
		r.begin(p)
	} else if !r.advance(p) {
		return
	}
	r.got++
	if !p.kind.audio() {
		return // events keep their first timestamp
	}
	transit := int32(samples(now) - p.ts)
	if r.timed {
		d := transit - r.transit
		if d < 0 {
			d = -d
		}
		if d < 10*sampleRate { // more is a new clock on the other side
			r.jitter += uint32(d) - (r.jitter+8)>>4
		}
	}
	r.transit, r.timed = transit, true
}

func (r *reception) begin(p *packet) {
	if r.started {
		r.lost += r.missing()
	}
	r.started, r.ssrc = true, p.ssrc
	r.maxSeq, r.first, r.cycles, r.got = p.seq, uint32(p.seq), 0, 0
	r.badSeq, r.timed = noBadSeq, false
	r.expectedBefore, r.gotBefore = 0, 0
	r.lsr = 0
}

// advance follows the sequence. It reports false for a packet after a jump
// that the next one must confirm.
func (r *reception) advance(p *packet) bool {
	step := p.seq - r.maxSeq
	switch {
	case step < maxDropout:
		if p.seq < r.maxSeq {
			r.cycles += 1 << 16
		}
		r.maxSeq = p.seq
	case step <= 1<<16-1-maxMisorder:
		if uint32(p.seq) != r.badSeq {
			r.badSeq = uint32(p.seq+1) & 0xffff
			return false
		}
		r.begin(p)
	}
	return true
}

func (r *reception) expected() uint32 { return r.cycles + uint32(r.maxSeq) - r.first + 1 }

func (r *reception) missing() int64 { return int64(r.expected()) - int64(r.got) }

func (r *reception) stats(st *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st.PacketsIn, st.BytesIn = r.packets, r.bytes
	if r.started {
		st.SSRCIn = r.ssrc
		st.Lost = new(r.lost + r.missing())
	}
	if r.timed {
		st.Jitter = new(length(int(r.jitter >> 4)))
	}
	if r.hasTrip {
		st.RoundTrip = new(r.roundTrip)
	}
	if r.hasOut {
		st.LostOut = new(r.lostOut)
	}
}
