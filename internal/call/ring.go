package call

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/sip"
	"perezvon/tts"
)

// ringing is how the phones of a plan are rung.
type ringing struct {
	role     store.Role
	plan     route.Plan
	caller   caller                   // what the phones show
	prefer   media.Codec              // see dialling
	progress func(*leg, sip.Progress) // of any phone that rings; may be nil
	hops     int                      // see dialling

	life        context.Context // legs that are answered last as long, if nothing else ends them
	begin       func()          // called before the first phone is dialled; may be nil
	onlyFree    bool            // phones that are in a call of ours count as busy
	disturb     bool            // phones are rung that are set to do not disturb
	takeCrossed bool            // see dialling

	// speak takes a step that rings nobody, see reception.speak; nil: such
	// steps are passed over.
	speak func(ctx context.Context, step route.Step, rest []route.Step, why refusal) *outcome
}

// errElsewhere ends the phones that lost (RFC 3326 section 2).
var errElsewhere = &EndReason{By: store.PartyUs, SIP: 200, Text: "Call completed elsewhere"}

// refusal is why nobody accepted: the last failure of the plan.
type refusal struct {
	err     error
	target  target
	code    int  // of a hangup step, 0: the plan ran out
	busy    bool // everybody was in a call
	engaged bool // everybody was in a call of ours: nobody was dialled

	spoken *outcome // of the caller who was spoken to instead; nil: he was not, or the route went on
}

// errEngaged is the refusal of a phone that is in a call of ours.
var errEngaged = errors.New("is in another call")

// words are the refusal in a sentence: a phone that was not dialled is named, a
// failure speaks for itself.
func (r *refusal) words() string {
	if errors.Is(r.err, errEngaged) || errors.Is(r.err, errDisturb) {
		return r.target.String() + " " + r.err.Error()
	}
	return r.err.Error()
}

// join adds the refusal of another phone to those before it.
func (r *refusal) join(other refusal) {
	if r.target != (target{}) {
		other.busy, other.engaged = r.busy && other.busy, r.engaged && other.engaged
	}
	*r = other
}

// newRefusal reads why one phone did not accept.
func newRefusal(err error, t target) refusal {
	r := refusal{err: err, target: t, engaged: errors.Is(err, errEngaged)}
	var f *sip.Failure
	r.busy = r.engaged || errors.As(err, &f) && measureFailure(f).code == codeBusy
	return r
}

// ringPlan rings the steps of a plan until somebody accepts. A nil leg means
// that nobody did.
func (c *Call) ringPlan(ctx context.Context, r ringing) (*leg, refusal) {
	last := refusal{err: errors.New("the route has nobody to ring")}
	r.begin = once(r.begin)
	for i, step := range r.plan.Steps {
		if i > 0 && step.Kind != route.Hangup {
			c.decide(fmt.Sprintf("step %d of the route: %s", i+1, c.describe(step)))
		}
		var l *leg
		switch step.Kind {
		case route.Hangup:
			last.code = step.Code
			return nil, last
		case route.Announce, route.Voicemail:
			if r.speak != nil {
				last.spoken = r.speak(ctx, step, r.plan.Steps[i+1:], last)
			}
		case route.Responsible:
			for _, one := range c.responsible(ctx, step) {
				if l = c.ringStep(ctx, one, r, &last); l != nil || ctx.Err() != nil {
					break
				}
			}
		default:
			l = c.ringStep(ctx, step, r, &last)
		}
		switch {
		case l != nil:
			return l, refusal{}
		case last.spoken != nil:
			return nil, last
		case ctx.Err() != nil:
			return nil, refusal{err: context.Cause(ctx)}
		}
	}
	return nil, last
}

// ringStep rings the phones of one step. Without a leg last has their refusals
// as well.
func (c *Call) ringStep(ctx context.Context, step route.Step, r ringing, last *refusal) *leg {
	for _, targets := range c.svc.order(step) {
		l, why := c.ringTogether(ctx, targets, step.Ring, r)
		if l != nil || ctx.Err() != nil {
			return l
		}
		last.join(why)
	}
	return nil
}

// once makes f, which may be nil, run at most once.
func once(f func()) func() {
	if f == nil {
		f = func() {}
	}
	return sync.OnceFunc(f)
}

// order groups a step's targets by who is rung together.
func (s *Service) order(step route.Step) [][]route.Target {
	switch step.Strategy {
	case route.InOrder:
		return split(step.Targets)
	case route.LongestIdle:
		return split(s.presence.byIdleTime(step.Targets))
	}
	return [][]route.Target{step.Targets}
}

// describe says whom a step rings.
func (c *Call) describe(step route.Step) string {
	names := make([]string, 0, len(step.Targets))
	for _, t := range step.Targets {
		names = append(names, t.Display)
	}
	return strings.TrimSpace(step.Kind.String() + " " + strings.Join(names, ", "))
}

// split makes a group of each target.
func split(targets []route.Target) [][]route.Target {
	groups := make([][]route.Target, len(targets))
	for i := range targets {
		groups[i] = targets[i : i+1]
	}
	return groups
}

// errWithdrawn marks a race whose end was decided before anybody won.
var errWithdrawn = new(leg)

// ringTogether rings all targets at once. The first leg that is accepted wins
// by compare-and-swap; the others get CANCEL, or BYE where their 2xx was on
// its way. It returns as soon as the winner is known or all have refused.
func (c *Call) ringTogether(ctx context.Context, targets []route.Target, ring time.Duration, r ringing) (*leg, refusal) {
	race, stop := context.WithCancelCause(ctx)
	defer stop(errElsewhere)
	var winner atomic.Pointer[leg]
	results := make(chan refusal, len(targets))
	for _, t := range targets {
		c.legs.Go(func() {
			l, t, err := c.dialTrunks(race, t, ring, r)
			if err == nil && !winner.CompareAndSwap(nil, l) {
				l.hangup(errElsewhere)
				err = errElsewhere
			}
			results <- newRefusal(err, t)
		})
	}
	var last refusal
	for range targets {
		select {
		case one := <-results:
			if one.err == nil {
				return winner.Load(), refusal{}
			}
			last.join(one)
		case <-ctx.Done():
			if winner.CompareAndSwap(nil, errWithdrawn) {
				return nil, refusal{err: context.Cause(ctx)}
			}
			return winner.Load(), refusal{} // its context has ended too: the flow sees that
		}
	}
	return nil, last
}

// turnLimit is how long a call waits for its turn on the last trunk that could
// take it.
const turnLimit = 2 * time.Second

// dialTrunks dials one target: an extension, or a number through the first of
// its trunks that works. The leg it returns has been accepted.
func (c *Call) dialTrunks(ctx context.Context, rt route.Target, ring time.Duration, r ringing) (*leg, target, error) {
	d := dialling{
		role: r.role, ring: ring, prefer: r.prefer, progress: r.progress, hops: r.hops, life: r.life, takeCrossed: r.takeCrossed,
		passedOn: r.role != store.RoleCustomer, original: r.caller.number,
	}
	candidates := c.targets(rt, r.caller)
	t := candidates[0]
	leave, err := c.engage(rt, r)
	if err != nil {
		c.decide(fmt.Sprintf("%s %v: passed over", t, err))
		return nil, t, err
	}
	if r.begin != nil {
		r.begin()
	}
	var l *leg
	if rt.Extension != "" {
		l, err = c.dialPhones(ctx, candidates, d)
	} else {
		l, t, err = c.dialInTurn(ctx, candidates, d)
	}
	if err != nil {
		leave(false)
		return nil, t, err
	}
	l.leave = leave
	if t.confirm && !c.confirmed(ctx, l) {
		l.hangup(&EndReason{By: store.PartyUs, Q850: causeNoAnswer, Text: "not confirmed by key"})
		return nil, t, fmt.Errorf("%s: no key was pressed to accept", t)
	}
	return l, t, nil
}

// dialInTurn dials a number through one trunk after the other, as long as it is
// the trunk that fails.
func (c *Call) dialInTurn(ctx context.Context, candidates []target, d dialling) (l *leg, t target, err error) {
	for i := range candidates {
		if t = candidates[i]; i == len(candidates)-1 {
			d.turn = turnLimit
		}
		if l, err = c.dial(ctx, t, d); err == nil || !trunkTrouble(err) || ctx.Err() != nil {
			return l, t, err
		}
	}
	return nil, t, err
}

// engage takes note that somebody of the office is rung.
func (c *Call) engage(rt route.Target, r ringing) (leave func(talked bool), err error) {
	if r.role == store.RoleCustomer {
		return func(bool) {}, nil
	}
	if !r.disturb && c.svc.disturbs(rt) {
		if r.begin != nil { // it uses an attempt as a phone does that is switched off
			r.begin()
		}
		return nil, errDisturb
	}
	leave, ok := c.svc.presence.engage(phoneOf(rt), r.onlyFree)
	if !ok {
		return nil, errEngaged
	}
	return leave, nil
}

// trunkTrouble reports whether another trunk may do better: this one failed
// for a reason of its own, before anything rang.
func trunkTrouble(err error) bool {
	var f *sip.Failure
	return errors.As(err, &f) && f.Rang == 0 && measureFailure(f).owner == store.PartyTrunk
}

// confirmed asks for the key 1, twice. It keeps a voicemail that answers from
// winning.
func (c *Call) confirmed(ctx context.Context, l *leg) bool {
	ctx, done := joined(ctx, l.ctx)
	defer done()
	clip := c.svc.prompts.clip(ctx, tts.PhraseConfirm)
	for range 2 {
		if acceptedByKey(ctx, l, func(ctx context.Context) { _, _ = l.media.Play(ctx, clip) }) {
			return true
		}
		pause, stop := context.WithTimeout(ctx, c.settings().Confirm)
		accepted := acceptedByKey(pause, l, func(ctx context.Context) { <-ctx.Done() })
		stop()
		if accepted {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return false
}

// acceptedByKey runs during until it returns or the key 1 comes.
func acceptedByKey(ctx context.Context, l *leg, during func(context.Context)) bool {
	ctx, stop := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		during(ctx)
	}()
	defer func() {
		stop()
		<-over
	}()
	for {
		select {
		case digit := <-l.media.Digits():
			if digit == '1' {
				return true
			}
		case <-over:
			return false
		}
	}
}

// joined returns a context that ends with either of two.
func joined(a, b context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// caller is who a phone shows as calling.
type caller struct {
	number string // the customer's
	name   string
	line   *configs.Line // that numbers outside are called through; nil: the call's
}

// targets turns a target of a plan into what is dialled, a candidate per
// trunk, or per phone that is registered as the extension. An extension shows the customer, a trunk the line's number.
func (c *Call) targets(rt route.Target, from caller) []target {
	if rt.Extension != "" {
		return c.phones(target{
			at: sip.Target{Extension: rt.Extension}, extension: rt.Extension, number: rt.Display, confirm: rt.Confirm,
			fromUser: from.number, fromDisplay: from.name,
		})
	}
	line := cmp.Or(from.line, c.line())
	candidates := make([]target, 0, len(rt.Trunks))
	for _, trunk := range c.svc.working(rt.Trunks) {
		number := rt.Number
		if trunk != rt.Trunks[0] {
			number = route.Dialled(c.svc.set(), trunk, rt.Display)
		}
		candidates = append(candidates, target{
			at: sip.Target{Trunk: trunk}, user: number, number: rt.Display, confirm: rt.Confirm,
			fromUser: c.lineNumber(line, trunk, from), fromDisplay: line.Name,
		})
	}
	return candidates
}

// lineNumber is the caller id that a trunk sees: the line's own number, or on
// a pattern line, which has none, the number of whoever calls.
func (c *Call) lineNumber(line *configs.Line, trunk string, from caller) string {
	if n := len(line.Number); n == 0 || line.Number[n-1] == '*' {
		return from.number
	}
	return route.Dialled(c.svc.set(), trunk, line.Number)
}
