package call

import (
	"context"

	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media/g711"
	"perezvon/tts"
)

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
		return c.resolved(route.PlanFor(s.set(), c.line(), "").ForCallback()), nil
	}
	plan, err := route.ManagerPlan(s.set(), c.line(), named)
	if err != nil { // the configuration has changed since the request came
		return plan, &outcome{result: store.ResultManagerUnavailable, code: codeMissed, owner: store.PartyUs, reason: err.Error()}
	}
	return plan, nil
}

// holdPorts waits until there are media ports for the whole call.
func (s *Service) holdPorts(c *Call, plan route.Plan) (free func(), problem *outcome) {
	return s.holdPairs(c, s.ports.need(plan))
}

// holdPairs waits until there are n pairs of media ports.
func (s *Service) holdPairs(c *Call, n int64) (free func(), problem *outcome) {
	ctx, cancel := context.WithDeadline(c.ctx, c.Record().Deadline)
	defer cancel()
	ctx, done := joined(ctx, s.draining)
	defer done()
	free, err := s.ports.hold(ctx, n)
	switch {
	case err == nil:
		return free, nil
	case c.ctx.Err() != nil:
		o := c.stopped()
		return nil, &o
	default: // its time is over, or the server shuts down: the next look at the call tells
		return nil, &outcome{
			result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyUs,
			reason: noPorts, retry: retrySoon,
		}
	}
}
