package media

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

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
	watch    Watch         // guarded by mu; of what is called once, what was is nil
	toldHeld bool          // guarded by mu; what watch knows about hold
	telling  bool          // guarded by mu; it is being told
	local    *sdp.Local    // guarded by mu
	keys     []sdp.Crypto  // guarded by mu; the a=crypto lines of the last description of ours
	closed   atomic.Bool   // set under mu
	closedAt time.Duration // guarded by mu

	announced netip.AddrPort // guarded by mu; last address a description named
	moves     uint           // guarded by mu; how often that changed
}

func newSession(e *Engine, cfg SessionConfig, l lease) *Session {
	s := &Session{
		engine: e, cfg: cfg, port: l.port, rtp: l.rtp, rtcp: l.rtcp,
		digits: make(chan rune, 32),
		local:  sdp.NewLocal(cfg.Advertise, l.port, rand.Uint64()>>2),
	}
	s.lock.noisy = l.noisy
	s.tx.init(l.rtp)
	s.tx.began = func(to netip.AddrPort) { s.milestone(FirstOut, to, 0) }
	now := e.now()
	s.heard.Store(int64(now))
	s.reports.init(now)
	return s
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
	s.milestone(Closed, netip.AddrPort{}, 0)
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
