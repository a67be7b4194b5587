// Package media moves the sound of calls: RTP sessions, paths between two of
// them, playback, ringback, digits, recordings and counters.
//
// An Engine owns a range of UDP ports. Engine.Open gives a leg its Session,
// which makes and takes session descriptions and reads its sockets from the
// moment it opens. Engine.Connect relays between two sessions: packets are
// rewritten in the buffer they were read into and sent on, nothing is decoded,
// buffered or allocated. Each leg has one sender state, so that SSRC, sequence
// numbers and timestamps go on without a jump from prompt to conversation and
// back.
//
// Goroutines: one per socket, one pacer for all playback, one for everything
// that happens every few seconds, one per recording; a Watch is told from one
// that ends at once. All end with the Engine.
package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/media/g711"
	"perezvon/media/sdp"
)

// Codec is an audio coding; the zero value is none.
type Codec = sdp.Codec

// The codecs, both of G.711 with 8000 samples a second.
const (
	PCMA = sdp.PCMA
	PCMU = sdp.PCMU
)

// ParseCodec finds a codec by its name, PCMA or PCMU, in any case.
func ParseCodec(name string) (Codec, bool) { return sdp.ParseCodec(name) }

// Errors of this package.
var (
	ErrClosed        = errors.New("media session closed")
	ErrInterrupted   = errors.New("replaced by another sound")
	ErrNoPorts       = errors.New("no free media port")
	ErrNoOffer       = errors.New("answer without an offer")
	ErrSyntax        = sdp.ErrSyntax        // the description cannot be read: SIP 400
	ErrNoAudio       = sdp.ErrNoAudio       // no audio stream, or it is declined: SIP 488
	ErrNoCommonCodec = sdp.ErrNoCommonCodec // SIP 488
	ErrEncrypted     = sdp.ErrEncrypted     // encrypted sound alone is offered, and SRTP is off: SIP 488
	ErrNotEncrypted  = sdp.ErrNotEncrypted  // SRTP is mandatory and not offered, or not in a form we know: SIP 488
)

// Security says whether the sound of a leg is encrypted: SRTP with keys that
// cross in the descriptions (RFC 4568).
type Security = sdp.Security

// The modes: plain sound alone, encrypted where the other side can, encrypted
// or not at all.
const (
	Off       = sdp.Off
	Preferred = sdp.Preferred
	Mandatory = sdp.Mandatory
)

// ParseSecurity finds a mode by its name: off, preferred or mandatory.
func ParseSecurity(name string) (Security, bool) { return sdp.ParseSecurity(name) }

// sampleRate is that of G.711, and the RTP clock, in samples per second.
const sampleRate = g711.SampleRate

// Config describes an Engine.
type Config struct {
	// BindIP is the address that sockets are bound to; invalid means every
	// IPv4 address.
	BindIP netip.Addr
	// Ports is the inclusive range of UDP ports. Each leg takes an even one
	// for RTP and the odd one above it for RTCP.
	Ports struct{ First, Last uint16 }
	// Reserved are the UDP ports of this process, on any of its addresses, that
	// are no media, such as those of SIP: no sound is sent there.
	Reserved []uint16
	// Codecs are offered and accepted, in order of preference; none means
	// PCMA, then PCMU.
	Codecs []Codec
	// Listen opens a socket; nil means real UDP.
	Listen func(ctx context.Context, addr netip.AddrPort) (Conn, error)
	// NoAudioAfter and DeadAfter bound the silence of an answered leg, see
	// Watch. Zero means 5 s and 60 s.
	NoAudioAfter, DeadAfter time.Duration
	// OnMilestone is told what happens to the sound of each leg now and then,
	// in whatever goroutine it happens. It must not block, nor call the engine
	// or its sessions. May be nil.
	OnMilestone func(Milestone)
	// Logger gets what an operator may want to know; nil means nowhere.
	Logger *slog.Logger
}

// Engine is the media of one process.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	epoch    time.Time
	ports    *ports
	pacer    *pacer
	ringback func() *g711.Clip
	scratch  sync.Pool     // buffers of sockets, see drainer
	sources  atomic.Uint64 // last number given to something that sends into a leg
	wake     chan struct{} // tells housekeeping that there is a session
	done     chan struct{}
	wg       sync.WaitGroup // sockets' readers, pacer, housekeeping

	mu       sync.Mutex
	closed   bool                  // guarded by mu
	sessions map[*Session]struct{} // guarded by mu; open and resting ones
}

// New starts an engine.
func New(cfg Config) (*Engine, error) {
	if !cfg.BindIP.IsValid() {
		cfg.BindIP = netip.IPv4Unspecified()
	}
	if len(cfg.Codecs) == 0 {
		cfg.Codecs = []Codec{PCMA, PCMU}
	}
	for _, c := range cfg.Codecs {
		if c.String() == "" {
			return nil, fmt.Errorf("media: unknown codec %d", c)
		}
	}
	if cfg.NoAudioAfter <= 0 {
		cfg.NoAudioAfter = 5 * time.Second
	}
	if cfg.DeadAfter <= 0 {
		cfg.DeadAfter = time.Minute
	}
	if cfg.Listen == nil {
		cfg.Listen = listenUDP
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	pool, err := newPorts(cfg.Ports.First, cfg.Ports.Last)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	e := &Engine{
		cfg:      cfg,
		log:      cfg.Logger,
		epoch:    time.Now(),
		ports:    pool,
		ringback: sync.OnceValue(ringbackTone),
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		sessions: make(map[*Session]struct{}),
	}
	e.pacer = newPacer(e.now)
	e.wg.Go(e.pacer.run)
	e.wg.Go(e.housekeeping)
	return e, nil
}

// now is the engine's monotonic clock.
func (e *Engine) now() time.Duration { return time.Since(e.epoch) }

// Ports returns how many port pairs are taken, by open sessions and by closed
// ones whose ports rest, and how many there are in all.
func (e *Engine) Ports() (inUse, total int) { return e.ports.count() }

// Sessions returns how many sessions are open.
func (e *Engine) Sessions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for s := range e.sessions {
		if !s.closed.Load() {
			n++
		}
	}
	return n
}

// Close closes every session, frees all ports at once and waits until every
// goroutine has ended.
func (e *Engine) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
	all := make([]*Session, 0, len(e.sessions))
	for s := range e.sessions {
		all = append(all, s)
	}
	e.mu.Unlock()
	for _, s := range all {
		_ = s.Close()
		e.release(s)
	}
	e.pacer.close()
	e.wg.Wait()
	return nil
}

// SessionConfig describes one leg's media.
type SessionConfig struct {
	// Advertise is the address written into descriptions; invalid means the
	// engine's BindIP, which must be a real address then.
	Advertise netip.Addr
	// Prefer is the codec to offer first and to answer with where possible,
	// for example that of the other leg; zero means the engine's order in
	// offers and the caller's in answers.
	Prefer Codec
	// SRTP says whether the sound is encrypted; zero is Off.
	SRTP Security
}

// Open takes a pair of ports for a leg. Its sockets are read from now on;
// what comes before a description names the other side is thrown away. It
// fails with ErrNoPorts when every pair is taken.
func (e *Engine) Open(ctx context.Context, cfg SessionConfig) (*Session, error) {
	if !cfg.Advertise.IsValid() {
		cfg.Advertise = e.cfg.BindIP
	}
	if cfg.Advertise.IsUnspecified() {
		return nil, errors.New("open media session: no address to advertise")
	}
	lease, err := e.ports.take(func(port uint16) (rtp, rtcp Conn, err error) {
		return e.listenPair(ctx, port)
	})
	if err != nil {
		return nil, fmt.Errorf("open media session: %w", err)
	}
	s := newSession(e, cfg, lease)
	if k, ok := lease.rtcp.(keeper); ok && k.keep() == nil {
		s.kept = k
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		s.closeSockets()
		e.ports.free(lease.port, netip.AddrPort{})
		return nil, fmt.Errorf("open media session: %w", ErrClosed)
	}
	e.sessions[s] = struct{}{}
	e.wg.Go(s.receiveRTP)
	if s.kept == nil {
		e.wg.Go(s.receiveRTCP)
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return s, nil
}

func (e *Engine) listenPair(ctx context.Context, port uint16) (rtp, rtcp Conn, err error) {
	if rtp, err = e.cfg.Listen(ctx, netip.AddrPortFrom(e.cfg.BindIP, port)); err != nil {
		return nil, nil, err
	}
	if rtcp, err = e.cfg.Listen(ctx, netip.AddrPortFrom(e.cfg.BindIP, port+1)); err != nil {
		_ = rtp.Close()
		return nil, nil, err
	}
	return rtp, rtcp, nil
}

// release ends the rest of a closed session's ports.
func (e *Engine) release(s *Session) {
	e.mu.Lock()
	_, known := e.sessions[s]
	delete(e.sessions, s)
	e.mu.Unlock()
	if !known {
		return
	}
	s.closeSockets()
	var noisy netip.AddrPort
	if e.now()-time.Duration(s.heard.Load()) < restSilence {
		noisy = s.tx.target()
	}
	e.ports.free(s.port, noisy)
}

// codecs is the engine's list with prefer in front.
func (e *Engine) codecs(prefer Codec) []Codec {
	out := make([]Codec, 0, len(e.cfg.Codecs))
	for _, c := range e.cfg.Codecs {
		if c == prefer {
			out = append(out, c)
		}
	}
	for _, c := range e.cfg.Codecs {
		if c != prefer {
			out = append(out, c)
		}
	}
	return out
}

// samples is d in samples.
func samples(d time.Duration) uint32 {
	return uint32(int64(d) * sampleRate / int64(time.Second))
}

// length is how long n samples last.
func length(n int) time.Duration { return time.Duration(n) * time.Second / sampleRate }

func law(c Codec) g711.Law {
	if c == PCMU {
		return g711.ULaw
	}
	return g711.ALaw
}

// random32 is for SSRCs and the starts of sequences: hard to guess for those
// who cannot see the packets, which rand/v2's ChaCha8 provides.
func random32() uint32 { return rand.Uint32() }
