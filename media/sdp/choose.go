package sdp

import (
	"fmt"
	"slices"
	"strings"
)

// Terms are what we can agree to.
type Terms struct {
	Codecs   []Codec // that we speak
	Prefer   Codec   // taken where both sides have it; zero: the writer's first
	Security Security
	// Answer says that the description answers an offer of ours, which had the
	// lines Keys.
	Answer bool
	Keys   []Crypto
	// InForce is the line of the other side that holds at present. It is kept
	// where it is offered again.
	InForce Crypto
}

// Choose picks the first audio stream that suits t, where we may encrypt an
// encrypted one before any other. A stream for a group of listeners, multicast
// or broadcast, is no call and cannot be used. It fails with ErrNoAudio,
// ErrNoCommonCodec, ErrEncrypted or ErrNotEncrypted.
func (d *Description) Choose(t Terms) (Stream, error) {
	failure := ErrNoAudio
	var plain *Stream
	for i := range d.media {
		m := &d.media[i]
		if m.kind != "audio" || m.port == 0 || m.addr.group || !isRTP(m.proto) && !isSRTP(m.proto) {
			continue
		}
		common := m.common(t.Codecs)
		if len(common) == 0 {
			failure = ErrNoCommonCodec
			continue
		}
		crypto, err := m.protection(t)
		if err != nil {
			failure = err
			continue
		}
		s := d.stream(i, common, t.Prefer)
		s.Crypto = crypto
		if crypto.Suite != 0 || t.Security == Off {
			return s, nil
		}
		if plain == nil {
			plain = &s
		}
	}
	if plain == nil {
		return Stream{}, failure
	}
	return *plain, nil
}

// stream describes a m= line with the codecs common to both sides.
func (d *Description) stream(index int, common []Format, prefer Codec) Stream {
	m := &d.media[index]
	s := Stream{
		Codec: common[0].Codec, Payload: common[0].Payload, Formats: common,
		Event: m.event(), Ptime: packetLength(m.ptime, m.maxptime),
		Hosts: slices.Clone(d.hosts), Null: m.addr.null, Mux: m.mux,
		Direction: m.direction, index: index,
	}
	for _, f := range common {
		if f.Codec == prefer {
			s.Codec, s.Payload = f.Codec, f.Payload
			break
		}
	}
	s.RTP, s.RTCP = m.addresses()
	return s
}

func isRTP(proto string) bool {
	return strings.EqualFold(proto, "RTP/AVP") || strings.EqualFold(proto, "RTP/AVPF")
}

func isSRTP(proto string) bool {
	return strings.EqualFold(proto, "RTP/SAVP") || strings.EqualFold(proto, "RTP/SAVPF")
}

// protection is the line of a stream to encrypt with, none for plain sound.
// The profile RTP/AVP with a=crypto lines leaves the choice to us (RFC 8643).
func (m *media) protection(t Terms) (Crypto, error) {
	if t.Security == Off {
		if isSRTP(m.proto) {
			return Crypto{}, ErrEncrypted
		}
		return Crypto{}, nil
	}
	if i := slices.IndexFunc(m.crypto, t.InForce.Same); i >= 0 && !t.Answer {
		return m.crypto[i], nil
	}
	for _, c := range m.crypto {
		if !t.Answer || slices.ContainsFunc(t.Keys, func(k Crypto) bool { return k.Tag == c.Tag && k.Suite == c.Suite }) {
			return c, nil
		}
	}
	lines := len(m.crypto) > 0 || m.unusable != nil
	switch {
	case isSRTP(m.proto), t.Answer && lines && len(t.Keys) > 0: // they encrypt, but we cannot
		return Crypto{}, fmt.Errorf("%w: %w", ErrNotEncrypted, m.withoutKey(t))
	case t.Security == Mandatory:
		if lines {
			return Crypto{}, fmt.Errorf("%w: %w", ErrNotEncrypted, m.withoutKey(t))
		}
		return Crypto{}, fmt.Errorf("%w, and srtp is mandatory here: turn SRTP on at the other side, or write srtp: preferred", ErrNotEncrypted)
	}
	return Crypto{}, nil
}

// withoutKey says why there is no line to encrypt with.
func (m *media) withoutKey(t Terms) error {
	switch {
	case t.Answer && len(m.crypto) > 0:
		return errCryptoAnswer
	case m.unusable != nil:
		return m.unusable
	}
	return errCryptoNone
}
