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
