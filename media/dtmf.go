package media

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// keys are the digits of the telephone events 0 to 15.
const keys = "0123456789*#ABCD"

const (
	eventLen = 4 // bytes of an event in a packet
	// eventLate is how far back a timestamp may lie, in samples, to belong to a
	// late packet; further back means that the sender's clock began anew.
	eventLate = 5 * sampleRate
	// eventFull is a duration, in samples, near the end of its 16 bits, where
	// long events go on in a new segment (RFC 4733, section 2.5.1.3).
	eventFull = 0xf000
)

// eventReader finds the presses of keys in the many packets of each.
type eventReader struct {
	seen  bool
	ssrc  uint32
	ts    uint32
	event byte
	ended bool
	dur   uint16
}

// read returns the key that p is the first packet of.
func (e *eventReader) read(p *packet) (rune, bool) {
	b := p.body()
	if len(b) < eventLen {
		return 0, false
	}
	event, ended, dur := b[0], b[1]&0x80 != 0, binary.BigEndian.Uint16(b[2:])
	pressed := true
	if e.seen && e.ssrc == p.ssrc {
		step := int32(p.ts - e.ts)
		switch {
		case step == 0:
			pressed = event != e.event
		case step < 0 && step > -eventLate:
			return 0, false
		case step > 0 && event == e.event && !e.ended && e.dur >= eventFull && uint32(step) <= 0xffff+sampleRate:
			pressed = false
		}
		if !pressed && step == 0 {
			ended = ended || e.ended
			dur = max(dur, e.dur)
		}
	}
	*e = eventReader{seen: true, ssrc: p.ssrc, ts: p.ts, event: event, ended: ended, dur: dur}
	if !pressed || int(event) >= len(keys) {
		return 0, false
	}
	return rune(keys[event]), true
}

// Digits are the keys pressed on the other side, as telephone events or by
// SIP INFO, each press once: 0-9, *, #, A-D. Up to 32 wait to be read, further
// ones are lost. The channel is never closed.
func (s *Session) Digits() <-chan rune { return s.digits }

// FlushDigits throws away what waits in Digits.
func (s *Session) FlushDigits() {
	for {
		select {
		case <-s.digits:
		default:
			return
		}
	}
}

// InfoDigit takes the body of a SIP INFO for Digits, if it is a key.
func (s *Session) InfoDigit(contentType string, body []byte) {
	if key, ok := InfoKey(contentType, body); ok {
		s.digit(key)
	}
}

// InfoKey reads the body of a SIP INFO: application/dtmf-relay ("Signal=5") or
// application/dtmf ("5"). It is false for anything else.
func InfoKey(contentType string, body []byte) (key rune, ok bool) {
	media, _, _ := strings.Cut(contentType, ";")
	var signal string
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "application/dtmf":
		signal = string(body[:min(len(body), 16)])
	case "application/dtmf-relay":
		for line := range strings.Lines(string(body[:min(len(body), 512)])) {
			name, value, ok := strings.Cut(line, "=")
			if ok && strings.EqualFold(strings.TrimSpace(name), "signal") {
				signal = value
			}
		}
	}
	signal = strings.ToUpper(strings.TrimSpace(signal))
	switch signal {
	case "10":
		signal = "*"
	case "11":
		signal = "#"
	}
	if len(signal) != 1 || !strings.Contains(keys, signal) {
		return 0, false
	}
	return rune(signal[0]), true
}

func (s *Session) digit(r rune) {
	s.milestone(Digit, netip.AddrPort{}, 0)
	select {
	case s.digits <- r:
	default:
	}
}
