package call

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"perezvon/internal/route"
	"perezvon/internal/store"
)

// look is how often a call that cannot be dialled yet looks again, where
// nothing tells it earlier.
const look = 5 * time.Second

// obstacle is why a call that is due cannot be dialled yet. Waiting for it to
// go uses no attempt and rings nobody.
type obstacle struct {
	why   string          // for people
	final outcome         // when it is still there at the call's deadline
	gone  <-chan struct{} // closed when it may be gone; nil: look again
	leave func()          // when nobody waits for gone any more; may be nil
}

// clearTheWay waits until nothing stands between the call and its dialling.
// It returns an outcome when that cannot be, or must be asked anew.
func (c *Call) clearTheWay(plan route.Plan) *outcome {
	return c.waitOut(func() *obstacle { return c.obstacle(plan) })
}

// waitOut waits until there is no obstacle. It returns an outcome when that
// cannot be, or must be asked anew.
func (c *Call) waitOut(obstacle func() *obstacle) *outcome {
	told := ""
	for {
		o := obstacle()
		if o == nil {
			return nil
		}
		if o.why != told {
			told = o.why
			c.log.Info("a call waits", "why", o.why)
			c.holdUp(o.why)
		}
		over := c.waitFor(o)
		switch {
		case c.ctx.Err() != nil, c.svc.draining.Err() != nil, c.closedUntil(time.Now()) != nil:
			return &outcome{retry: retryAtOnce}
		case over:
			return &o.final
		}
	}
}

// holdUp tells why the call waits: for its turn, or for another try.
func (c *Call) holdUp(why string) {
	state := store.StateQueued
	if c.Record().State == store.StateWaitingRetry {
		state = store.StateWaitingRetry
	}
	c.enter(state, why)
}

// waitFor returns when an obstacle may be gone; true means that the call's
// time is over.
func (c *Call) waitFor(o *obstacle) bool {
	if o.leave != nil {
		defer o.leave()
	}
	deadline := c.Record().Deadline
	left := time.Until(deadline)
	timer := time.NewTimer(min(look, max(0, left)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.gone:
	case <-c.ctx.Done():
	case <-c.svc.draining.Done():
	}
	return !time.Now().Before(deadline)
}

// obstacle returns what stands in the way now, nil if nothing does.
func (c *Call) obstacle(plan route.Plan) *obstacle {
	if why := c.svc.trunksDown(c.line().Trunks); why != "" {
		return &obstacle{why: why, final: outcome{
			result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyTrunk, reason: why,
		}}
	}
	if o := c.customerObstacle(); o != nil {
		return o
	}
	if free, leave := c.svc.presence.await(phonesOf(plan)); free != nil {
		const why = "all managers are in other calls"
		return &obstacle{why: why, gone: free, leave: leave, final: outcome{
			result: store.ResultManagerUnavailable, code: codeMissed, owner: store.PartyManager, reason: why,
		}}
	}
	return nil
}

// customerObstacle returns what stands in the way of the customer's leg now,
// where his trunks work; nil if nothing does.
func (c *Call) customerObstacle() *obstacle {
	if why := c.svc.trunksFull(c.line().Trunks); why != "" {
		return &obstacle{why: why, final: outcome{
			result: store.ResultExpired, code: codeMissed, owner: store.PartyUs, reason: why,
		}}
	}
	if gone, leave := c.svc.callsIn.await(c.Record().Number); gone != nil {
		const why = "the customer is calling in"
		return &obstacle{why: why, gone: gone, leave: leave, final: outcome{
			result: store.ResultExpired, code: codeMissed, owner: store.PartyCustomer, reason: why,
		}}
	}
	return nil
}

// phonesOf lists whom a plan may ring; nobody where it has a number that is
// always free.
func phonesOf(plan route.Plan) []string {
	var phones []string
	for _, s := range plan.Steps {
		for _, t := range s.Targets {
			phone := phoneOf(t)
			if phone == "" {
				return nil
			}
			phones = append(phones, phone)
		}
	}
	return phones
}

// trunksDown says why none of the trunks works; empty: one does, or may.
func (s *Service) trunksDown(names []string) string {
	reasons := make([]string, 0, len(names))
	for _, name := range names {
		state, ok := s.phones.TrunkState(name)
		if !ok || state.Up {
			return ""
		}
		reasons = append(reasons, "trunk "+name+" is down: "+state.Reason)
	}
	return strings.Join(reasons, "; ")
}

// trunksFull says that all of the trunks carry all the calls they may; empty:
// one has room.
func (s *Service) trunksFull(names []string) string {
	reasons := make([]string, 0, len(names))
	for _, name := range names {
		state, ok := s.phones.TrunkState(name)
		if !ok || !state.Full() {
			return ""
		}
		reasons = append(reasons, fmt.Sprintf("trunk %s has all of its %d calls in use", name, state.MaxCalls))
	}
	return strings.Join(reasons, "; ")
}

// working leaves out the trunks that are down, unless all of them are, and puts
// those last that have failed a moment ago or have asked to be left alone.
func (s *Service) working(names []string) []string {
	up, rests := make([]string, 0, len(names)), make(map[string]time.Duration)
	for _, name := range names {
		if s.trunksDown([]string{name}) != "" {
			continue
		}
		up = append(up, name)
		if state, ok := s.phones.TrunkState(name); ok && !state.Rests.IsZero() {
			rests[name] = time.Until(state.Rests)
		}
	}
	if len(up) == 0 {
		return names
	}
	slices.SortStableFunc(up, func(a, b string) int { return cmp.Compare(rests[a], rests[b]) })
	return up
}

// closedUntil returns the line's next opening when it is closed at a time.
// Informational calls are placed at any time.
func (c *Call) closedUntil(at time.Time) *time.Time {
	if c.rec.Kind == store.KindInfocall || c.line().Hours == nil || route.Open(c.line().Hours, at) {
		return nil
	}
	opening, ok := route.NextOpening(c.line().Hours, at)
	if !ok { // the configuration has changed since the request came
		opening = at.Add(MaxAhead)
	}
	return &opening
}

// schedule puts the call aside until its line opens. The time-to-live counts
// from then.
func (c *Call) schedule(opening time.Time) {
	c.change(store.EventCallState, func(r *store.Call) any {
		return stateData{State: r.State, Attempt: len(r.Attempts), NextAt: r.NextAt, Text: textClosed}
	}, func(r *store.Call) {
		r.State, r.NextAt = store.StateScheduled, &opening
		r.Deadline = opening.Add(c.settings().TTL)
	})
}

// setup is longer than any route rings.
const setup = time.Hour

// holdCustomer takes the right to call the customer's number: nobody is
// called twice at once. It is taken before the manager is rung, who would
// otherwise be rung for nothing.
func (s *Service) holdCustomer(c *Call) (release func(), problem *outcome) {
	name := customerLease(c.Record().Number)
	for told := false; ; told = true {
		lease, err := s.records.AcquireLease(c.ctx, name, leaseOwner, s.set().Limits.MaxCall+setup)
		if err == nil {
			return func() { s.giveBack(lease) }, nil
		}
		o := &obstacle{why: "another call of ours is with this number", final: outcome{
			result: store.ResultExpired, code: codeMissed, owner: store.PartyUs, reason: "another call of ours is with this number",
		}}
		if !errors.Is(err, store.ErrHeld) && c.ctx.Err() == nil {
			c.log.Error("the lease of the customer's number could not be taken", "err", err)
			o.why = "the store does not answer"
			o.final = outcome{result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs, reason: o.why}
		}
		if !told {
			c.holdUp(o.why)
		}
		if over := c.waitFor(o); over {
			return nil, &o.final
		}
		if c.ctx.Err() != nil || s.draining.Err() != nil {
			return nil, &outcome{retry: retryAtOnce}
		}
	}
}

// customerLease names the right to call a number.
func customerLease(number string) string { return "customer:" + number }

// giveBack ends the right to call a number, at the latest when the store works
// again.
func (s *Service) giveBack(lease store.Lease) {
	if s.releaseLease(lease) != nil {
		s.stragglers.Go(func() { s.keepReleasing(lease) })
	}
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
