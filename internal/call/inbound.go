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
	case !ok && in.Extension != "":
		s.refuse(in, 403, "extension "+in.Extension+" calls, but phones cannot place calls through this server")
		return
	case !ok:
		s.refuse(in, 404, fmt.Sprintf("no line of trunk %q has the number %q; see lines[].number", in.Trunks, in.Called))
		return
	}
	open := route.Open(line.Hours, time.Now())
	plan := route.PlanFor(s.set, line, dialled)
	if !open {
		plan = route.OtherwisePlan(s.set, line, dialled)
	}
	free, ok := s.ports.tryHold(s.ports.need(plan))
	if !ok {
		s.refuse(in, 503, "all media ports are in use; see media.ports")
		return
	}
	defer free()
	c := s.admitInbound(ctx, line, in)
	if c == nil {
		return
	}
	s.run(c, func(c *Call) {
		defer s.callsIn.begin(c.rec.Number)()
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
		t := s.set.Trunk(name)
		return t != nil && t.Register && t.Username == in.Called
	})
	numbers := []string{in.Called}
	if account >= 0 {
		numbers = []string{in.ToUser, in.Called}
	}
	for _, dialled = range numbers {
		if line, trunk, ok = route.MatchLine(s.set.Lines, in.Trunks, dialled); ok {
			return line, trunk, dialled, true
		}
	}
	if account < 0 {
		return nil, "", "", false
	}
	trunk = in.Trunks[account]
	for i := range s.set.Lines {
		if l := &s.set.Lines[i]; slices.Contains(l.Trunks, trunk) {
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
func (s *Service) admitInbound(ctx context.Context, line *configs.Line, in *sip.Incoming) *Call {
	rec, err := s.storeInbound(ctx, line, in)
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

// refuse answers an INVITE that makes no call.
func (s *Service) refuse(in *sip.Incoming, status int, why string) {
	if more, ok := s.refusals.allow(); ok {
		s.log.Warn("inbound call refused", "status", status, "called", in.Called, "trunks", in.Trunks, "why", why, "not_logged", more)
	}
	if err := in.RejectRetry(status, "", retryAfterDrain); err != nil {
		s.log.Warn("the refusal could not be sent", "err", err)
	}
}

// storeInbound makes the record. Rule: journal before effect.
func (s *Service) storeInbound(ctx context.Context, line *configs.Line, in *sip.Incoming) (store.Call, error) {
	number := in.From
	if !s.set.AllRaw(line) {
		if e164, err := s.numbers.Parse(in.From); err == nil {
			number = e164
		}
	}
	now := time.Now()
	rec := store.Call{
		ID: newID(), Kind: store.KindInbound, State: store.StateRinging, Line: line.ID, Number: number,
		CreatedAt: now, Deadline: now, Attempts: []store.Attempt{{N: 1, StartedAt: now}},
	}
	rec, _, err := s.records.CreateCall(ctx, rec, store.Admission{}, newEvent(rec.ID, store.EventCallCreated, createdData{
		Kind: rec.Kind, Line: rec.Line, Number: rec.Number,
	}))
	return rec, err
}

// serveInbound rings the line's route and bridges the caller with whoever
// accepts. What comes before the talk is done elsewhere: this stack stays as
// long as the call.
func (s *Service) serveInbound(ctx context.Context, c *Call, in *sip.Incoming, trunk string, plan route.Plan) outcome {
	ctx, done := joined(ctx, c.ctx)
	defer done()
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
	tone := &callerTone{call: c, in: in, caller: callerLeg}
	defer tone.stop()

	callee, why := c.ringPlan(ctx, ringing{
		role: store.RoleCallee, plan: plan,
		caller:   caller{number: c.Record().Number, name: in.FromDisplay},
		prefer:   callerLeg.media.Codec(),
		progress: tone.progress,
		hops:     in.MaxForwards() - 1,
		life:     c.ctx,
	})
	if callee == nil {
		o := c.turnAway(ctx, in, callerLeg, why)
		return nil, nil, &o
	}
	tone.stop()
	dialog, err := in.Answer(ctx, callerLeg.media, sip.DialogRef{Call: c.rec.ID, Leg: callerLeg.id})
	if err != nil {
		o := outcome{result: store.ResultAbandoned, code: codeMissed, owner: store.PartyTrunk, reason: err.Error()}
		callerLeg.failed(err)
		if ctx.Err() != nil {
			o = c.abandoned(ctx)
		}
		callee.hangup(errOver)
		return nil, nil, &o
	}
	callerLeg.up(dialog)
	c.svc.callsIn.answered(c.Record().Number)
	c.change("", nil, func(r *store.Call) {
		r.Manager, r.Customer = endpointOf(r, callee.id), endpointOf(r, callerLeg.id)
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
	l, err := c.newLeg(ctx, target{at: at, number: c.Record().Number, extension: in.Extension}, dialling{role: store.RoleCaller, life: c.ctx})
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

// callerTone lets the caller hear that a phone rings: 180, or 183 with the
// sound of the far network.
type callerTone struct {
	call   *Call
	in     *sip.Incoming
	caller *leg
	early  earlyPath
}

func (t *callerTone) progress(from *leg, p sip.Progress) {
	if !p.Media {
		if err := t.in.Ring(); err != nil {
			t.call.log.Debug("180 not sent", "err", err)
		}
		return
	}
	if err := t.in.EarlyMedia(t.caller.media); err != nil {
		t.call.log.Debug("183 not sent", "err", err)
		return
	}
	t.early.connect(t.call.svc.sound, t.caller.media, from.media)
}

func (t *callerTone) stop() { t.early.stop() }

// turnAway refuses the caller when nobody accepted.
func (c *Call) turnAway(ctx context.Context, in *sip.Incoming, caller *leg, why refusal) outcome {
	if ctx.Err() != nil && c.ctx.Err() == nil {
		caller.failed(context.Cause(ctx))
		return c.abandoned(ctx)
	}
	o := outcome{result: store.ResultMissed, code: codeMissed, owner: store.PartyManager, reason: why.err.Error()}
	status := 480
	var f *sip.Failure
	switch {
	case c.ctx.Err() != nil:
		o = c.stopped()
	case why.code != 0:
		status = why.code
		o.owner, o.reason = store.PartyUs, fmt.Sprintf("the route ends with hangup %d", why.code)
	case errors.As(why.err, &f):
		status, o = missed(f, why.target)
	}
	if status == 486 && o.result == store.ResultMissed {
		o.result, o.code = store.ResultBusy, codeBusy
	}
	caller.failed(&sip.Failure{Kind: sip.Rejected, Status: status, Phrase: sip.Phrase(status)})
	if err := in.Reject(status, ""); err != nil {
		c.log.Warn("the refusal could not be sent", "err", err)
	}
	return o
}

// missed reads the last failed phone of an inbound call: what the caller is
// told and how the call ends.
func missed(f *sip.Failure, at target) (status int, o outcome) {
	o = outcome{result: store.ResultMissed, code: codeMissed, owner: store.PartyManager, reason: f.Error()}
	switch m := measureFailure(f); m.code {
	case codeBusy:
		return 486, o
	case codeWrong:
		return 404, o
	case codeDirection:
		return 484, o
	case codeDeclined:
		return 603, o
	case codeNoFunds, codeForbidden, codeTrunk:
		if at.extension != "" && m.owner == store.PartyTrunk { // a phone of the office that is not there
			return 480, o
		}
		o.result, o.code, o.owner = store.ResultTrunkFailed, m.code, m.owner
		return 503, o
	}
	return 480, o
}

// abandoned is the outcome when the caller gave up.
func (c *Call) abandoned(ctx context.Context) outcome {
	if c.ctx.Err() != nil {
		return c.stopped()
	}
	return outcome{
		result: store.ResultAbandoned, code: codeMissed, owner: store.PartyCustomer, hangupBy: store.PartyCustomer,
		reason: fmt.Sprintf("the caller gave up: %v", context.Cause(ctx)),
	}
}
