package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// timing is how a party keeps session timers (RFC 4028).
type timing struct {
	interval  time.Duration // 0: it knows none
	refresher string        // what it asks for or prefers: uac, uas or empty
	forgetful bool          // never refreshes
	reinvite  bool          // refreshes by re-INVITE
	least     time.Duration // Min-SE
}

// SessionTimer lets the party ask for a session of that length, or agree to
// one. The refresher is uac, uas or empty: as a caller it asks for that, as a
// called party it prefers that. Its own refreshes come at half of the time, by
// UPDATE if the other side allows it. A session that the other side does not
// refresh is a violation, and ended.
func SessionTimer(interval time.Duration, refresher string) Step {
	return setting("session timer", func(s *settings) { s.timing.interval, s.timing.refresher = interval, refresher })
}

// RefreshByReinvite makes the party refresh with re-INVITE, not UPDATE.
func RefreshByReinvite() Step {
	return setting("refresh by re-INVITE", func(s *settings) { s.timing.reinvite = true })
}

// NeverRefresh makes the party forget its refreshes. The other side must hang
// up a third of the time, at most 32 s, before the session expires; it is a
// violation if it has not a second later.
func NeverRefresh() Step {
	return setting("never refresh", func(s *settings) { s.timing.forgetful = true })
}

// MinSE refuses shorter sessions with 422: INVITEs to the party, and re-INVITE
// and UPDATE in its calls.
func MinSE(least time.Duration) Step {
	return setting("Min-SE", func(s *settings) { s.timing.least = least })
}

// lease is a session that must be refreshed in time.
type lease struct {
	interval time.Duration
	ours     bool // the party refreshes
	done     chan struct{}
}

// margin is how long before its expiry a session is ended (section 10).
func (l *lease) margin() time.Duration { return min(32*time.Second, l.interval/3) }

// askSession adds what a request asks for: that what is agreed on goes on, if
// something is. mu is held, as in all that follows.
func (p *Party) askSession(m *Message) {
	interval, refresher := p.set.timing.interval, p.set.timing.refresher
	switch {
	case interval == 0:
		return
	case p.lease != nil && p.lease.ours:
		interval, refresher = p.lease.interval, "uac"
	case p.lease != nil:
		interval, refresher = p.lease.interval, "uas"
	}
	m.add("Supported", "timer")
	value := strconv.Itoa(int(interval / time.Second))
	if refresher != "" {
		value += ";refresher=" + refresher
	}
	m.add("Session-Expires", value)
	if p.set.timing.least > 0 {
		m.add("Min-SE", strconv.Itoa(int(p.set.timing.least/time.Second)))
	}
}

// grantSession adds to a 2xx what the party agrees to, and begins to hold the
// other side to it.
func (p *Party) grantSession(req, res *Message) {
	set := p.set.timing
	if set.interval == 0 {
		return
	}
	res.add("Supported", "timer")
	asked, refresher := sessionExpires(req)
	capable := lists(req, "Supported", "timer")
	interval := asked
	switch {
	case asked == 0 && p.lease != nil:
		interval = p.lease.interval
	case asked == 0 && !capable:
		return
	case asked == 0 || asked > set.interval:
		interval = max(set.interval, minSE(req))
	}
	switch {
	case !capable:
		refresher = "uas"
	case refresher == "":
		refresher = set.refresher
	}
	if refresher != "uas" {
		refresher = "uac"
		res.add("Require", "timer")
	}
	res.add("Session-Expires", fmt.Sprintf("%d;refresher=%s", interval/time.Second, refresher))
	p.keepSession(interval, refresher == "uas")
}

// takeSession follows what a 2xx to a request of the party agrees to.
func (p *Party) takeSession(res *Message) {
	interval, refresher := sessionExpires(res)
	p.updates = p.updates || lists(res, "Allow", "UPDATE")
	if p.set.timing.interval > 0 {
		p.keepSession(interval, refresher != "uas")
	}
}

func (p *Party) keepSession(interval time.Duration, ours bool) {
	p.dropSession()
	if interval == 0 {
		return
	}
	l := &lease{interval: interval, ours: ours, done: make(chan struct{})}
	p.lease = l
	p.c.spawn(func() { p.keep(l) })
}

func (p *Party) dropSession() {
	if p.lease != nil {
		close(p.lease.done)
		p.lease = nil
	}
}

// keep waits for the time when something must have happened to the session.
func (p *Party) keep(l *lease) {
	wait := l.interval - l.margin()
	switch {
	case l.ours && p.set.timing.forgetful:
		wait += time.Second
	case l.ours:
		wait = l.interval / 2
	default:
		wait++ // what comes at the last moment has come
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
		return
	case <-p.ctx.Done():
		return
	}
	if l.ours && !p.set.timing.forgetful {
		p.refresh()
		return
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.lease != l || p.stage != confirmed {
		return
	}
	if l.ours {
		p.c.blame(p.invite, "session of %s was not refreshed, and no BYE came in %s", l.interval, wait)
	} else {
		p.c.blame(p.invite, "session of %s was not refreshed in %s", l.interval, wait.Round(time.Second))
	}
	p.sendBye(nil)
}

// refresh keeps the session up.
func (p *Party) refresh() {
	p.c.mu.Lock()
	update := p.updates && !p.set.timing.reinvite
	p.c.mu.Unlock()
	var err error
	if update {
		err = p.Update(p.ctx, false)
	} else {
		err = p.Reinvite(p.ctx, true)
	}
	if err != nil && p.ctx.Err() == nil {
		p.c.notes.blame("%s [%s]: refresh: %v", p.number, p.callID, err)
	}
}

// refuseBrief answers 422 to a request that asks for too short a session.
func (c *Carrier) refuseBrief(tx *serverTx, least time.Duration, tag string) bool {
	if !sessionTooBrief(tx.req, least) {
		return false
	}
	res := tx.response(422, "Session Interval Too Small", tag)
	res.add("Min-SE", strconv.Itoa(int(least/time.Second)))
	if tx.req.Method == "INVITE" {
		c.respondINVITE(tx, res, &final{})
	} else {
		c.respond(tx, res)
	}
	return true
}

func sessionTooBrief(m *Message, least time.Duration) bool {
	asked, _ := sessionExpires(m)
	return asked > 0 && asked < least
}

// sessionExpires reads Session-Expires; 0 without one.
func sessionExpires(m *Message) (interval time.Duration, refresher string) {
	value, _, _ := strings.Cut(m.Get("Session-Expires"), ";")
	n, _ := strconv.Atoi(strings.TrimSpace(value))
	return time.Duration(n) * time.Second, strings.ToLower(param(m.Get("Session-Expires"), "refresher"))
}

func minSE(m *Message) time.Duration {
	n, _ := strconv.Atoi(m.Get("Min-SE"))
	return time.Duration(n) * time.Second
}

// lists reports whether a header names a token.
func lists(m *Message, name, token string) bool {
	return slices.ContainsFunc(m.All(name), func(s string) bool { return strings.EqualFold(s, token) })
}
