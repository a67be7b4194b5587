package call

import (
	"context"
	"errors"
	"fmt"

	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media/g711"
	"perezvon/sip"
	"perezvon/tts"
)

// runCallback works a callback through to its terminal result, attempt after
// attempt. It returns early only when the server shuts down while the call
// waits: the store keeps it for the next start.
func (s *Service) runCallback(c *Call) {
	for {
		if !c.waitUntilDue() {
			return
		}
		if c.expired() {
			c.finish(outcome{
				result: store.ResultExpired, code: codeMissed, owner: store.PartyUs,
				reason: "the time-to-live of the request ran out before it could be dialled",
			})
			return
		}
		o := s.attemptCallback(c)
		next, again := c.nextAttempt(o)
		if !again {
			c.finish(o)
			return
		}
		c.wait(o, next)
	}
}

// attemptCallback is one try, from the manager's phone to the end of the talk.
func (s *Service) attemptCallback(c *Call) outcome {
	release, problem := s.holdCustomer(c)
	if problem != nil {
		return *problem
	}
	defer release()

	plan, problem := s.managerPlan(c)
	if problem != nil {
		return *problem
	}
	free, problem := s.holdPorts(c, plan)
	if problem != nil {
		return *problem
	}
	defer free()

	text, problem := s.renderText(c)
	if problem != nil {
		return *problem
	}

	c.beginAttempt(store.StateRingingManager)
	manager, o := s.reachManager(c, plan)
	if manager == nil {
		return o
	}
	defer manager.hangup(errOver)

	if o, ok := c.announce(manager, text); !ok {
		return o
	}

	customer, o := c.reachCustomer(manager)
	if customer == nil {
		c.tell(manager, o)
		return o
	}
	defer customer.hangup(errOver)

	return c.talk(manager, customer)
}

// errOver ends the leg that is still up when the other one is gone.
var errOver = &EndReason{By: store.PartyUs, Q850: causeNormal, Text: "the call is over"}

// renderText makes the sound of the request's text before anybody is rung. A
// callback runs without a speech engine too: a stock sentence stands in.
func (s *Service) renderText(c *Call) (*g711.Clip, *outcome) {
	req := c.Record().Request
	if req.Text == "" {
		return nil, nil
	}
	c.enter(store.StateRendering, "")
	clip, err := s.speech.Render(c.ctx, req.Text, req.Voice)
	switch {
	case c.ctx.Err() != nil:
		o := c.stopped()
		return nil, &o
	case err != nil:
		c.log.Error("the text of a callback cannot be spoken; a stock sentence stands in", "err", err)
		return s.prompts.clip(c.ctx, tts.PhraseSpeechFailed), nil
	}
	return clip, nil
}

// managerPlan is the line's route, or the manager that the request names.
func (s *Service) managerPlan(c *Call) (route.Plan, *outcome) {
	named := c.Record().Request.Manager
	if named == "" {
		return route.PlanFor(s.set, c.line, ""), nil
	}
	plan, err := route.ManagerPlan(s.set, c.line, named)
	if err != nil { // the configuration has changed since the request came
		return plan, &outcome{result: store.ResultManagerUnavailable, code: codeMissed, owner: store.PartyUs, reason: err.Error()}
	}
	return plan, nil
}

// holdPorts waits until there are media ports for the whole call.
func (s *Service) holdPorts(c *Call, plan route.Plan) (free func(), problem *outcome) {
	ctx, cancel := context.WithDeadline(c.ctx, c.Record().Deadline)
	defer cancel()
	ctx, done := joined(ctx, s.draining)
	defer done()
	free, err := s.ports.hold(ctx, s.ports.need(plan))
	switch {
	case err == nil:
		return free, nil
	case c.ctx.Err() != nil:
		o := c.stopped()
		return nil, &o
	default: // its time is over, or the server shuts down: the next look at the call tells
		return nil, &outcome{
			result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyUs,
			reason: "all media ports are in use", retry: retrySoon,
		}
	}
}

// reachManager rings the plan until somebody accepts.
func (s *Service) reachManager(c *Call, plan route.Plan) (*leg, outcome) {
	rec := c.Record()
	l, why := c.ringPlan(c.ctx, ringing{
		role: store.RoleManager, plan: plan,
		caller: caller{number: rec.Number, name: "Перезвон: " + c.lineName()},
	})
	switch {
	case c.ctx.Err() != nil:
		if l != nil {
			l.hangup(errOver)
		}
		return nil, c.stopped()
	case l == nil:
		owner := store.PartyManager
		if f := new(sip.Failure); errors.As(why.err, &f) && f.Kind == sip.Internal {
			owner = store.PartyUs
		}
		return nil, outcome{
			result: store.ResultManagerUnavailable, code: codeMissed, owner: owner,
			reason: "no manager could be reached; the last one: " + why.err.Error(), retry: retryLater,
		}
	}
	c.change("", nil, func(r *store.Call) { r.Manager = endpointOf(r, l.id) })
	return l, outcome{}
}

// announce speaks the text to the manager. Any key skips the rest and goes no
// further.
func (c *Call) announce(manager *leg, text *g711.Clip) (outcome, bool) {
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
	if manager.ctx.Err() != nil {
		return c.managerLeft(manager, retryLater), false
	}
	return outcome{}, true
}

// reachCustomer dials the customer while the manager hears ringback, or what
// the network itself plays. When the manager hangs up, the customer's phone
// stops ringing.
func (c *Call) reachCustomer(manager *leg) (*leg, outcome) {
	c.enter(store.StateRingingCustomer, "")
	rec := c.Record()
	waiting := c.waitingTone(manager)
	defer waiting.stop()
	customer, _, err := c.dialTrunks(manager.ctx, route.Target{
		Number: route.Dialled(c.svc.set, c.line.Trunks[0], rec.Number), Display: rec.Number, Trunks: c.line.Trunks,
	}, c.settings().CustomerRing, ringing{
		role: store.RoleCustomer, prefer: manager.media.Codec(), progress: waiting.progress,
	})
	var failure *sip.Failure
	errors.As(err, &failure)
	c.change("", nil, func(r *store.Call) {
		r.RingMS = ringTime(r, store.RoleCustomer).Milliseconds()
		// Who picked up while we gave up was reached, too.
		r.CustomerReached = err == nil || failure != nil && failure.Crossed
		if err == nil {
			r.Customer = endpointOf(r, customer.id)
		}
	})
	switch {
	case err == nil && manager.ctx.Err() == nil:
		return customer, outcome{}
	case err == nil:
		customer.hangup(errOver)
		return nil, c.managerLeft(manager, retryNever)
	case manager.ctx.Err() != nil:
		return nil, c.managerLeft(manager, retryNever)
	case failure != nil:
		return nil, customerOutcome(failure)
	default:
		return nil, outcome{result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyTrunk, reason: err.Error(), retry: retryLater}
	}
}

// tell says in one sentence why the customer was not reached.
func (c *Call) tell(manager *leg, o outcome) {
	id, ok := sentenceFor[o.result]
	if !ok || manager.ctx.Err() != nil {
		return
	}
	_, _ = manager.media.Play(manager.ctx, c.svc.prompts.clip(manager.ctx, id))
}

// sentenceFor says what the manager is told.
var sentenceFor = map[store.Result]tts.PhraseID{
	store.ResultCustomerBusy:        tts.PhraseCustomerBusy,
	store.ResultCustomerNoAnswer:    tts.PhraseCustomerNoAnswer,
	store.ResultCustomerDeclined:    tts.PhraseCustomerDeclined,
	store.ResultCustomerUnavailable: tts.PhraseCustomerUnavailable,
	store.ResultInvalidNumber:       tts.PhraseInvalidNumber,
	store.ResultDirection:           tts.PhraseDirectionUnavailable,
	store.ResultTrunkFailed:         tts.PhraseTrunkFailed,
}

// managerLeft is the outcome when the manager's leg has gone before the talk.
func (c *Call) managerLeft(manager *leg, retry retryKind) outcome {
	if c.ctx.Err() != nil {
		return c.stopped()
	}
	why := endReason(context.Cause(manager.ctx))
	if why == errNoAudio {
		return outcome{result: store.ResultNoAudio, code: codeOther, owner: store.PartyManager, reason: why.Text, hangupBy: store.PartyUs}
	}
	return outcome{
		result: store.ResultManagerHungUp, code: codeCancelled, owner: store.PartyManager,
		reason: "the manager hung up before the customer answered", hangupBy: store.PartyManager, retry: retry,
	}
}

// stopped is the outcome when the whole call was ended from outside its flow.
func (c *Call) stopped() outcome {
	why := endReason(context.Cause(c.ctx))
	if why == nil {
		why = &EndReason{By: store.PartyUs, Text: fmt.Sprint(context.Cause(c.ctx))}
	}
	if why.Text == errShutdown {
		retry := retrySoon
		if c.Record().CustomerReached { // nobody who was reached is called again
			retry = retryNever
		}
		return outcome{
			result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs, reason: why.Text,
			hangupBy: store.PartyUs, retry: retry,
		}
	}
	return outcome{result: store.ResultCancelled, code: codeCancelled, owner: store.PartyUs, reason: why.Text, hangupBy: why.By}
}
