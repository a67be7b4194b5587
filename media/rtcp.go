package media

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// reportEvery is the mean time between reports; each one comes within half of
// it and one and a half (RFC 3550, section 6.2).
const reportEvery = 5 * time.Second

// reports is the RTCP of a session.
type reports struct {
	cname string
	next  time.Duration // used by housekeeping alone

	mu      sync.Mutex
	sent    bool           // guarded by mu
	packets uint64         // guarded by mu; packets sent at the last report
	learnt  netip.AddrPort // guarded by mu; where the other side's reports come from
}

func (r *reports) init(now time.Duration) {
	r.cname = strconv.FormatUint(uint64(random32())<<32|uint64(random32()), 36)
	r.schedule(now)
}

func (r *reports) schedule(now time.Duration) {
	r.next = now + reportEvery/2 + rand.N(reportEvery)
}

// forget lets reports go where a new description says, until some come.
func (r *reports) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learnt = netip.AddrPort{}
}

// report sends a report if it is time.
func (s *Session) report(now time.Duration) {
	rem := s.remote.Load()
	if rem == nil || now < s.reports.next {
		return
	}
	s.reports.schedule(now)
	s.sendReport(rem, now)
}

// sendBye tells those who got reports that there will be no more.
func (s *Session) sendBye() {
	rem := s.remote.Load()
	s.reports.mu.Lock()
	sent := s.reports.sent
	s.reports.mu.Unlock()
	if rem != nil && sent {
		s.sendReport(rem, s.engine.now(), &rtcp.Goodbye{Sources: []uint32{s.tx.ssrc}})
	}
}

func (s *Session) sendReport(rem *remote, now time.Duration, more ...rtcp.Packet) {
	s.reports.mu.Lock()
	defer s.reports.mu.Unlock()
	to := rem.stream.RTCP
	if s.reports.learnt.IsValid() {
		to = s.reports.learnt
	}
	if rem.stream.Mux {
		to = s.tx.target()
	}
	if !to.IsValid() {
		return
	}
	packets := []rtcp.Packet{s.describe(now), &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: s.tx.ssrc,
		Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: s.reports.cname}},
	}}}}
	b, err := rtcp.Marshal(append(packets, more...))
	if err != nil {
		s.engine.log.Warn("write RTCP", "port", s.port, "err", err)
		return
	}
	if rem.cipher != nil {
		if b, err = rem.cipher.out.sealRTCP(b); err != nil {
			s.engine.log.Warn("encrypt RTCP", "port", s.port, "err", err)
			return
		}
	}
	c := s.rtcp
	if rem.stream.Mux {
		c = s.rtp
	}
	// A peer without RTCP refuses it; that is no trouble.
	_, _ = c.WriteToUDPAddrPort(b, to)
	s.reports.sent = true
}

// describe is a sender report when something was sent since the last one,
// else a receiver report. s.reports.mu is held.
func (s *Session) describe(now time.Duration) rtcp.Packet {
	blocks := s.rx.blocks(now)
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if s.tx.packets == s.reports.packets {
		return &rtcp.ReceiverReport{SSRC: s.tx.ssrc, Reports: blocks}
	}
	s.reports.packets = s.tx.packets
	return &rtcp.SenderReport{
		SSRC:        s.tx.ssrc,
		NTPTime:     s.engine.ntp(now),
		RTPTime:     s.tx.ts + samples(now-s.tx.tsAt),
		PacketCount: uint32(s.tx.packets),
		OctetCount:  uint32(s.tx.bytes),
		Reports:     blocks,
	}
}

// blocks describes the stream received, if any.
func (r *reception) blocks(now time.Duration) []rtcp.ReceptionReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		return nil
	}
	b := rtcp.ReceptionReport{
		SSRC:               r.ssrc,
		TotalLost:          uint32(min(max(r.missing(), 0), 0x7fffff)),
		LastSequenceNumber: r.cycles + uint32(r.maxSeq),
		Jitter:             r.jitter >> 4,
		LastSenderReport:   r.lsr,
	}
	expected, got := r.expected()-r.expectedBefore, r.got-r.gotBefore
	r.expectedBefore, r.gotBefore = r.expected(), r.got
	if expected > got && expected < 1<<16 {
		b.FractionLost = uint8(min((expected-got)<<8/expected, 255))
	}
	if r.lsr != 0 {
		b.Delay = short(now - r.lsrAt)
	}
	return []rtcp.ReceptionReport{b}
}

// handleRTCP reads a report of the other side, which is known by its address
// or, with SRTP, by its key; those of others are ignored.
func (s *Session) handleRTCP(b []byte, from netip.AddrPort, now time.Duration) {
	rem := s.remote.Load()
	if rem == nil || s.closed.Load() {
		return
	}
	known := false
	if rem.cipher != nil {
		b, known = rem.cipher.in.openRTCP(b)
	} else {
		known = from.Addr() == s.tx.target().Addr() || slices.Contains(rem.stream.Hosts, from.Addr())
	}
	if !known {
		s.strangers.Add(1)
		return
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		return
	}
	s.alive(now)
	s.reports.mu.Lock()
	s.reports.learnt = from
	s.reports.mu.Unlock()
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			s.rx.senderReport(p, now)
			s.feedback(p.Reports, now)
		case *rtcp.ReceiverReport:
			s.feedback(p.Reports, now)
		}
	}
}

// alive notes a sign of life. A report that was kept for a while is older than
// the sound that came meanwhile.
func (s *Session) alive(at time.Duration) {
	for last := s.life.Load(); last < int64(at) && !s.life.CompareAndSwap(last, int64(at)); {
		last = s.life.Load()
	}
}

func (r *reception) senderReport(p *rtcp.SenderReport, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started && p.SSRC == r.ssrc {
		r.lsr, r.lsrAt = uint32(p.NTPTime>>16), now
	}
}

// feedback reads what the other side says about our stream.
func (s *Session) feedback(blocks []rtcp.ReceptionReport, now time.Duration) {
	for _, b := range blocks {
		if b.SSRC != s.tx.ssrc {
			continue
		}
		s.rx.mu.Lock()
		s.rx.lostOut, s.rx.hasOut = int64(b.TotalLost), true
		if b.LastSenderReport != 0 {
			trip := int32(uint32(s.engine.ntp(now)>>16) - b.LastSenderReport - b.Delay)
			if trip >= 0 && trip < 60<<16 {
				s.rx.roundTrip, s.rx.hasTrip = time.Duration(trip)*time.Second>>16, true
			}
		}
		s.rx.mu.Unlock()
	}
}

// ntp is the wall clock in the 64 bits of NTP, advanced by the monotonic one.
func (e *Engine) ntp(now time.Duration) uint64 {
	t := e.epoch.Add(now)
	seconds := uint64(t.Unix() + 2208988800)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// short is a time in 1/65536 s.
func short(d time.Duration) uint32 {
	return uint32(uint64(max(d, 0)) << 16 / uint64(time.Second))
}
