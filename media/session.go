package media

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/media/g711"
	"perezvon/media/sdp"
)

// Session is the media of one leg. All methods are safe for concurrent use.
type Session struct {
	engine *Engine
	cfg    SessionConfig
	port   uint16
	rtp    Conn
	rtcp   Conn
	kept   keeper // the rtcp socket, where nobody waits for its packets; nil: a goroutine does

	collectAt time.Duration // used by housekeeping alone; when kept is looked at next

	tx     sender
	rx     reception
	lock   lock // used by the RTP reader alone
	events eventReader
	digits chan rune
	remote atomic.Pointer[remote] // what was agreed; nil before
	route  atomic.Pointer[route]  // where received packets go; nil nowhere

	heard     atomic.Int64 // engine time of the last packet from anyone at all
	lastRTP   atomic.Int64 // engine time of the last packet from the locked source
	life      atomic.Int64 // engine time of the last sign of life
	strangers atomic.Uint64

	answered atomic.Int64   // engine time, 0 before; set under mu
	told     sync.WaitGroup // functions of watch that run; added to under mu while not closed
	reports  reports

	mu       sync.Mutex
	watch    Watch         // guarded by mu; what was called is nil
	local    *sdp.Local    // guarded by mu
	closed   atomic.Bool   // set under mu
	closedAt time.Duration // guarded by mu

	announced netip.AddrPort // guarded by mu; last address a description named
	moves     uint           // guarded by mu; how often that changed
}

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

func newSession(e *Engine, cfg SessionConfig, l lease) *Session {
	s := &Session{
		engine: e, cfg: cfg, port: l.port, rtp: l.rtp, rtcp: l.rtcp,
		digits: make(chan rune, 32),
		local:  sdp.NewLocal(cfg.Advertise, l.port, rand.Uint64()>>2),
	}
	s.lock.noisy = l.noisy
	s.tx.init(l.rtp)
	now := e.now()
	s.heard.Store(int64(now))
	s.reports.init(now)
	return s
}

// CreateOffer writes an offer of every codec in both directions. It is for a
// first INVITE as well as for a re-INVITE that came without one.
func (s *Session) CreateOffer() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return nil, fmt.Errorf("create offer: %w", ErrClosed)
	}
	body, err := s.local.Offer(s.engine.codecs(s.cfg.Prefer))
	if err != nil {
		return nil, fmt.Errorf("create offer: %w", err)
	}
	return body, nil
}

// AcceptOffer takes an offer, the first one or that of a re-INVITE, and writes
// the answer, whose o= version rises only when it says something new. The
// codec in use is kept where the offer has it. It fails with ErrSyntax,
// ErrNoAudio or ErrNoCommonCodec and changes nothing then.
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
	prefer := s.cfg.Prefer
	if r := s.remote.Load(); r != nil {
		prefer = r.stream.Codec
	}
	stream, err := s.choose(d, prefer)
	if err != nil {
		return nil, fmt.Errorf("accept offer: %w", err)
	}
	answer, err = s.local.Answer(d, stream)
	if err != nil {
		return nil, fmt.Errorf("accept offer: %w", err)
	}
	s.agree(stream)
	return answer, nil
}

// AcceptAnswer takes the answer to the offer that CreateOffer wrote, or to the
// last description of either kind that was offered again. It may be called
// again for the same offer, as for a 183 and then the 200. It fails with
// ErrNoOffer, ErrSyntax, ErrNoAudio or ErrNoCommonCodec and changes nothing
// then.
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
	stream, err := s.choose(d, 0)
	if err != nil {
		return fmt.Errorf("accept answer: %w", err)
	}
	stream.Mux = false // we do not offer it
	s.agree(stream)
	return nil
}

// choose picks the stream to use. One that names our own port would send our
// sound back to us, and one that names a port of ours for other things to
// those. That of another leg of ours is a call to one of our own lines, whose
// sound the carrier leaves to us; and a port of the media range that we do not
// use may be another program's on this machine.
func (s *Session) choose(d *sdp.Description, prefer Codec) (sdp.Stream, error) {
	stream, err := d.Choose(s.engine.cfg.Codecs, prefer)
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
func (s *Session) agree(stream sdp.Stream) {
	r := newRemote(stream)
	// The old style of hold names no address; resuming with the one before it
	// is no move.
	moved := stream.RTP.IsValid() && stream.RTP != s.announced
	if moved {
		s.announced = stream.RTP
		s.moves++
	}
	r.moves = s.moves
	r.since = s.engine.now()
	r.named = r.since
	if old := s.remote.Load(); old != nil {
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
		"peer", stream.RTP, "direction", stream.Direction.String(), "held", stream.Held())
}

// Codec is the agreed one to send in; zero before there is an agreement.
func (s *Session) Codec() Codec {
	if r := s.remote.Load(); r != nil {
		return r.stream.Codec
	}
	return 0
}

// Held reports whether the other side does not want to hear us at present.
func (s *Session) Held() bool {
	r := s.remote.Load()
	return r != nil && !r.sends
}

// Advertised is the address in our descriptions.
func (s *Session) Advertised() netip.Addr { return s.cfg.Advertise }

// Port is the local RTP port.
func (s *Session) Port() uint16 { return s.port }

// Close ends playback and sending at once. The ports rest and are read on for
// up to ten seconds, so that what is still under way reaches no other call.
// It waits for a function of Watch that is running. Further calls do nothing
// else; the error is always nil.
func (s *Session) Close() error {
	defer s.told.Wait()
	s.mu.Lock()
	if s.closed.Swap(true) {
		s.mu.Unlock()
		return nil
	}
	s.closedAt = s.engine.now()
	s.mu.Unlock()
	s.sendBye()
	s.tx.close()
	s.route.Store(nil)
	return nil
}

// rested reports whether the ports of a closed session can be used again.
func (s *Session) rested(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		return false
	}
	age := now - s.closedAt
	return age >= restMax || age >= restMin && now-time.Duration(s.heard.Load()) >= restSilence
}

func (s *Session) closeSockets() {
	_ = s.rtp.Close()
	_ = s.rtcp.Close()
}
