package media

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// receiveRTP reads the RTP socket from its opening until its closing, also
// while nobody listens: sound that waited in the kernel would be the past.
func (s *Session) receiveRTP() {
	s.read(s.rtp, func(b []byte, from netip.AddrPort, now time.Duration) {
		s.heard.Store(int64(now))
		s.handleRTP(b, from, now)
	})
}

func (s *Session) receiveRTCP() {
	s.read(s.rtcp, s.handleRTCP)
}

// collectEvery is how often kept reports are fetched. They come every few
// seconds and carry their times, so that nobody need wait for them.
const collectEvery = time.Second

// collectRTCP fetches the reports that have come, if it is time. None is older
// than the last look, whatever a clock says that was set meanwhile.
func (s *Session) collectRTCP(now time.Duration) {
	if s.kept == nil || now < s.collectAt {
		return
	}
	oldest := now - s.collectAt + collectEvery
	s.collectAt = now + collectEvery
	s.kept.collect(&s.engine.scratch, func(b []byte, from netip.AddrPort, age time.Duration) {
		s.handleRTCP(b, unmapped(from), s.engine.now()-min(age, oldest))
	})
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}

// read passes every packet on until the socket is closed. Errors are passing:
// a connected socket reports the ICMP messages of its peer that way.
func (s *Session) read(c Conn, handle func(b []byte, from netip.AddrPort, now time.Duration)) {
	d, ok := c.(drainer)
	if !ok {
		d = &reader{conn: c, buf: make([]byte, maxPacket+1)}
	}
	failures := 0
	take := func(b []byte, from netip.AddrPort) {
		failures = 0
		handle(b, unmapped(from), s.engine.now())
	}
	for {
		err := d.drain(&s.engine.scratch, take)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			continue
		}
		if failures++; failures > 20 { // an error that stays must not take a core
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// handleRTP does everything with one packet, in the reader's goroutine.
func (s *Session) handleRTP(b []byte, from netip.AddrPort, now time.Duration) {
	rem := s.remote.Load()
	if rem == nil || s.closed.Load() {
		return
	}
	if isRTCP(b) {
		if rem.stream.Mux {
			s.handleRTCP(b, from, now)
		}
		return
	}
	if rem.cipher != nil {
		var proven bool
		if b, proven = rem.cipher.in.openRTP(b); !proven {
			s.ignored(from, rem)
			return
		}
	}
	p, ok := parseRTP(b)
	if ok {
		p.kind = rem.kinds[p.payload]
	}
	if !ok || p.kind == kindUnknown || !s.lock.accept(from, &p, rem, now) {
		s.ignored(from, rem)
		return
	}
	s.settle(rem, now)
	s.lastRTP.Store(int64(now))
	s.life.Store(int64(now))
	s.rx.packet(&p, now)
	if p.kind == kindEvent {
		if digit, ok := s.events.read(&p); ok {
			s.digit(digit)
		}
	}
	if r := s.route.Load(); r != nil {
		r.forward(&p, now)
	}
}

// settle tells the sender who is heard, when that or its certainty has changed.
func (s *Session) settle(rem *remote, now time.Duration) {
	l := &s.lock
	if l.open {
		return
	}
	if is := l.settlement(now); is != l.told || !s.tx.settled.Load() {
		s.tx.settle(l.peer, rem, is == firm)
		if l.told == unknown {
			s.milestone(Locked, l.peer, 0)
		}
		l.told = is
	}
}

// ignored counts a packet that is not heard. That strangers send many is said
// once for a leg.
func (s *Session) ignored(from netip.AddrPort, rem *remote) {
	s.strangers.Add(1)
	l := &s.lock
	if from == l.peer || from == rem.stream.RTP || !l.crowd.add(from) {
		return
	}
	others := slices.DeleteFunc(slices.Clone(l.crowd.addresses), func(a netip.AddrPort) bool { return a == l.peer })
	s.engine.log.Warn("strangers send to the media port of a call and are ignored",
		"port", s.port, "strangers", others, "heard", l.peer, "described", rem.stream.RTP)
}
