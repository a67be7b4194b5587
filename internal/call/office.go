package call

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/sip"
)

// wanted is whom a number stands for that is dialled at a phone of the office.
type wanted struct {
	kind   store.Kind
	line   *configs.Line // of an internal call one without an id
	target route.Target
	ring   time.Duration
}

// patience is how long a phone outside rings for somebody who waits at a phone
// of the office: networks give up before.
const patience = 3 * time.Minute

// fromPhone takes one INVITE of a phone of the office and returns when its call
// is over. ctx ends when the phone cancels.
func (s *Service) fromPhone(ctx context.Context, in *sip.Incoming) {
	from := s.set().Extension(in.Extension)
	if from == nil {
		s.refuse(in, 403, "extension "+in.Extension+" is not in the configuration")
		return
	}
	to, status, err := s.dialledAt(from, in.Called)
	if err != nil {
		s.refuse(in, status, "extension "+from.Number+" has dialled it: "+err.Error())
		return
	}
	free, ok := s.ports.tryHold(s.ports.need(to.plan()))
	if !ok {
		s.refuse(in, 503, "all media ports are in use; see media.ports")
		return
	}
	defer free()
	c := s.admitDialled(ctx, from, to, in)
	if c == nil {
		return
	}
	s.run(c, func(c *Call) { c.finish(s.serveDialled(ctx, c, in, from, to)) })
}

// errItself refuses a phone that dials its own number.
var errItself = errors.New("that is its own number")

// dialledAt reads what is dialled at a phone: the number of another phone, or
// one outside. An error comes with the SIP status that says it.
func (s *Service) dialledAt(from *configs.Extension, number string) (to wanted, status int, err error) {
	if number == from.Number {
		return to, 486, errItself
	}
	if s.set().Extension(number) != nil {
		return wanted{
			kind: store.KindInternal, line: &configs.Line{}, ring: s.set().Callback.Ring,
			target: route.Target{Extension: number, Display: number},
		}, 0, nil
	}
	out, err := route.OutsideFor(s.set(), from, number)
	if err != nil {
		status = 404
		if ne, ok := errors.AsType[*route.NumberError](err); ok {
			status = ne.Status()
		}
		return to, status, err
	}
	return wanted{kind: store.KindOutbound, line: out.Line, target: out.Target, ring: patience}, 0, nil
}

// plan rings the one who was dialled.
func (w wanted) plan() route.Plan {
	kind := route.Extension
	if w.kind == store.KindOutbound {
		kind = route.Forward
	}
	return route.Plan{Steps: []route.Step{{Kind: kind, Targets: []route.Target{w.target}, Ring: w.ring}}}
}

// roles of the phone that dials and of who is called.
func (w wanted) roles() (dials, called store.Role) {
	if w.kind == store.KindOutbound {
		return store.RoleManager, store.RoleCustomer
	}
	return store.RoleCaller, store.RoleCallee
}

// admitDialled stores the call and takes it into the service's care; nil means
// that the phone was refused.
func (s *Service) admitDialled(ctx context.Context, from *configs.Extension, to wanted, in *sip.Incoming) *Call {
	now := time.Now()
	rec := store.Call{
		ID: newID(), Kind: to.kind, State: store.StateRinging, Line: to.line.ID, Number: to.target.Display,
		Manager:   &store.Endpoint{Number: from.Number, Extension: from.Number, Name: from.Name},
		CreatedAt: now, Deadline: now, Attempts: []store.Attempt{{N: 1, StartedAt: now}},
	}
	if to.kind == store.KindOutbound {
		rec.State = store.StateRingingCustomer
	}
	rec, _, err := s.records.CreateCall(context.WithoutCancel(ctx), rec, store.Admission{}, newEvent(rec.ID, store.EventCallCreated, createdData{
		Kind: rec.Kind, Line: rec.Line, Number: rec.Number, Manager: from.Number,
	}))
	if err != nil {
		s.log.Error("a call of an extension could not be stored", "extension", from.Number, "err", err)
		s.refuse(in, 503, "the store does not answer")
		return nil
	}
	in.Bind(sip.DialogRef{Call: rec.ID})
	c := newCall(s, to.line, rec)
	if !s.adopt(c) {
		s.refuse(in, 503, errShutdown)
		c.finish(outcome{result: store.ResultMissed, code: codeTrunk, owner: store.PartyUs, reason: errShutdown})
		return nil
	}
	return c
}

// serveDialled rings who was dialled and bridges the two. What comes before the
// talk is done elsewhere: this stack stays as long as the call.
func (s *Service) serveDialled(ctx context.Context, c *Call, in *sip.Incoming, from *configs.Extension, to wanted) outcome {
	ctx, done := joined(ctx, c.ctx)
	defer done()
	if to.kind == store.KindOutbound {
		defer c.claimNumber(to.target.Display)()
	}
	phone, called, failed := c.connectDialled(ctx, in, from, to)
	if failed != nil {
		return *failed
	}
	defer called.hangup(errOver)
	defer phone.hangup(errOver)
	return c.talk(phone, called)
}

// claimNumber lets callbacks to a number wait while somebody of the office talks
// with it. Who dials himself waits for nobody: where another call of ours is
// with that number, the network tells him.
func (c *Call) claimNumber(number string) (release func()) {
	s := c.svc
	lease, err := s.records.AcquireLease(c.ctx, customerLease(number), leaseOwner, s.set().Limits.MaxCall+setup)
	if err != nil {
		return func() {}
	}
	return func() { s.giveBack(lease) }
}

// connectDialled answers the phone once who was dialled has picked up. Without
// an outcome both legs are up.
func (c *Call) connectDialled(ctx context.Context, in *sip.Incoming, from *configs.Extension, to wanted) (phone, called *leg, failed *outcome) {
	// Who calls counts as engaged from here on.
	leave, _ := c.svc.presence.engage(phoneOf(route.Target{Extension: from.Number}), false)
	phone, err := c.phoneLeg(ctx, in, from, to)
	if err != nil {
		leave(false)
		o := c.unservable(in, err)
		return nil, nil, &o
	}
	_, role := to.roles()
	tone := &callerTone{call: c, in: in, caller: phone}
	defer tone.stop()
	called, why := c.ringPlan(ctx, ringing{
		role: role, plan: to.plan(),
		caller:   caller{number: from.Number, name: from.Name},
		prefer:   phone.media.Codec(),
		progress: tone.progress,
		hops:     in.MaxForwards() - 1,
		life:     c.ctx,
	})
	c.rang(role, called)
	if called == nil {
		leave(false)
		o := c.turnPhoneAway(ctx, in, phone, to, why)
		return nil, nil, &o
	}
	tone.stop()
	dialog, err := in.Answer(ctx, phone.media, sip.DialogRef{Call: c.rec.ID, Leg: phone.id})
	if err != nil {
		leave(false)
		phone.failed(err)
		called.hangup(errOver)
		o := outcome{result: store.ResultAbandoned, code: codeCancelled, owner: store.PartyTrunk, reason: err.Error()}
		if ctx.Err() != nil {
			o = c.hungUpEarly(ctx)
		}
		return nil, nil, &o
	}
	phone.leave = leave
	phone.up(dialog)
	return phone, called, nil
}

// rang notes how long the phone of who was dialled rang, and that he answered.
func (c *Call) rang(role store.Role, called *leg) {
	c.change("", nil, func(r *store.Call) {
		r.RingMS = ringTime(r, role).Milliseconds()
		if called == nil {
			return
		}
		r.CustomerReached = true
		r.Customer = c.endpointOf(r, called.id)
	})
}

// phoneLeg opens the media of the phone that dials and reads its offer.
func (c *Call) phoneLeg(ctx context.Context, in *sip.Incoming, from *configs.Extension, to wanted) (*leg, error) {
	role, _ := to.roles()
	return c.callingLeg(ctx, in, target{
		at: c.svc.phoneAt(from.Number, in.Source), number: from.Number, extension: from.Number,
	}, role)
}

// phoneAt is the phone of an extension that is at an address, as far as it is
// registered: each may be reached in another way.
func (s *Service) phoneAt(extension string, at netip.AddrPort) sip.Target {
	t := sip.Target{Extension: extension}
	bindings := s.phones.Registered(extension)
	i := slices.IndexFunc(bindings, func(b sip.Binding) bool { return b.Address == at })
	if i < 0 { // over a stream it may call from another port than it registered from
		i = slices.IndexFunc(bindings, func(b sip.Binding) bool { return b.Address.Addr() == at.Addr() })
	}
	if i >= 0 {
		t.Binding = bindings[i].ID
	}
	return t
}

// hungUpEarly is the outcome when who dialled gave up before the answer.
func (c *Call) hungUpEarly(ctx context.Context) outcome {
	if c.ctx.Err() != nil {
		return c.stopped()
	}
	return outcome{
		result: store.ResultAbandoned, code: codeCancelled, owner: store.PartyManager, hangupBy: store.PartyManager,
		reason: "the caller gave up: " + context.Cause(ctx).Error(),
	}
}
