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
		timer := time.NewTimer(time.Until(*next))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.hurry:
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
	used := 1 // the attempt that has just ended is not in the record yet
	for _, a := range c.Record().Attempts {
		if a.EndedAt != nil && a.ReasonOwner == o.owner {
			used++
		}
	}
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
func (s *Service) holdCustomer(c *Call) (release func(), held bool) {
	const setup = time.Hour // more than any route rings
	lease, err := s.records.AcquireLease(c.ctx, "customer:"+c.Record().Number, leaseOwner, s.set.Limits.MaxCall+setup)
	if err != nil {
		if !errors.Is(err, store.ErrHeld) {
			c.log.Error("the lease of the customer's number could not be taken", "err", err)
		}
		return nil, false
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := s.records.ReleaseLease(ctx, lease); err != nil {
			c.log.Warn("the lease of the customer's number could not be given back", "err", err)
		}
	}, true
}
