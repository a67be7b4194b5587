package media

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"perezvon/media/g711"
	"perezvon/media/sdp"
)

// remote is one agreement, never changed once it is in force.
type remote struct {
	stream   sdp.Stream
	law      g711.Law      // to send in
	payload  uint8         // to send with
	event    uint8         // payload type to send events with, 0 none
	frame    int           // samples in a packet of ours
	moves    uint          // how often descriptions have named a new address
	named    time.Duration // engine time of the first one that named the present address
	sends    bool          // they want to hear us
	expected bool          // they are to be heard for certain
	since    time.Duration // engine time since when that is so
	kinds    [128]kind     // what their payload types stand for
	cipher   *cipher       // nil: plain sound
}

func newRemote(s sdp.Stream) *remote {
	r := &remote{
		stream: s, law: law(s.Codec), payload: s.Payload, event: s.Event,
		frame: int(samples(s.Ptime)), sends: !s.Held(), expected: s.Expected(),
	}
	r.kinds[sdp.PCMA.Payload()], r.kinds[sdp.PCMU.Payload()] = kindALaw, kindULaw
	r.kinds[13] = kindNoise
	for _, f := range s.Formats {
		r.kinds[f.Payload] = kindALaw
		if f.Codec == PCMU {
			r.kinds[f.Payload] = kindULaw
		}
	}
	if s.Event != 0 {
		r.kinds[s.Event] = kindEvent
		// Who was offered 101 and answers with a number of his own may send
		// either.
		if r.kinds[sdp.DefaultEvent] == kindUnknown {
			r.kinds[sdp.DefaultEvent] = kindEvent
		}
	}
	return r
}

// CreateOffer writes an offer of every codec in both directions, with fresh
// keys. It is for a first INVITE as well as for a re-INVITE that came without
// one.
func (s *Session) CreateOffer() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return nil, fmt.Errorf("create offer: %w", ErrClosed)
	}
	var keys []sdp.Crypto
	if s.cfg.SRTP != Off {
		keys = sdp.NewOffer()
	}
	body, err := s.local.Offer(s.engine.codecs(s.cfg.Prefer), s.cfg.SRTP, keys)
	if err != nil {
		return nil, fmt.Errorf("create offer: %w", err)
	}
	s.keys = keys
	return body, nil
}

// AcceptOffer takes an offer, the first one or that of a re-INVITE, and writes
// the answer, whose o= version rises only when it says something new. The
// codec in use is kept where the offer has it, and so are our keys unless the
// other side has changed its own. It fails with ErrSyntax, ErrNoAudio,
// ErrNoCommonCodec, ErrEncrypted or ErrNotEncrypted and changes nothing then.
func (s *Session) AcceptOffer(offer []byte) (answer []byte, err error) {
	d, err := sdp.Parse(offer)
	if err != nil {
		return nil, fmt.Errorf("accept offer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return nil, fmt.Errorf("accept offer: %w", ErrClosed)
	}
	t := s.terms()
	if r := s.remote.Load(); r != nil {
		t.Prefer, t.InForce = r.stream.Codec, r.stream.Crypto
	}
	stream, err := s.choose(d, t)
	if err != nil {
		return nil, fmt.Errorf("accept offer: %w", err)
	}
	key := s.answerKey(stream.Crypto)
	c, err := s.cipherFor(stream.Crypto, key)
	if err != nil {
		return nil, fmt.Errorf("accept offer: %w", err)
	}
	answer, err = s.local.Answer(d, stream, key)
	if err != nil {
		return nil, fmt.Errorf("accept offer: %w", err)
	}
	s.keys = nil
	if c != nil {
		s.keys = []sdp.Crypto{key}
	}
	s.agree(stream, c)
	return answer, nil
}

// AcceptAnswer takes the answer to the offer that CreateOffer wrote, or to the
// last description of either kind that was offered again. It may be called
// again for the same offer, as for a 183 and then the 200. It fails with
// ErrNoOffer, ErrSyntax, ErrNoAudio, ErrNoCommonCodec, ErrEncrypted or
// ErrNotEncrypted and changes nothing then.
func (s *Session) AcceptAnswer(answer []byte) error {
	d, err := sdp.Parse(answer)
	if err != nil {
		return fmt.Errorf("accept answer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return fmt.Errorf("accept answer: %w", ErrClosed)
	}
	if !s.local.Written() {
		return fmt.Errorf("accept answer: %w", ErrNoOffer)
	}
	t := s.terms()
	t.Prefer, t.Answer, t.Keys = 0, true, s.keys
	stream, err := s.choose(d, t)
	if err != nil {
		return fmt.Errorf("accept answer: %w", err)
	}
	var key sdp.Crypto
	if i := slices.IndexFunc(s.keys, func(k sdp.Crypto) bool { return k.Tag == stream.Crypto.Tag }); i >= 0 {
		key = s.keys[i]
	}
	c, err := s.cipherFor(stream.Crypto, key)
	if err != nil {
		return fmt.Errorf("accept answer: %w", err)
	}
	stream.Mux = false // we do not offer it
	s.agree(stream, c)
	return nil
}

// terms are what this leg can agree to.
func (s *Session) terms() sdp.Terms {
	return sdp.Terms{Codecs: s.engine.cfg.Codecs, Prefer: s.cfg.Prefer, Security: s.cfg.SRTP}
}

// choose picks the stream to use. One that names our own port would send our
// sound back to us, and one that names a port of ours for other things to
// those. That of another leg of ours is a call to one of our own lines, whose
// sound the carrier leaves to us; and a port of the media range that we do not
// use may be another program's on this machine.
func (s *Session) choose(d *sdp.Description, t sdp.Terms) (sdp.Stream, error) {
	stream, err := d.Choose(t)
	if err != nil {
		return stream, err
	}
	for _, to := range []netip.AddrPort{stream.RTP, stream.RTCP} {
		if why := s.circular(to); why != "" {
			return stream, fmt.Errorf("%w: %v is %s", ErrNoAudio, to, why)
		}
	}
	return stream, nil
}

// circular says which socket of ours that no sound may go to this is; empty:
// none.
func (s *Session) circular(to netip.AddrPort) string {
	ip, port := to.Addr(), to.Port()
	if ip.IsUnspecified() || ip != s.cfg.Advertise.Unmap() && ip != s.engine.cfg.BindIP.Unmap() {
		return ""
	}
	switch {
	case port&^1 == s.port:
		return "our own port, the sound would go in circles"
	case slices.Contains(s.engine.cfg.Reserved, port):
		return "a port of ours that is not for sound"
	}
	return ""
}

// agree puts an agreement in force. s.mu is held.
func (s *Session) agree(stream sdp.Stream, c *cipher) {
	r := newRemote(stream)
	r.cipher = c
	// The old style of hold names no address; resuming with the one before it
	// is no move.
	moved := stream.RTP.IsValid() && stream.RTP != s.announced
	if moved {
		s.announced = stream.RTP
		s.moves++
		s.reports.forget()
	}
	r.moves = s.moves
	r.since = s.engine.now()
	r.named = r.since
	old := s.remote.Load()
	if old != nil {
		if old.expected {
			r.since = old.since
		}
		if !moved {
			r.named = old.named
		}
	}
	// Sender first: once the reader sees the new agreement it may lock a
	// source under it.
	s.tx.agree(r, moved)
	s.remote.Store(r)
	s.engine.log.Debug("media agreed", "port", s.port, "codec", stream.Codec.String(),
		"peer", stream.RTP, "direction", stream.Direction.String(), "held", stream.Held(), "srtp", c.String())
	s.agreed(old, r)
	s.tellHeld()
}
