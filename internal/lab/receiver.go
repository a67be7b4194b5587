package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/rtp"
)

// receiver judges and keeps the packets of one party.
type receiver struct {
	packets, lost, late, reports int

	pcm    []int16   // the sound so far, gaps filled with silence
	began  time.Time // of pcm[0]
	ended  bool      // the call is over, sound must stop
	closed time.Time // when it was
	held   bool      // the other side said that it sends nothing
	heldAt time.Time // when it did

	ssrc     uint32
	sequence uint16
	last     stamp // the latest audio packet
	event    uint32
}

// stamp is where a packet stands in time.
type stamp struct {
	at        time.Time
	timestamp uint32
	sequence  uint16
	samples   int
	position  int // in pcm
}

// goodbye is how long packets may be on their way when they should end.
const goodbye = 200 * time.Millisecond

// take judges one packet. It returns complaints and the key of a telephone
// event that just began. The audio's mu is held.
func (r *receiver) take(a *audio, p *rtp.Packet, from netip.AddrPort, now time.Time) (complaints []string, key rune) {
	slack := a.patience(now)
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if len(a.expected) > 0 && !slices.Contains(a.expected, from) {
		complain("from %s, but the description says %s", from, a.remote)
		return complaints, 0
	}
	if r.ended && now.Sub(r.closed) > goodbye+slack {
		complain("still coming %s after the call ended", now.Sub(r.closed).Round(10*time.Millisecond))
		return complaints, 0
	}
	r.packets++
	if r.packets > 1 {
		delta := int16(p.SequenceNumber - r.sequence)
		switch {
		case p.SSRC != r.ssrc:
			complain("SSRC changed from %08x to %08x", r.ssrc, p.SSRC)
			r.last = stamp{}
		case delta <= 0:
			r.late++
			return complaints, 0
		case delta > 1:
			r.lost += int(delta) - 1
			if !a.lossy {
				complain("sequence number jumped from %d to %d", r.sequence, p.SequenceNumber)
			}
		}
	}
	r.ssrc, r.sequence = p.SSRC, p.SequenceNumber
	if a.digitsIn >= 0 && int(p.PayloadType) == a.digitsIn {
		return complaints, r.takeEvent(p)
	}
	codec := codecOf(int(p.PayloadType))
	if codec == "" {
		complain("payload type %d was not negotiated", p.PayloadType)
		return complaints, 0
	}
	if r.held && now.Sub(r.heldAt) > goodbye+slack {
		complain("sound, though its description says that there is none")
	}
	if r.last.samples > 0 {
		complaints = append(complaints, r.pace(slack, p, now)...)
	}
	r.keep(p, codec, now)
	return complaints, 0
}

// pace compares a packet with the one before it. Timestamps must run on
// without a break, or jump ahead by the time that really passed (RFC 3550
// section 5.1); packets must come when their timestamps say.
func (r *receiver) pace(slack time.Duration, p *rtp.Packet, now time.Time) []string {
	step := int(int32(p.Timestamp - r.last.timestamp))
	waited := now.Sub(r.last.at)
	off := waited - samplesTime(step)
	switch contiguous := step == r.last.samples && p.SequenceNumber == r.last.sequence+1; {
	case step <= 0:
		return []string{fmt.Sprintf("timestamp went back by %d", -step)}
	case !contiguous && (off > slack+20*time.Millisecond || off < -slack-20*time.Millisecond):
		return []string{fmt.Sprintf("timestamp jumped by %d in %s", step, waited)}
	case contiguous && p.Marker && off <= slack && -off <= slack+samplesTime(step):
		// Another source of sound begins; it need not wait for the old beat.
	case contiguous && (off > slack || off < -slack):
		return []string{fmt.Sprintf("packet of %s came %s after the one before it", samplesTime(r.last.samples), waited)}
	}
	return nil
}

// keep adds a packet's sound to the recording where its timestamp says.
func (r *receiver) keep(p *rtp.Packet, codec Codec, now time.Time) {
	if r.began.IsZero() {
		r.began = now
	}
	position := int(now.Sub(r.began) * sampleRate / time.Second)
	if r.last.samples > 0 {
		byTimestamp := r.last.position + int(int32(p.Timestamp-r.last.timestamp))
		if far := samplesTime(byTimestamp - position); far < time.Second && far > -time.Second {
			position = byTimestamp
		}
	}
	r.last = stamp{now, p.Timestamp, p.SequenceNumber, len(p.Payload), position}
	if position < 0 || position+len(p.Payload) > maxHeard {
		return
	}
	if missing := position + len(p.Payload) - len(r.pcm); missing > 0 {
		r.pcm = append(r.pcm, make([]int16, missing)...)
	}
	for i, b := range p.Payload {
		r.pcm[position+i] = codec.law().Decode(b)
	}
}

// takeEvent reads a telephone event (RFC 4733): its packets share one
// timestamp, and it is told once.
func (r *receiver) takeEvent(p *rtp.Packet) rune {
	if len(p.Payload) < 4 || p.Timestamp == r.event || int(p.Payload[0]) >= len(keyNames) {
		return 0
	}
	r.event = p.Timestamp
	return rune(keyNames[p.Payload[0]])
}

func samplesTime(n int) time.Duration { return time.Duration(n) * time.Second / sampleRate }
