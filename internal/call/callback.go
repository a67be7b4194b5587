package call

import (
	"context"
	"errors"
	"time"

	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/sip"
)

// runCallback works a callback through to its terminal result, attempt after
// attempt. It returns early only when the server shuts down while the call
// waits: the store keeps it for the next start.
func (s *Service) runCallback(c *Call) {
	defer s.callsIn.expect(c.Record().Number, c)()
	for c.waitUntilDue() {
		if !c.followLine() {
			c.finish(noLine(c.Record()))
			return
		}
		if opening := c.closedUntil(time.Now()); opening != nil {
			c.schedule(*opening)
			continue
		}
		if c.expired() {
			c.finish(tooLate())
			return
		}
		if c.Record().State == store.StateScheduled {
			c.enter(store.StateQueued, "its time has come")
		}
		if !c.goOn(s.attemptCallback(c)) {
			return
		}
	}
}

// attemptCallback is one try. What can be waited for or prepared comes first,
// so that nobody is rung in vain.
func (s *Service) attemptCallback(c *Call) outcome {
	plan, problem := s.managerPlan(c)
	if problem != nil {
		return *problem
	}
	if problem := c.clearTheWay(plan); problem != nil {
		return *problem
	}
	release, problem := s.holdCustomer(c)
	if problem != nil {
		return *problem
	}
	defer release()
	free, problem := s.holdPorts(c, plan)
	if problem != nil {
		return *problem
	}
	defer free()
	text, problem := s.renderText(c)
	if problem != nil {
		return *problem
	}
	if c.Record().Request.Mode == CustomerFirst {
		return c.customerFirst(plan, text)
	}
	return c.managerFirst(plan, text)
}

// managerFirst rings the route, speaks the text to whoever accepts, dials the
// customer and bridges the two.
func (c *Call) managerFirst(plan route.Plan, text *g711.Clip) outcome {
	ctx, interrupt := context.WithCancelCause(c.ctx)
	defer interrupt(nil)
	c.mayInterrupt(interrupt)
	defer c.mayInterrupt(nil)

	manager, o := c.reachManager(ctx, plan)
	if manager == nil {
		return o
	}
	defer manager.hangup(errOver)

	if !c.announce(manager, text) {
		return c.managerLeft(manager, retryLater)
	}

	tone := c.waitingTone(manager)
	defer context.AfterFunc(manager.ctx, tone.stop)() // who has gone is sent nothing, however long the dial takes to end
	customer, o := c.reachCustomer(manager.ctx, manager.media.Codec(), tone.progress)
	tone.stop()
	switch {
	case customer == nil && manager.ctx.Err() != nil:
		return c.managerLeft(manager, retryNever)
	case customer == nil:
		c.conclude(o)
		c.tell(manager, o)
		return o
	}
	defer customer.hangup(errOver)
	if manager.ctx.Err() != nil { // the customer's 200 and the manager's BYE have crossed
		return c.offerRest(customer, manager, plan)
	}
	return c.talk(manager, customer)
}

// customerFirst dials the customer, who holds while the route is rung.
func (c *Call) customerFirst(plan route.Plan, text *g711.Clip) outcome {
	c.beginAttempt(store.StateRingingCustomer)
	customer, o := c.reachCustomer(c.ctx, 0, nil)
	switch {
	case customer == nil && c.ctx.Err() != nil:
		return c.stopped()
	case customer == nil:
		return o
	}
	defer customer.hangup(errOver)

	hold := c.onHold(customer)
	defer hold.stop()
	c.enter(store.StateRingingManager, "")
	manager, o := c.ringHolding(customer, plan)
	if manager == nil {
		hold.stop()
		return c.apologise(customer, o)
	}
	defer manager.hangup(errOver)
	heard := c.announce(manager, text)
	hold.stop()
	if !heard {
		return c.offerRest(customer, manager, plan)
	}
	return c.talk(manager, customer)
}

// errOver ends the leg that is still up when the other one is gone.
var errOver = &EndReason{By: store.PartyUs, Q850: causeNormal, Text: "the call is over"}

// reachManager rings the plan until somebody accepts. The attempt begins when
// the first phone is dialled: finding everybody in a call uses none.
func (c *Call) reachManager(ctx context.Context, plan route.Plan) (*leg, outcome) {
	return c.ringManagers(ctx, ctx, plan, func() { c.beginAttempt(store.StateRingingManager) })
}

// ringManagers rings the plan while ctx lasts; who accepts stays for as long as
// life. begin is called before the first phone is dialled; it may be nil.
func (c *Call) ringManagers(ctx, life context.Context, plan route.Plan, begin func()) (*leg, outcome) {
	l, why := c.ringPlan(ctx, ringing{
		role: store.RoleManager, plan: plan, life: life, begin: begin, onlyFree: true,
		caller: caller{number: c.Record().Number, name: "Перезвон: " + c.lineName()},
	})
	switch {
	case l == nil:
		return nil, c.noManager(ctx, why)
	case ctx.Err() != nil:
		l.hangup(errOver)
		return nil, c.noManager(ctx, refusal{err: context.Cause(ctx)})
	}
	c.change("", nil, func(r *store.Call) { r.Manager = c.endpointOf(r, l.id) })
	return l, outcome{}
}

// noManager is the outcome when the route was rung in vain.
func (c *Call) noManager(ctx context.Context, why refusal) outcome {
	o := outcome{
		result: store.ResultManagerUnavailable, code: codeMissed, owner: store.PartyManager,
		reason: "no manager could be reached; the last one: " + why.words(), retry: retryLater,
	}
	var f *sip.Failure
	switch {
	case c.ctx.Err() != nil:
		return c.stopped()
	case endReason(context.Cause(ctx)) == errCallsIn:
		o.reason, o.owner, o.retry = errCallsIn.Text, store.PartyCustomer, retrySoon
	case why.engaged:
		o.retry = retryAtOnce
	case why.busy:
		o.reason, o.retry = "all managers are busy", retryFree
	case errors.As(why.err, &f) && f.Kind == sip.Internal:
		o.owner = store.PartyUs
	}
	return o
}

// announce speaks the text to the manager. Any key skips the rest and goes no
// further. It is false when the manager has gone.
func (c *Call) announce(manager *leg, text *g711.Clip) bool {
	if text != nil {
		c.enter(store.StateAnnouncing, "")
		manager.media.FlushDigits() // the key that accepted the call does not skip the text
		ctx, stop := context.WithTimeout(manager.ctx, c.settings().Announcement)
		defer stop()
		skip := make(chan struct{})
		go func() {
			defer close(skip)
			select {
			case <-manager.media.Digits():
				stop()
			case <-ctx.Done():
			}
		}()
		_, _ = manager.media.Play(ctx, text) // how it ended is in the contexts
		stop()
		<-skip
	}
	manager.media.FlushDigits()
	return manager.ctx.Err() == nil
}

// reachCustomer dials the customer through the line's trunks. When ctx ends
// the phone stops ringing; who picks up in that moment is returned all the
// same.
func (c *Call) reachCustomer(ctx context.Context, prefer media.Codec, progress func(*leg, sip.Progress)) (*leg, outcome) {
	if c.Record().State != store.StateRingingCustomer {
		c.enter(store.StateRingingCustomer, "")
	}
	customer, err := c.dialCustomer(ctx, prefer, progress)
	if err != nil {
		return nil, notReached(err)
	}
	return customer, outcome{}
}

// dialCustomer is reachCustomer for a call that says by itself where it is.
func (c *Call) dialCustomer(ctx context.Context, prefer media.Codec, progress func(*leg, sip.Progress)) (*leg, error) {
	number := c.Record().Number
	customer, _, err := c.dialTrunks(ctx, route.Target{
		Number: route.Dialled(c.svc.set(), c.line().Trunks[0], number), Display: number, Trunks: c.line().Trunks,
	}, c.settings().CustomerRing, ringing{
		role: store.RoleCustomer, life: c.ctx, prefer: prefer, progress: progress, takeCrossed: true,
	})
	failure, _ := errors.AsType[*sip.Failure](err)
	c.change("", nil, func(r *store.Call) {
		r.RingMS = ringTime(r, store.RoleCustomer).Milliseconds()
		// Who picked up while we gave up was reached, too.
		r.CustomerReached = r.CustomerReached || err == nil || failure != nil && failure.Crossed
		if err == nil {
			r.Customer = c.endpointOf(r, customer.id)
		}
	})
	return customer, err
}

// notReached is the outcome when the dial of a customer has failed.
func notReached(err error) outcome {
	if failure, ok := errors.AsType[*sip.Failure](err); ok {
		return customerOutcome(failure)
	}
	return outcome{result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyTrunk, reason: err.Error(), retry: retryLater}
}
