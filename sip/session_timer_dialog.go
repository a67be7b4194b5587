package sip

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// session is an agreement in force. It is replaced, never changed, when it is
// refreshed.
type session struct {
	agreement
	expires    time.Time
	timer      *time.Timer
	lengthened bool // a refresh was asked for again at once with a longer interval
}

// hold begins or refreshes the session; one that never expires needs no timer.
// d.mu is held.
func (d *Dialog) hold(g agreement) {
	d.release()
	if g.interval == 0 || d.over {
		return
	}
	s := &session{agreement: g, expires: time.Now().Add(g.interval)}
	wait := g.interval - g.margin()
	if g.ours {
		wait = g.interval / 2 // section 7.2
	}
	d.session = s
	s.timer = d.a.after(wait, func() { d.due(s) })
}

// release ends the session timer. d.mu is held.
func (d *Dialog) release() {
	if d.session != nil {
		d.session.timer.Stop()
		d.session = nil
	}
}

// agreed is the agreement in force. d.mu is held.
func (d *Dialog) agreed() agreement {
	if d.session == nil {
		return agreement{}
	}
	return d.session.agreement
}

// answered takes what the 2xx to our INVITE says of the session, and of what
// the peer understands.
func (d *Dialog) answered(res *sipmsg.Response) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(res)
	d.hold(termsOf(res).granted())
}

// allow notes the least interval that the peer allows.
func (d *Dialog) allow(least time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.minSE = least
}

// learn notes whether the peer takes UPDATE. A message that does not say so
// changes nothing. d.mu is held.
func (d *Dialog) learn(m sipmsg.Message) {
	if len(headersOf(m, "allow")) > 0 {
		d.updates = lists(m, "allow", string(sipmsg.UPDATE))
	}
}

// due is called when the timer of a session fires: at half of it where we
// refresh, else shortly before its end.
func (d *Dialog) due(s *session) {
	d.mu.Lock()
	gone := d.over || d.session != s
	d.mu.Unlock()
	switch {
	case gone:
	case s.ours:
		d.refresh(s)
	default:
		d.lose("the far side did not refresh the call within " + span(s.interval-s.margin()) + " and has probably lost it")
	}
}

// lose ends a dialog whose peer is gone.
func (d *Dialog) lose(why string) {
	d.a.log.Info("sip: the session was lost", "call_id", d.callID, "why", why)
	d.end(Ended{By: ByTimeout, Detail: why, Reasons: []Reason{{Protocol: "Q.850", Cause: 102, Text: "Session timer expired"}}}, true)
}

// refresh asks the peer whether it still knows the call, and does what follows
// from the answer: only silence, 408 and 481 mean that it does not (section
// 10, RFC 3261 12.2.1.2).
func (d *Dialog) refresh(s *session) {
	res, err := d.sendRefresh(s)
	switch {
	case errors.Is(err, ErrClosed):
	case errors.Is(err, errGlare):
		d.again(s, d.backOff())
	case err != nil:
		d.unheard(s, err)
	case res.IsSuccess():
		d.renew(s, res)
	case res.StatusCode == sipmsg.StatusRequestTimeout, res.StatusCode == sipmsg.StatusCallTransactionDoesNotExists:
		d.lose("the far side no longer knew the call when asked (" + strconv.Itoa(res.StatusCode) + " " + plainText(res.Reason) + ")")
	default:
		d.refused(s, res)
	}
}

// unheard is a refresh without any response.
func (d *Dialog) unheard(s *session, err error) {
	f, ok := errors.AsType[*Failure](err)
	switch {
	case ok && f.Kind == NoResponse && !f.stale:
		d.lose("the far side gave no response for " + span(f.Waited) + " when asked whether the call is still up")
	case time.Until(s.expires) <= s.margin():
		d.lose("the far side could not be asked whether the call is still up: " + reasonOf(err))
	default:
		d.a.log.Info("sip: a session could not be refreshed yet", "call_id", d.callID, "why", reasonOf(err))
		d.again(s, min(refreshGap(s), time.Until(s.expires)-s.margin()))
	}
}

// renew takes the 2xx to a refresh.
func (d *Dialog) renew(s *session, res *sipmsg.Response) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == s { // else the peer has refreshed it meanwhile
		d.hold(termsOf(res).granted())
	}
}

// refused goes on after a refusal that says nothing about the dialog: the peer
// is there. What it cannot do is not asked for again, and who finds the interval
// too short gets one longer at once, no more: a Min-SE may grow for ever.
func (d *Dialog) refused(s *session, res *sipmsg.Response) {
	wait := refreshGap(s)
	switch status := res.StatusCode; {
	case status == sipmsg.StatusRequestPending:
		wait = d.backOff()
	case status == tooSmall:
		if d.lengthen(s, res) {
			wait = 0
		}
	case d.stopUpdates():
		wait = 0
	case retryAfterOf(res) > 0:
		wait = min(wait, retryAfterOf(res))
	}
	d.again(s, wait)
}

// lengthen takes the Min-SE of a 422 where it asks for more, within reason, and
// reports whether to ask again at once.
func (d *Dialog) lengthen(s *session, res *sipmsg.Response) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	least := termsOf(res).min
	if least <= max(s.interval, d.minSE) || least > maxMinSE {
		return false
	}
	d.minSE = least
	first := !s.lengthened
	s.lengthened = true
	return first
}

// stopUpdates makes re-INVITE take the place of a refused UPDATE, and reports
// whether it did.
func (d *Dialog) stopUpdates() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.updates
	d.updates = false
	return was
}

// again has the session refreshed after a time, unless somebody else does.
func (d *Dialog) again(s *session, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == s {
		s.timer.Reset(wait)
	}
}

// refreshGap is the time between two tries.
func refreshGap(s *session) time.Duration { return max(10*time.Second, s.interval/8) }

// lists reports whether a header names a token.
func lists(m sipmsg.Message, name, token string) bool {
	return slices.ContainsFunc(optionTags(m, name), func(tag string) bool { return strings.EqualFold(tag, token) })
}
