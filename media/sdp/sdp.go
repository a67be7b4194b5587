// Package sdp reads and writes the session descriptions of plain telephone
// calls (RFC 8866) and holds the rules of offer and answer (RFC 3264): one
// audio stream of G.711 with telephone events, everything else declined.
//
// Reading is tolerant, because phones and carriers break the grammar in
// harmless ways: lines in any order, bare line feeds, unknown lines and
// missing ones. Writing is strict.
package sdp

import (
	"errors"
	"net/netip"
	"strings"
	"time"
)

// Errors of reading and choosing. SIP answers ErrSyntax with 400 and the others
// with 488.
var (
	ErrSyntax        = errors.New("not a session description")
	ErrNoAudio       = errors.New("no usable audio stream")
	ErrNoCommonCodec = errors.New("no common codec")
	// ErrEncrypted: the other side takes encrypted sound alone.
	ErrEncrypted = errors.New("the other side wants encrypted sound (RTP/SAVP), which is off here: write srtp: preferred, or turn SRTP off there")
	// ErrNotEncrypted: the other side does not encrypt, or not in a way we know.
	ErrNotEncrypted = errors.New("the sound would not be encrypted")
)

// MaxSize is the length in bytes beyond which a description is not read.
const MaxSize = 32 << 10

// Codec is an audio coding we speak. The zero value is none.
type Codec uint8

// The codecs, both of G.711 with 8000 samples a second.
const (
	PCMA Codec = iota + 1 // A-law, static payload type 8
	PCMU                  // µ-law, static payload type 0
)

// String is the name in a rtpmap, empty for no codec.
func (c Codec) String() string {
	switch c {
	case PCMA:
		return "PCMA"
	case PCMU:
		return "PCMU"
	}
	return ""
}

// Payload is the static RTP payload type of RFC 3551.
func (c Codec) Payload() uint8 {
	if c == PCMA {
		return 8
	}
	return 0
}

// ParseCodec finds a codec by its name in any case.
func ParseCodec(name string) (Codec, bool) {
	for _, c := range []Codec{PCMA, PCMU} {
		if strings.EqualFold(name, c.String()) {
			return c, true
		}
	}
	return 0, false
}

// Direction says which ways sound may flow, seen by the side that wrote it.
type Direction uint8

// The directions of RFC 3264, section 5.1.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// String is the attribute's name.
func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

// Reverse is the widest direction an answer may give to an offer of d.
func (d Direction) Reverse() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

// Sends reports whether the side that wrote d sends.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives reports whether the side that wrote d wants to receive.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Format is a codec under the payload type that stands for it.
type Format struct {
	Codec   Codec
	Payload uint8
}

// DefaultEvent is the payload type we offer for telephone events.
const DefaultEvent = 101

// DefaultPtime is the packet length of those who name none.
const DefaultPtime = 20 * time.Millisecond

// Stream is the audio stream of a description that suits us: where its writer
// wants to receive, and in what form.
type Stream struct {
	Codec   Codec         // the one to send
	Payload uint8         // payload type to send it with
	Formats []Format      // every codec common to both sides, in the order written
	Event   uint8         // payload type of telephone events, 0 for none
	Ptime   time.Duration // length of the packets to send: 10 to 60 ms in steps of 10

	RTP   netip.AddrPort // invalid when only a host name or no address is given
	RTCP  netip.AddrPort // as RTP
	Hosts []netip.Addr   // every unicast address the description names
	Null  bool           // the address is 0.0.0.0: hold in the old style
	Mux   bool           // RTCP may come and go on the RTP port (RFC 5761)

	Direction Direction // as written; Null does not change it

	Crypto Crypto // what the writer encrypts with; zero: nothing

	index int // of the m= line
}

// Held reports whether the writer has put us on hold: it does not want to
// hear us.
func (s Stream) Held() bool { return s.Null || !s.Direction.Receives() }

// Expected reports whether sound is to come from the writer for certain: not
// from one who only listens, is inactive or holds us.
func (s Stream) Expected() bool { return s.Direction == SendRecv && !s.Null }

// AnswerDirection is what we answer to this stream: as much as the writer
// allows.
func (s Stream) AnswerDirection() Direction {
	d := s.Direction
	if s.Null && d == SendRecv {
		d = SendOnly
	}
	return d.Reverse()
}
