package media

import "time"

// beat is how often housekeeping looks at every session.
const beat = 250 * time.Millisecond

// housekeeping does what happens every few seconds for all sessions: reports,
// watches, opening locks after silence, ending the rest of ports. Without
// sessions it waits without a timer.
func (e *Engine) housekeeping() {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	var all []*Session
	for {
		all = e.all(all[:0])
		if len(all) == 0 {
			timer.Stop()
			select {
			case <-e.done:
				return
			case <-e.wake:
			}
		}
		timer.Reset(beat)
		select {
		case <-e.done:
			return
		case <-timer.C:
		}
		now := e.now()
		for i, s := range all {
			e.look(s, now)
			all[i] = nil
		}
	}
}

func (e *Engine) all(into []*Session) []*Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.sessions {
		into = append(into, s)
	}
	return into
}

func (e *Engine) look(s *Session, now time.Duration) {
	s.collectRTCP(now)
	if s.closed.Load() {
		if s.rested(now) {
			e.release(s)
		}
		return
	}
	if s.tx.settled.Load() && now-time.Duration(s.lastRTP.Load()) >= lockSilence {
		s.tx.unsettle()
	}
	s.report(now)
	s.listen(now)
}

// Watch is told of the silence of an answered leg while sound is to be
// expected. RTCP and comfort noise are no silence; the time on hold, or with a
// side that only listens, does not count.
//
// Each function is called at most once, in a goroutine of its own that holds
// no lock of the session. No call begins or goes on after Close has returned:
// Close waits for one that runs. Therefore the functions must not block, must
// not close the session or its engine, and must not wait for a lock under
// which somebody does. Everything else of the session is theirs to use. Either
// may be nil.
type Watch struct {
	NoAudio func() // after Config.NoAudioAfter
	Dead    func() // after Config.DeadAfter: there is nobody any more
}

// Answered starts the watch over the leg's silence. Only the first call counts.
func (s *Session) Answered(w Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered.Load() == 0 {
		s.watch = w
		s.answered.Store(int64(max(s.engine.now(), 1)))
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
