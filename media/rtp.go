package media

import (
	"encoding/binary"

	"perezvon/media/g711"
)

const (
	headerLen = 12
	// maxPacket is the largest datagram that is looked at, in bytes.
	maxPacket = 1500
)

// kind is what a payload type stands for on a leg.
type kind uint8

const (
	kindUnknown kind = iota
	kindALaw
	kindULaw
	kindEvent // telephone event, RFC 4733
	kindNoise // comfort noise, RFC 3389
)

func (k kind) audio() bool { return k == kindALaw || k == kindULaw }

func (k kind) law() g711.Law {
	if k == kindULaw {
		return g711.ULaw
	}
	return g711.ALaw
}

// packet is an RTP packet in the buffer it was read into.
type packet struct {
	data    []byte // a header of 12 bytes, then the payload
	kind    kind
	payload uint8 // payload type
	marker  bool
	seq     uint16
	ts      uint32
	ssrc    uint32
}

func (p *packet) body() []byte { return p.data[headerLen:] }

// parseRTP reads the header in b. Contributing sources, header extension and
// padding are cut off in place, since the next leg agreed to none of them.
func parseRTP(b []byte) (packet, bool) {
	if len(b) < headerLen || b[0]>>6 != 2 {
		return packet{}, false
	}
	start, end := headerLen+4*int(b[0]&0x0f), len(b)
	if b[0]&0x10 != 0 { // extension
		if start+4 > end {
			return packet{}, false
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	if start > end {
		return packet{}, false
	}
	if b[0]&0x20 != 0 { // padding
		pad := int(b[end-1])
		if pad == 0 || start+pad > end {
			return packet{}, false
		}
		end -= pad
	}
	p := packet{
		marker:  b[1]&0x80 != 0,
		payload: b[1] & 0x7f,
		seq:     binary.BigEndian.Uint16(b[2:]),
		ts:      binary.BigEndian.Uint32(b[4:]),
		ssrc:    binary.BigEndian.Uint32(b[8:]),
	}
	p.data = b[start-headerLen : end]
	return p, true
}

// putHeader writes the 12 bytes of a plain header.
func putHeader(b []byte, payload uint8, marker bool, seq uint16, ts, ssrc uint32) {
	b[0] = 0x80
	b[1] = payload & 0x7f
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}

// isRTCP tells the two apart on one port (RFC 5761, section 4).
func isRTCP(b []byte) bool { return len(b) >= 8 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }
