package call

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/sip"
	"perezvon/tts"
)

// transferBlind rings who is dialled for the other side.
func (b *bridge) transferBlind(t *transferring, number string) moving {
	c := b.call
	from := c.svc.set().Extension(t.asker.to.extension)
	if from == nil {
		return moving{status: 403, err: fmt.Errorf("%s is not in the configuration any more", t.asker.to), undialled: true}
	}
	to, status, err := c.svc.dialledAt(from, number)
	if err == nil && to.reaches(t.other.to) {
		status, err = 486, errAlready
	}
	if err == nil && !t.mayUse(to.line) {
		status, err = 403, &foreignLineError{t.by, to.line.ID}
	}
	if err != nil {
		c.decide(fmt.Sprintf("%s wants to transfer the call to %s: %v", t, number, err))
		return moving{status: status, err: err, undialled: true}
	}
	free, ok := c.svc.ports.tryHold(c.svc.ports.need(to.plan()) - 1) // one side is there
	if !ok {
		c.decide("a transfer is refused: " + errNoPorts.Error())
		return moving{status: 503, err: errNoPorts, undialled: true}
	}
	defer free() // they rest for longer than the one who asked may take to hang up
	c.decide(fmt.Sprintf("%s transfers the call to %s", t, to.target.Display))
	taker, why := b.ringFor(t, to)
	if taker == nil {
		o, answer := c.notReached(to, why)
		c.decide(fmt.Sprintf("nobody takes the transferred call: %s", o.reason))
		return moving{status: answer.status, err: errors.New(o.reason), undialled: undialled(why)}
	}
	if !b.replace(t.asker, taker) {
		taker.hangup(errElsewhere)
		return moving{status: 487, err: errGone}
	}
	c.legs.Go(func() { c.claimWhile(taker) })
	return b.transferred(t, taker, "")
}

// wayBack rings the phone that wanted to be rid of the call.
func (b *bridge) wayBack(t *transferring) wanted {
	return wanted{
		kind: store.KindInternal, line: b.call.line(), ring: b.call.svc.set().Callback.Ring,
		target: route.Target{Extension: t.asker.to.extension, Display: t.asker.to.number},
	}
}

// errNoPorts refuses a transfer.
var errNoPorts = errors.New("all media ports are in use; see media.ports")

// errGone refuses a transfer whose call was over before anybody took it.
var errGone = errors.New("the call was over before")

// undialled reports whether a refusal came before anything went out.
func undialled(why refusal) bool {
	f, ok := errors.AsType[*sip.Failure](why.err)
	if !ok {
		return errors.Is(why.err, errDisturb) || errors.Is(why.err, errEngaged)
	}
	switch f.Kind {
	case sip.NotRegistered, sip.Unresolved, sip.Full, sip.Internal:
		return true
	default:
		return false
	}
}

// mayUse reports whether who asks may use a line; there is none between phones
// of the office.
func (t *transferring) mayUse(line *configs.Line) bool {
	return len(t.lines) == 0 || line.ID == "" || slices.Contains(t.lines, line.ID)
}

// foreignLineError refuses a transfer through a line that the key may not use.
type foreignLineError struct{ key, line string }

// Error says which.
func (e *foreignLineError) Error() string {
	return fmt.Sprintf("it would go out through line %q, which the key %s may not use", e.line, e.key)
}

// errAlready refuses a transfer of somebody to himself.
var errAlready = errors.New("that is who the call is with already")

// reaches reports whether this is a phone of the one behind a leg.
func (w wanted) reaches(t target) bool {
	if w.target.Extension != "" {
		return w.target.Extension == t.extension
	}
	return t.extension == "" && strings.TrimPrefix(w.target.Display, "+") == strings.TrimPrefix(t.number, "+")
}

// ringFor rings the one who shall take over. The other side hears ringback.
func (b *bridge) ringFor(t *transferring, to wanted) (*leg, refusal) {
	defer b.part(t.other)()
	c := b.call
	rec := c.Record()
	role := store.RoleCallee
	if l := findLeg(&rec, t.asker.id); l != nil {
		role = l.Role
	}
	ctx, done := joined(c.ctx, t.other.ctx)
	defer done()
	return c.ringPlan(ctx, ringing{
		role: role, plan: to.plan(), prefer: t.other.media.Codec(), life: c.ctx,
		caller: caller{number: t.other.to.number, name: c.shown(t.other), line: to.line},
		progress: func(*leg, sip.Progress) { // of each of its phones
			if !t.rings.Swap(true) {
				t.tell(moving{status: 180})
			}
		},
	})
}

// shown is the name that a phone shows for a leg.
func (c *Call) shown(l *leg) string {
	if e := c.svc.set().Extension(l.to.extension); e != nil {
		return e.Name
	}
	return c.lineName()
}

// part lets the two sides not hear each other any more: the one that stays
// hears ringback until the returned function is called.
func (b *bridge) part(stays *leg) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.separate()
	return stays.media.Ringback()
}

// giveBack is for a side that nobody took: it talks to who has passed it on
// again, who is called back if need be; else it hears an apology, and the call
// is over.
func (b *bridge) giveBack(t *transferring) {
	if b.rejoin(t.asker) {
		return
	}
	c := b.call
	if b.ended() || c.ctx.Err() != nil || t.other.ctx.Err() != nil {
		return
	}
	c.decide(fmt.Sprintf("%s has hung up already and is called back", t.asker.to))
	t.rings.Store(true) // nobody is told of this any more
	back := b.wayBack(t)
	if free, ok := c.svc.ports.tryHold(max(0, c.svc.ports.need(back.plan())-2)); ok { // two are the call's
		defer free()
	}
	taker, _ := b.ringFor(t, back)
	switch {
	case taker != nil && b.replace(t.asker, taker):
		b.note(taker)
		t.asker.hangup(errOver)
	case taker != nil:
		taker.hangup(errElsewhere)
	case t.other.ctx.Err() == nil && c.ctx.Err() == nil:
		_, _ = t.other.media.Play(t.other.ctx, c.svc.prompts.clip(t.other.ctx, tts.PhraseApology))
	}
}

// rejoin connects the sides again as they were. It is false where the leg has
// gone.
func (b *bridge) rejoin(l *leg) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.placeOf(l); !ok || b.over || l.ctx.Err() != nil {
		return false
	}
	if b.parted {
		b.connect()
	}
	return true
}
