package call

import (
	"context"
	"sync"
	"time"

	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/tts"
)

// offerTime is how long a customer who has answered holds for the rest of the
// route, when the manager has gone.
const offerTime = 15 * time.Second

// offerRest is for a customer who is on the line while the manager has hung
// up: the others of the route get the call, at once and without the text. If
// nobody takes it the customer hears an apology.
func (c *Call) offerRest(customer, gone *leg, plan route.Plan) outcome {
	o := c.managerLeft(gone, retryNever)
	if c.ctx.Err() != nil || customer.ctx.Err() != nil {
		return o
	}
	c.mayInterrupt(nil)
	gone.hangup(errOver)
	rest := after(plan, gone.to)
	if len(rest.Steps) == 0 || rest.Steps[0].Kind == route.Hangup {
		return c.apologise(customer, o)
	}
	c.enter(store.StateRingingManager, "the manager hung up when the customer answered: the rest of the route is rung")
	hold := c.onHold(customer)
	defer hold.stop()
	ctx, stop := context.WithTimeoutCause(customer.ctx, offerTime, errOffered)
	defer stop()
	manager, _ := c.ringManagers(ctx, c.ctx, rest, nil)
	hold.stop()
	if manager == nil {
		return c.apologise(customer, o)
	}
	defer manager.hangup(errOver)
	return c.talk(manager, customer)
}

// holdLimit is how long a customer holds for managers who have got into other
// calls meanwhile.
const holdLimit = time.Minute

// ringHolding rings the route for a customer who holds.
func (c *Call) ringHolding(customer *leg, plan route.Plan) (*leg, outcome) {
	limit := time.NewTimer(holdLimit)
	defer limit.Stop()
	for {
		manager, o := c.ringManagers(customer.ctx, c.ctx, plan, nil)
		if manager != nil || o.retry != retryAtOnce {
			return manager, o
		}
		o.reason = "all managers are in other calls"
		free, leave := c.svc.presence.await(phonesOf(plan))
		if free == nil {
			continue
		}
		select {
		case <-free:
			leave()
		case <-customer.ctx.Done():
			leave()
			return nil, c.noManager(customer.ctx, refusal{err: context.Cause(customer.ctx)})
		case <-limit.C:
			leave()
			return nil, o
		}
	}
}

// errOffered ends the ringing of the rest of the route.
var errOffered = &EndReason{By: store.PartyUs, Q850: causeNoAnswer, Text: "nobody took the call in time"}

// after is what is left of a plan when one of its phones has come and gone:
// the others of its step that were not tried before it, and the steps behind.
func after(plan route.Plan, gone target) route.Plan {
	for i, s := range plan.Steps {
		for j, t := range s.Targets {
			if !gone.is(t) {
				continue
			}
			rest := route.Plan{}
			others := s
			others.Targets = append([]route.Target(nil), s.Targets[j+1:]...)
			if s.Strategy == route.All {
				others.Targets = append(others.Targets, s.Targets[:j]...)
			}
			if len(others.Targets) > 0 {
				rest.Steps = append(rest.Steps, others)
			}
			rest.Steps = append(rest.Steps, plan.Steps[i+1:]...)
			return rest
		}
	}
	return plan
}

// apologise is the end for a customer who held in vain.
func (c *Call) apologise(customer *leg, o outcome) outcome {
	switch {
	case c.ctx.Err() != nil:
		return c.stopped()
	case customer.ctx.Err() != nil:
		o.result, o.code, o.owner = store.ResultAbandoned, codeMissed, store.PartyCustomer
		o.reason, o.hangupBy = "the customer hung up while holding", store.PartyCustomer
	default:
		_, _ = customer.media.Play(customer.ctx, c.svc.prompts.clip(customer.ctx, tts.PhraseApology))
		customer.hangup(errOver)
		o.hangupBy = store.PartyUs
	}
	o.retry = retryNever // nobody who was reached is called again
	return o
}

// holding is what a customer hears who waits for a manager: a sentence, then
// ringback.
type holding struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (c *Call) onHold(l *leg) *holding {
	ctx, cancel := context.WithCancel(l.ctx)
	h := &holding{cancel: cancel}
	h.done.Go(func() {
		_, _ = l.media.Play(ctx, c.svc.prompts.clip(ctx, tts.PhraseHold))
		if ctx.Err() != nil {
			return
		}
		defer l.media.Ringback()()
		<-ctx.Done()
	})
	return h
}

// stop ends what is heard and waits until it has ended. It is idempotent.
func (h *holding) stop() {
	h.cancel()
	h.done.Wait()
}
