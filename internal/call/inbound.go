package call

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/sip"
)

// Incoming takes one INVITE of a known peer and returns when its call is over.
// ctx ends when the caller cancels.
func (s *Service) Incoming(ctx context.Context, in *sip.Incoming) {
	line, trunk, dialled, ok := s.lineOf(in)
	switch {
	case s.draining.Err() != nil:
		s.refuse(in, 503, "the server shuts down")
		return
	case in.MaxForwards() <= 1: // what we dial would have none left
		s.refuse(in, 483, "the call went round in circles; look at the forwards of all machines it passes")
		return
	case in.Extension != "":
		s.fromPhone(ctx, in)
		return
	case !ok:
		s.refuse(in, 404, fmt.Sprintf("no line of trunk %q has the number %q; see lines[].number", in.Trunks, in.Called))
		return
	}
	room := in.Claim(trunk)
	open := route.Open(line.Hours, time.Now())
	plan := route.PlanFor(s.set(), line, dialled)
	if !open {
		plan = route.OtherwisePlan(s.set(), line, dialled)
	}
	c := s.admitInbound(line, in)
	if c == nil {
		return
	}
	s.run(c, func(c *Call) {
		if !room {
			why := "all calls of trunk " + trunk + " are in use"
			s.refuse(in, 486, why+"; see trunks[].max_calls")
			c.finish(outcome{result: store.ResultMissed, code: codeTrunk, owner: store.PartyUs, reason: why})
			return
		}
		defer s.callsIn.begin(c.rec.Number)()
		free, ok := s.ports.tryHold(s.ports.need(plan))
		if !ok {
			s.refuse(in, 503, noPorts+"; see media.ports")
			c.finish(outcome{result: store.ResultMissed, code: codeTrunk, owner: store.PartyUs, reason: noPorts})
			return
		}
		defer free()
		if !open {
			c.decide("the line is closed: calls take its otherwise route")
		}
		o := s.serveInbound(ctx, c, in, trunk, plan)
		if !open && (o.result == store.ResultMissed || o.result == store.ResultBusy) {
			o.result, o.code = store.ResultOutOfHours, codeMissed
		}
		c.finish(o)
	})
}

// lineOf finds the line that was called and the number that was dialled. A
// call to the contact that we registered names our account, and the number
// dialled in To; an account without any other number has one line.
func (s *Service) lineOf(in *sip.Incoming) (line *configs.Line, trunk, dialled string, ok bool) {
	account := slices.IndexFunc(in.Trunks, func(name string) bool {
		t := s.set().Trunk(name)
		return t != nil && t.Register && t.Username == in.Called
	})
	numbers := in.Numbers()
	if account >= 0 {
		numbers = append([]string{in.ToUser}, numbers...)
	}
	for _, dialled = range numbers {
		if line, trunk, ok = route.MatchLine(s.set().Lines, in.Trunks, dialled); ok {
			return line, trunk, dialled, true
		}
	}
	if account < 0 {
		return nil, "", "", false
	}
	trunk = in.Trunks[account]
	set := s.set()
	for i := range set.Lines {
		if l := &set.Lines[i]; slices.Contains(l.Trunks, trunk) {
			if line != nil {
				return nil, "", "", false
			}
			line = l
		}
	}
	return line, trunk, in.ToUser, line != nil
}

// admitInbound stores the call and takes it into the service's care; nil means
// that the caller was refused. It is no part of Incoming, whose stack stays as
// long as the call.
func (s *Service) admitInbound(line *configs.Line, in *sip.Incoming) *Call {
	rec, err := s.storeInbound(line, in)
	if err != nil {
		s.log.Error("an inbound call could not be stored", "line", line.ID, "err", err)
		s.refuse(in, 503, "the store does not answer")
		return nil
	}
	in.Bind(sip.DialogRef{Call: rec.ID})
	c := newCall(s, line, rec)
	if !s.adopt(c) {
		s.refuse(in, 503, "the server shuts down")
		c.finish(outcome{result: store.ResultMissed, code: codeTrunk, owner: store.PartyUs, reason: errShutdown})
		return nil
	}
	return c
}

// origin says for the log where an INVITE comes from: a phone, or trunks.
func origin(in *sip.Incoming) (key string, value any) {
	if in.Extension != "" {
		return "extension", in.Extension
	}
	return "trunks", in.Trunks
}

// refuse answers an INVITE that makes no call.
func (s *Service) refuse(in *sip.Incoming, status int, why string) {
	if more, ok := s.refusals.allow(); ok {
		key, from := origin(in)
		s.log.Warn("inbound call refused", "status", status, "called", in.Called, key, from, "why", why, "not_logged", more)
	}
	if err := in.RejectRetry(status, "", retryAfterDrain); err != nil {
		s.log.Warn("the refusal could not be sent", "err", err)
	}
}

// storeInbound makes the record. Rule: journal before effect.
func (s *Service) storeInbound(line *configs.Line, in *sip.Incoming) (store.Call, error) {
	number := in.From
	if !s.set().AllRaw(line) {
		if e164, err := s.numbers().Parse(in.From); err == nil {
			number = e164
		}
	}
	now := time.Now()
	rec := store.Call{
		ID: newID(), Kind: store.KindInbound, State: store.StateRinging, Line: line.ID, Number: number,
		CreatedAt: now, Deadline: now, Attempts: []store.Attempt{{N: 1, StartedAt: now}},
	}
	// A caller who gives up at this moment has called all the same.
	rec, _, err := s.records.CreateCall(s.quit, rec, store.Admission{}, newEvent(rec.ID, store.EventCallCreated, createdData{
		Kind: rec.Kind, Line: rec.Line, Number: rec.Number,
	}))
	return rec, err
}

// serveInbound takes the line's route and bridges the caller with whoever
// accepts. What comes before the talk is done elsewhere: this stack stays as
// long as the call.
func (s *Service) serveInbound(ctx context.Context, c *Call, in *sip.Incoming, trunk string, plan route.Plan) outcome {
	callerLeg, callee, failed := c.connectInbound(ctx, in, trunk, plan)
	if failed != nil {
		return *failed
	}
	defer callee.hangup(errOver)
	defer callerLeg.hangup(errOver)
	return c.talk(callee, callerLeg)
}

// connectInbound answers the caller once somebody has accepted. Without an
// outcome both legs are up.
func (c *Call) connectInbound(ctx context.Context, in *sip.Incoming, trunk string, plan route.Plan) (callerLeg, callee *leg, failed *outcome) {
	callerLeg, err := c.callerLeg(ctx, in, trunk)
	if err != nil {
		o := c.unservable(in, err)
		return nil, nil, &o
	}
	ctx, done := joined(ctx, callerLeg.ctx) // which ends with the call
	defer done()
	r := &reception{call: c, in: in, caller: callerLeg, tone: &callerTone{call: c, in: in, caller: callerLeg}}
	defer r.tone.stop()

	callee, why := c.ringPlan(ctx, ringing{
		role: store.RoleCallee, plan: plan,
		caller:   caller{number: c.Record().Number, name: in.FromDisplay},
		prefer:   callerLeg.media.Codec(),
		progress: r.tone.progress,
		hops:     in.MaxForwards() - 1,
		life:     c.ctx,
		speak:    r.speak,
	})
	if callee == nil {
		o := r.turnAway(ctx, why)
		return nil, nil, &o
	}
	r.tone.stop()
	if failed := r.pickUp(ctx); failed != nil {
		callee.hangup(errOver)
		return nil, nil, failed
	}
	c.svc.callsIn.answered(c.Record().Number)
	c.note(func(r *store.Call) {
		r.Manager, r.Customer = c.endpointOf(r, callee.id), c.endpointOf(r, callerLeg.id)
		r.RingMS = time.Since(r.CreatedAt).Milliseconds()
	})
	return callerLeg, callee, nil
}

// unservable refuses a caller whose leg cannot be opened: for want of a codec
// of ours, or of means of ours.
func (c *Call) unservable(in *sip.Incoming, err error) outcome {
	status, owner := 488, store.PartyTrunk
	var f *sip.Failure
	if errors.As(err, &f) && f.Kind == sip.Internal {
		status, owner = 503, store.PartyUs
	}
	c.log.Warn("the caller cannot be served", "status", status, "err", err)
	if err := in.RejectRetry(status, "", retryAfterDrain); err != nil {
		c.log.Warn("the refusal could not be sent", "err", err)
	}
	return outcome{result: store.ResultMissed, code: codeTrunk, owner: owner, reason: err.Error()}
}

// callerLeg opens the media of the caller and reads the offer.
func (c *Call) callerLeg(ctx context.Context, in *sip.Incoming, trunk string) (*leg, error) {
	at := sip.Target{Trunk: trunk, Extension: in.Extension}
	return c.callingLeg(ctx, in, target{at: at, number: c.Record().Number, extension: in.Extension}, store.RoleCaller)
}

// callingLeg is the leg of whoever calls us, with its offer read.
func (c *Call) callingLeg(ctx context.Context, in *sip.Incoming, from target, role store.Role) (*leg, error) {
	l, err := c.newLeg(ctx, from, dialling{role: role, life: c.ctx})
	if err != nil {
		return nil, err
	}
	if offer := in.Offer(); len(offer) > 0 {
		if _, err := l.media.AcceptOffer(offer); err != nil {
			l.failed(err)
			return nil, err
		}
	}
	return l, nil
}
