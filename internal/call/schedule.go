package call

import (
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
)

// freeAgain is the wait before phones that said they were busy are rung again.
const freeAgain = 30 * time.Second

// soon is the wait before what needs no patience is tried again.
const soon = 5 * time.Second

// waitUntilDue waits for the call's next attempt. It returns false when there
// is none: the call was cancelled, or the server shuts down and the store
// keeps the call.
func (c *Call) waitUntilDue() bool {
	if c.svc.draining.Err() != nil {
		return false
	}
	select {
	case <-c.hurry: // came while nothing waited
	default:
	}
	for due := false; !due && c.ctx.Err() == nil; {
		rec := c.Record()
		if rec.NextAt == nil {
			break
		}
		timer := time.NewTimer(time.Until(*rec.NextAt))
		select {
		case <-timer.C:
			due = true
		case <-c.hurry: // a scheduled call may still have to wait, though less
			c.asked = rec.State == store.StateWaitingRetry
			due = c.asked
		case <-c.ctx.Done():
		case <-c.svc.draining.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
	if c.ctx.Err() != nil {
		c.finish(c.stopped())
		return false
	}
	return true
}

// advance lets a call that waits come earlier: a retry at once, a scheduled
// call at a time before its own. It is false where that changes nothing.
func (c *Call) advance(at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.rec
	switch {
	case r.State == store.StateWaitingRetry:
		return !at.After(time.Now())
	case r.State != store.StateScheduled || r.NextAt == nil || !at.Before(*r.NextAt):
		return false
	}
	r.NextAt, r.Deadline = &at, at.Add(c.settings().TTL)
	c.store(newEvent(r.ID, store.EventCallState, stateData{
		State: r.State, Attempt: len(r.Attempts), NextAt: &at, Text: "the customer has asked again",
	}))
	return true
}

// expired reports whether the call may no longer be dialled.
func (c *Call) expired() bool { return time.Now().After(c.Record().Deadline) }

// tooLate is how a call ends that is expired.
func tooLate() outcome {
	return outcome{
		result: store.ResultExpired, code: codeMissed, owner: store.PartyUs,
		reason: "the time-to-live of the request ran out before it could be dialled",
	}
}

// goOn ends the call with the outcome of an attempt, or lets it wait for the
// next one. It reports whether there is one.
func (c *Call) goOn(o outcome) bool {
	if o.retry == retryAtOnce {
		return true
	}
	next, again := c.nextAttempt(o)
	if !again {
		c.finish(o)
		return false
	}
	c.wait(o, next)
	return true
}

// nextAttempt decides when the call is tried again, if at all. The manager's
// and the customer's side have budgets of their own; an informational call has
// one.
func (c *Call) nextAttempt(o outcome) (time.Time, bool) {
	if o.retry == retryNever {
		return time.Time{}, false
	}
	switch o.retry {
	case retrySoon:
		return time.Now().Add(soon), true
	case retryFree:
		next := time.Now().Add(freeAgain)
		return next, next.Before(c.Record().Deadline)
	}
	cfg := c.settings()
	used := c.used(o)
	if used >= cfg.Attempts {
		return time.Time{}, false
	}
	delay := soon
	switch {
	case o.retry == retryBusy:
		delay = cfg.BusyRetry
	case len(cfg.Retry) > 0:
		delay = cfg.Retry[min(used, len(cfg.Retry))-1]
	}
	return time.Now().Add(delay), true
}

// used counts the attempts of an outcome's side, the one that has just ended
// included. Those that the customer brought forward by asking again cost
// nothing, as long as they are no more than the planned ones.
func (c *Call) used(o outcome) int {
	attempts := c.Record().Attempts
	used, asked := 0, 0
	for i, a := range attempts {
		if last := i == len(attempts)-1; !last && a.ReasonOwner != o.owner && c.rec.Kind != store.KindInfocall {
			continue
		}
		switch {
		case a.Waited && i < len(attempts)-1:
		case a.Asked:
			asked++
		default:
			used++
		}
	}
	return max(used+max(0, asked-c.settings().Attempts), 1)
}

// settings are the timers and budgets that the call follows. An informational
// call has its own ring time and attempts.
func (c *Call) settings() configs.Callback {
	set := c.svc.set()
	cfg := set.CallbackOf(c.line())
	if c.rec.Kind == store.KindInfocall {
		cfg.CustomerRing, cfg.Attempts = set.Infocall.Ring, set.Infocall.Attempts
	}
	return cfg
}

// lineName is what people call the line.
func (c *Call) lineName() string {
	if c.line().Name != "" {
		return c.line().Name
	}
	return c.line().ID
}
