package call

import (
	"context"
	"errors"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/sip"
)

// DialRequest asks for a call of somebody of the office to a number: his phone
// rings first, then the number is dialled.
type DialRequest struct {
	Line      string // id of the line the call goes through
	Extension string // whose phone rings
	Number    string // whom to call, as people write numbers

	Key     *store.Key // makes the request safe to repeat; nil: none
	KeyName string     // name of the API key that asks
}

// clickLife is how long a click-to-call may wait for its turn: who clicked
// looks at his phone for no longer.
const clickLife = 30 * time.Second

// Dial accepts a click-to-call. It returns when the call is stored: from then on
// it reaches exactly one terminal result. The same key sent again returns its
// call and true. Requests that make no call are a *RefusedError that names every
// bad field.
func (s *Service) Dial(ctx context.Context, req DialRequest) (store.Call, bool, error) {
	if s.draining.Err() != nil {
		return store.Call{}, false, drainingRefusal(errShutdown)
	}
	line, number, err := s.validateDial(req)
	if err != nil {
		return store.Call{}, false, err
	}
	now := time.Now()
	rec := store.Call{
		ID: newID(), Kind: store.KindOutbound, State: store.StateQueued, Line: line.ID, Number: number,
		CreatedAt: now, Deadline: now.Add(clickLife),
		Request: store.Request{Manager: req.Extension, Key: req.KeyName},
	}
	stored, duplicate, err := s.records.CreateCall(context.WithoutCancel(ctx), rec, store.Admission{Key: req.Key},
		newEvent(rec.ID, store.EventCallCreated, createdData{
			Kind: rec.Kind, Line: rec.Line, Number: rec.Number, Manager: req.Extension, Key: req.KeyName,
		}))
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return store.Call{}, false, keyReused()
	case err != nil:
		s.log.Error("a click-to-call could not be stored", "err", err)
		return store.Call{}, false, notReady("the store takes no calls at present; the server's log says why")
	case duplicate:
		return stored, true, nil
	}
	c := newCall(s, line, stored)
	if !s.adopt(c) { // nobody clicks again for it after the restart
		c.finish(shutDown())
		return c.Record(), false, nil
	}
	go s.run(c, func(c *Call) { c.finish(s.runDial(c)) })
	return stored, false, nil
}

// shutDown is how a call ends that is not begun any more.
func shutDown() outcome {
	return outcome{result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs, reason: errShutdown}
}

func keyReused() error {
	return &RefusedError{Status: 422, Code: CodeKeyReused, Problems: []Problem{{
		Field: "Idempotency-Key", Detail: "this key was used with another request; take a new key for a new request",
	}}}
}

// validateDial checks every field and gathers all problems.
func (s *Service) validateDial(req DialRequest) (*configs.Line, string, error) {
	refused := &RefusedError{Status: 422}
	var number string
	line := s.set().Line(req.Line)
	if line == nil {
		refused.add(CodeUnknownLine, "line", s.unknownLine(req.Line))
	}
	if s.set().Extension(req.Extension) == nil {
		refused.add(CodeUnknownExtension, "extension", route.NoExtension(s.set(), req.Extension))
	}
	if line != nil {
		var err error
		number, err = s.numbers().Dialable(s.set(), line, req.Number)
		refused.add(numberCode(err), "number", err)
	}
	if len(refused.Problems) > 0 {
		return nil, "", refused
	}
	return line, number, nil
}

// runDial rings the phone of who clicked, dials the number and bridges the two.
func (s *Service) runDial(c *Call) outcome {
	plan := route.Plan{Steps: []route.Step{{
		Kind: route.Extension, Ring: c.settings().Ring,
		Targets: []route.Target{{Extension: c.Record().Request.Manager, Display: c.Record().Request.Manager}},
	}}}
	// Nobody is rung for a call that cannot be placed.
	if why := s.trunksDown(c.line().Trunks); why != "" {
		return outcome{result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyTrunk, reason: why}
	}
	free, problem := s.holdPorts(c, plan)
	switch {
	case problem != nil && c.ctx.Err() == nil && s.draining.Err() != nil:
		return shutDown()
	case problem != nil:
		return *problem
	}
	defer free()
	defer c.claimNumber(c.Record().Number)()
	manager, o := c.ringWhoClicked(plan)
	if manager == nil {
		return o
	}
	defer manager.hangup(errOver)

	tone := c.waitingTone(manager)
	defer context.AfterFunc(manager.ctx, tone.stop)() // who has gone is sent nothing
	customer, o := c.reachCustomer(manager.ctx, manager.media.Codec(), tone.progress)
	tone.stop()
	switch {
	case customer == nil && manager.ctx.Err() != nil:
		return c.clickerLeft(manager)
	case customer == nil:
		c.conclude(o.outbound())
		c.tell(manager, o)
		return o.outbound()
	}
	defer customer.hangup(errOver)
	if manager.ctx.Err() != nil { // the customer's 200 and the manager's BYE have crossed
		return c.apologise(customer, c.clickerLeft(manager))
	}
	return c.talk(manager, customer)
}

// ringWhoClicked rings the phone of who clicked. He has asked for it: it rings
// although he does not want to be disturbed.
func (c *Call) ringWhoClicked(plan route.Plan) (*leg, outcome) {
	l, why := c.ringPlan(c.ctx, ringing{
		role: store.RoleManager, plan: plan, life: c.ctx, onlyFree: true, disturb: true,
		begin:  func() { c.beginAttempt(store.StateRingingManager) },
		caller: caller{number: c.Record().Number, name: "Перезвон: " + c.lineName()},
	})
	if l == nil {
		return nil, c.clickerMissed(why)
	}
	c.change("", nil, func(r *store.Call) { r.Manager = c.endpointOf(r, l.id) })
	return l, outcome{}
}

// clickerMissed is the outcome when who clicked does not pick up.
func (c *Call) clickerMissed(why refusal) outcome {
	if c.ctx.Err() != nil {
		return c.stopped()
	}
	o := outcome{result: store.ResultManagerUnavailable, code: codeMissed, owner: store.PartyManager, reason: why.words()}
	if f, ok := errors.AsType[*sip.Failure](why.err); ok && f.Kind == sip.Internal {
		o.owner = store.PartyUs
	}
	return o
}

// clickerLeft is the outcome when who clicked has hung up before the talk.
func (c *Call) clickerLeft(manager *leg) outcome {
	o := c.managerLeft(manager, retryNever)
	if o.result == store.ResultManagerHungUp {
		o.result = store.ResultAbandoned
	}
	return o
}
