package media

import (
	"net/netip"
	"time"
)

// Watch is told of what an answered leg's far side does, or does not: of its
// silence while sound is to be expected, and of hold. RTCP and comfort noise
// are no silence; the time on hold, or with a side that only listens, does not
// count.
//
// NoAudio and Dead are called at most once each, Held whenever it changes, one
// call at a time; a hold that is over before it could be told is left out.
// Each runs in a goroutine of its own that holds no lock of the session. No
// call begins or goes on after Close has returned: Close waits for one that
// runs. Therefore the functions must not block, must not close the session or
// its engine, and must not wait for a lock under which somebody does.
// Everything else of the session is theirs to use. Any may be nil.
type Watch struct {
	NoAudio func() // after Config.NoAudioAfter
	Dead    func() // after Config.DeadAfter: there is nobody any more
	// Held is told true when the far side puts us on hold (sendonly, inactive
	// or the address 0.0.0.0; RFC 3264, section 8.4) and false when it resumes.
	// Who holds us from the first moment on is told as well.
	Held func(held bool)
}

// Answered starts the watch. Only the first call counts.
func (s *Session) Answered(w Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered.Load() == 0 {
		noAudio := w.NoAudio
		w.NoAudio = func() {
			s.milestone(Silence, netip.AddrPort{}, 0)
			if noAudio != nil {
				noAudio()
			}
		}
		s.watch = w
		s.answered.Store(int64(max(s.engine.now(), 1)))
		s.tellHeld()
	}
}

// listen measures the silence.
func (s *Session) listen(now time.Duration) {
	rem, answered := s.remote.Load(), time.Duration(s.answered.Load())
	if answered == 0 || rem == nil || !rem.expected {
		return
	}
	quiet := now - max(answered, rem.since, time.Duration(s.life.Load()))
	if quiet >= s.engine.cfg.NoAudioAfter {
		s.tell(&s.watch.NoAudio)
	}
	if quiet >= s.engine.cfg.DeadAfter {
		s.tell(&s.watch.Dead)
	}
}

// tell calls a function of the watch unless that was done.
func (s *Session) tell(f *func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if call := *f; call != nil && !s.closed.Load() {
		*f = nil
		s.told.Go(call)
	}
}

// tellHeld tells the watch whether we are held, if it thinks otherwise and is
// not just being told. s.mu is held.
func (s *Session) tellHeld() {
	if s.watch.Held == nil || s.telling || s.closed.Load() || s.Held() == s.toldHeld {
		return
	}
	s.telling = true
	s.told.Go(func() {
		for held, ok := s.news(); ok; held, ok = s.news() {
			s.watch.Held(held)
		}
	})
}

// news is whether we are held, and whether the watch has yet to hear of it.
func (s *Session) news() (held, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held = s.Held()
	s.telling = held != s.toldHeld && !s.closed.Load()
	s.toldHeld = held
	return held, s.telling
}
