package sdp

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
)

// Local writes the descriptions of one dialog's media. The version in the o=
// line rises only when something else in the description has changed, so that
// a repeated one is recognised as such (RFC 3264, section 8). It is not safe
// for concurrent use.
type Local struct {
	addr    netip.Addr
	port    uint16
	id      uint64
	version uint64
	last    []byte
}

// NewLocal returns a writer for a stream received on addr and port, RTCP on
// the port after it. id is the session's number in the o= line; any will do
// that differs from call to call and is below 2^62.
func NewLocal(addr netip.Addr, port uint16, id uint64) *Local {
	return &Local{addr: addr.Unmap(), port: port, id: id, version: 1}
}

// Written reports whether an offer or answer was written before.
func (l *Local) Written() bool { return l.last != nil }

// Offer writes an offer of codecs in order of preference, with telephone
// events, 20 ms packets and both directions. keys are the secrets to choose
// among; there must be some unless security is Off.
func (l *Local) Offer(codecs []Codec, security Security, keys []Crypto) ([]byte, error) {
	formats := make([]Format, len(codecs))
	for i, c := range codecs {
		formats[i] = Format{Codec: c, Payload: c.Payload()}
	}
	m := l.audio(formats, DefaultEvent, DefaultPtime, SendRecv)
	if security == Mandatory {
		m.MediaName.Protos = []string{"RTP", "SAVP"}
	}
	if security != Off {
		for _, k := range keys {
			m.WithValueAttribute("crypto", k.attribute())
		}
	}
	return l.write([]*sdp.MediaDescription{m})
}

// Answer writes the answer to offer, in which s was chosen: one codec, the
// offer's payload types and packet length, every other stream declined with
// port 0. Where s is encrypted, key is what we encrypt with; it has the tag and
// the suite of s.
func (l *Local) Answer(offer *Description, s Stream, key Crypto) ([]byte, error) {
	out := make([]*sdp.MediaDescription, len(offer.media))
	for i := range offer.media {
		m := &offer.media[i]
		if i != s.index {
			out[i] = declined(m)
			continue
		}
		out[i] = l.audio([]Format{{Codec: s.Codec, Payload: s.Payload}}, s.Event, s.Ptime, s.AnswerDirection())
		out[i].MediaName.Protos = strings.Split(m.proto, "/")
		if s.Crypto.Suite != 0 {
			out[i].WithValueAttribute("crypto", key.attribute())
		}
		if s.Mux {
			out[i].WithPropertyAttribute("rtcp-mux")
		}
	}
	return l.write(out)
}

func (l *Local) audio(formats []Format, event uint8, ptime time.Duration, dir Direction) *sdp.MediaDescription {
	m := &sdp.MediaDescription{MediaName: sdp.MediaName{
		Media: "audio", Port: sdp.RangedPort{Value: int(l.port)}, Protos: []string{"RTP", "AVP"},
	}}
	for _, f := range formats {
		p := strconv.Itoa(int(f.Payload))
		m.MediaName.Formats = append(m.MediaName.Formats, p)
		m.WithValueAttribute("rtpmap", p+" "+f.Codec.String()+"/8000")
	}
	if event != 0 {
		p := strconv.Itoa(int(event))
		m.MediaName.Formats = append(m.MediaName.Formats, p)
		m.WithValueAttribute("rtpmap", p+" telephone-event/8000")
		m.WithValueAttribute("fmtp", p+" 0-15")
	}
	m.WithValueAttribute("ptime", strconv.Itoa(int(ptime/time.Millisecond)))
	m.WithPropertyAttribute(dir.String())
	return m
}

// declined repeats a stream with port 0; its formats have no meaning then, but
// at least one must be there (RFC 3264, section 6).
func declined(m *media) *sdp.MediaDescription {
	formats := m.formats
	if len(formats) == 0 {
		formats = []string{"0"}
	}
	return &sdp.MediaDescription{MediaName: sdp.MediaName{
		Media: m.kind, Protos: strings.Split(m.proto, "/"), Formats: formats,
	}}
}

func (l *Local) write(streams []*sdp.MediaDescription) ([]byte, error) {
	body, err := l.marshal(streams)
	if err != nil {
		return nil, err
	}
	if l.last != nil && !bytes.Equal(body, l.last) {
		l.version++
		if body, err = l.marshal(streams); err != nil {
			return nil, err
		}
	}
	l.last = body
	return bytes.Clone(body), nil
}

func (l *Local) marshal(streams []*sdp.MediaDescription) ([]byte, error) {
	family := "IP4"
	if l.addr.Is6() {
		family = "IP6"
	}
	d := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: l.id, SessionVersion: l.version,
			NetworkType: "IN", AddressType: family, UnicastAddress: l.addr.String(),
		},
		SessionName: "-",
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: family, Address: &sdp.Address{Address: l.addr.String()},
		},
		TimeDescriptions:  []sdp.TimeDescription{{}},
		MediaDescriptions: streams,
	}
	body, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("write session description: %w", err)
	}
	return body, nil
}
