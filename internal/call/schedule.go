package call

import (
	"context"
	"errors"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
)

// soon is the wait before what needs no patience is tried again.
const soon = 5 * time.Second

// waitUntilDue waits for the call's next attempt. It returns false when there
// is none: the call was cancelled, or the server shuts down and the store
// keeps the call.
func (c *Call) waitUntilDue() bool {
	if c.svc.draining.Err() != nil {
		return false
	}
	if next := c.Record().NextAt; next != nil {
		select {
		case <-c.hurry: // came while nothing waited
		default:
		}
		timer := time.NewTimer(time.Until(*next))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.hurry:
			c.asked = true
		case <-c.ctx.Done():
		case <-c.svc.draining.Done():
			return false
		}
	}
	if c.ctx.Err() != nil {
		c.finish(c.stopped())
		return false
	}
	return true
}

// expired reports whether the call may no longer be dialled.
func (c *Call) expired() bool { return time.Now().After(c.Record().Deadline) }

// nextAttempt decides when the call is tried again, if at all. The manager's
// and the customer's side have budgets of their own.
func (c *Call) nextAttempt(o outcome) (time.Time, bool) {
	if o.retry == retryNever {
		return time.Time{}, false
	}
	if o.retry == retrySoon {
		return time.Now().Add(soon), true
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
		if last := i == len(attempts)-1; !last && a.ReasonOwner != o.owner {
			continue
		}
		if a.Asked {
			asked++
		} else {
			used++
		}
	}
	return max(used+max(0, asked-c.settings().Attempts), 1)
}

func (c *Call) settings() configs.Callback { return c.svc.set.CallbackOf(c.line) }

// lineName is what people call the line.
func (c *Call) lineName() string {
	if c.line.Name != "" {
		return c.line.Name
	}
	return c.line.ID
}

// holdCustomer takes the right to call the customer's number: nobody is
// called twice at once. It is taken before the manager is rung, who would
// otherwise be rung for nothing.
func (s *Service) holdCustomer(c *Call) (release func(), problem *outcome) {
	const setup = time.Hour // more than any route rings
	lease, err := s.records.AcquireLease(c.ctx, "customer:"+c.Record().Number, leaseOwner, s.set.Limits.MaxCall+setup)
	switch {
	case errors.Is(err, store.ErrHeld):
		return nil, &outcome{
			result: store.ResultCustomerBusy, code: codeBusy, owner: store.PartyUs,
			reason: "another call of ours is with this number", retry: retrySoon,
		}
	case err != nil && c.ctx.Err() != nil:
		o := c.stopped()
		return nil, &o
	case err != nil:
		c.log.Error("the lease of the customer's number could not be taken", "err", err)
		return nil, &outcome{
			result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs,
			reason: "the store does not answer", retry: retrySoon,
		}
	}
	return func() {
		if s.releaseLease(lease) != nil {
			s.stragglers.Go(func() { s.keepReleasing(lease) })
		}
	}, nil
}

func (s *Service) releaseLease(lease store.Lease) error {
	ctx, cancel := context.WithTimeout(s.quit, soon)
	defer cancel()
	return s.records.ReleaseLease(ctx, lease)
}

// keepReleasing gives a lease back as soon as the store takes it: nobody could
// call the number until then.
func (s *Service) keepReleasing(lease store.Lease) {
	s.log.Warn("the lease of a customer's number could not be given back; it is tried again", "lease", lease.Name)
	tick := time.NewTicker(soon)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.releaseLease(lease) == nil {
				return
			}
		case <-s.draining.Done(): // the next start drops all leases
			return
		}
	}
}
