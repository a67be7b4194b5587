package call

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/sip"
	"perezvon/tts"
)

// A phone of the office may pass the other side of its call on: without asking
// first (blind), or to somebody it has talked to (attended). We carry it out:
// no REFER leaves the house. The other side stays in its bridge all the while,
// and hears ringback; if nobody takes it, it goes back to who wanted to be rid
// of it.

// transferring is one transfer under way.
type transferring struct {
	asker, other *leg
	by           string       // name of the API key that asks for it; empty: the phone does
	lines        []string     // ids of those that the key is limited to; none: it may use all
	tell         func(moving) // how it goes
	rings        bool         // was told; touched by one goroutine only
}

// String names who wants the transfer, at the beginning of a sentence.
func (t *transferring) String() string {
	if t.by != "" {
		return fmt.Sprintf("%s, for %s,", t.by, t.asker.to)
	}
	return t.asker.to.String()
}

// moving is how a transfer goes.
type moving struct {
	status    int   // of SIP; 200 and more is the end
	err       error // why it came to nothing; nil: it has not
	undialled bool  // nobody was rung
}

// goodbye is how long a phone that has passed its call on may take to hang up
// by itself.
const goodbye = 2 * time.Second

// errTransferred ends the leg of a phone that has passed its call on.
var errTransferred = &EndReason{By: store.PartyUs, Q850: causeNormal, Text: "the call was transferred"}

// mayTransfer lets the phone of a leg pass the other side on.
func (b *bridge) mayTransfer(l *leg) {
	if l.to.extension == "" {
		return
	}
	l.dialog.OnRefer(func(r *sip.Refer) bool {
		return b.beginTransfer(&transferring{asker: l, tell: func(m moving) { r.Notify(m.status) }}, func(t *transferring) {
			if r.Replaces != nil {
				b.transferTo(t, *r.Replaces)
			} else {
				b.transferBlind(t, r.User)
			}
		})
	})
}

// beginTransfer reserves the bridge for a transfer by one of its sides and
// carries it out beside the talk; false means that the talk is over, or that
// another transfer is under way.
func (b *bridge) beginTransfer(t *transferring, carryOut func(*transferring)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.placeOf(t.asker)
	if !ok || b.over || b.moving != nil || b.lent != nil {
		return false
	}
	t.other = b.sides[1-at]
	b.moving = t
	b.call.legs.Go(func() { carryOut(t) }) // under b.mu: the call waits for it once the bridge is over
	return true
}

// endTransfer lets the bridge depend on both of its sides again.
func (b *bridge) endTransfer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moving = nil
	b.wake()
}

// transferBlind rings who is dialled for the other side.
func (b *bridge) transferBlind(t *transferring, number string) {
	defer b.endTransfer()
	c := b.call
	from := c.svc.set().Extension(t.asker.to.extension)
	if from == nil {
		t.tell(moving{status: 403, err: fmt.Errorf("%s is not in the configuration any more", t.asker.to), undialled: true})
		return
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
		t.tell(moving{status: status, err: err, undialled: true})
		return
	}
	free, ok := c.svc.ports.tryHold(1)
	if !ok {
		c.decide("a transfer is refused: " + errNoPorts.Error())
		t.tell(moving{status: 503, err: errNoPorts, undialled: true})
		return
	}
	defer free()
	c.decide(fmt.Sprintf("%s transfers the call to %s", t, to.target.Display))
	taker, why := b.ringFor(t, to)
	if taker == nil {
		o, answer := c.notReached(to, why)
		c.decide(fmt.Sprintf("nobody takes the transferred call: %s", o.reason))
		b.giveBack(t)
		t.tell(moving{status: answer.status, err: errors.New(o.reason), undialled: undialled(why)})
		return
	}
	if !b.replace(t.asker, taker) {
		taker.hangup(errElsewhere)
		t.tell(moving{status: 487, err: errGone})
		return
	}
	b.transferred(t, taker, "")
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
		progress: func(*leg, sip.Progress) {
			if !t.rings {
				t.rings = true
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

// separate keeps the two apart until they are connected again, and what they
// hear is another's business. b.mu is held.
func (b *bridge) separate() {
	b.play(managerSide, nil)
	b.play(customerSide, nil)
	b.open(nobody)
	b.parted = true
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
	if c.ctx.Err() != nil || t.other.ctx.Err() != nil {
		return
	}
	c.decide(fmt.Sprintf("%s has hung up already and is called back", t.asker.to))
	back := wanted{
		kind: store.KindInternal, line: c.line(), ring: c.svc.set().Callback.Ring,
		target: route.Target{Extension: t.asker.to.extension, Display: t.asker.to.number},
	}
	t.rings = true // nobody is told of this any more
	taker, _ := b.ringFor(t, back)
	switch {
	case taker != nil && b.replace(t.asker, taker):
		b.note(t.asker, taker)
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
	b.connect()
	return true
}

// transferred tells everybody that another leg has taken a place, and waits for
// the phone that has lost it to hang up.
func (b *bridge) transferred(t *transferring, taker *leg, with string) {
	c := b.call
	data := transferData{By: t.asker.to.number, To: taker.to.number, Call: with, Key: t.by}
	b.note(t.asker, taker)
	c.change(store.EventTransferred, data, func(*store.Call) {})
	t.tell(moving{status: 200})
	c.farewell(t.asker)
}

// transferData is the content of a call.transferred event.
type transferData struct {
	By   string `json:"by"`             // who has passed the call on
	To   string `json:"to"`             // who has it now
	Call string `json:"call,omitempty"` // the other call, of an attended transfer
	Key  string `json:"key,omitempty"`  // name of the API key that asked for it; empty: the phone did
}

// note keeps who talks now in the record.
func (b *bridge) note(gone, taker *leg) {
	to := taker.call.Record()
	who := b.call.endpointOf(&to, taker.id)
	if who == nil {
		return
	}
	b.mu.Lock()
	at, ok := b.placeOf(taker)
	b.mu.Unlock()
	b.call.change("", nil, func(r *store.Call) {
		switch {
		case !ok:
		case at == managerSide:
			r.Manager = who
		default:
			r.Customer = who
		}
	})
}

// farewell waits for a phone to hang up, a moment only.
func (c *Call) farewell(l *leg) {
	limit := time.NewTimer(goodbye)
	defer limit.Stop()
	select {
	case <-l.ctx.Done():
	case <-limit.C:
	}
	l.hangup(errTransferred)
}

// transferTo joins the other side with the one whom the phone has talked to in
// another call of ours.
func (b *bridge) transferTo(t *transferring, with sip.DialogRef) {
	defer b.endTransfer()
	c := b.call
	second := c.svc.bridgeOf(with.Call)
	if second == nil || second == b {
		c.decide(fmt.Sprintf("%s wants to transfer the call to somebody it does not talk to", t.asker.to))
		t.tell(moving{status: 404})
		return
	}
	asked, lent := second.lend(with.Leg, t.asker.to.extension)
	if lent == nil {
		c.decide(fmt.Sprintf("%s wants to transfer the call into another that is over, or that it has no part in", t.asker.to))
		t.tell(moving{status: 404})
		return
	}
	taker := b.replaceWith(t.asker, func() *leg { return b.handOver(t, lent, asked) })
	if taker == nil {
		second.takeBack()
		t.tell(moving{status: 487})
		return
	}
	c.decide(fmt.Sprintf("%s transfers the call to %s, after talking to them", t.asker.to, taker.to))
	b.transferred(t, taker, with.Call)
	c.claimFrom(second.call, taker)
}

// bridgeOf finds the bridge of a call in progress; nil: there is none.
func (s *Service) bridgeOf(id string) *bridge {
	s.mu.Lock()
	c := s.live[id]
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bridge
}

// lend keeps the other side of a leg for another bridge: this one has nothing
// to connect any more and ends when that side has gone over. It returns both;
// nil where the leg, which must be of the extension, has no place here.
func (b *bridge) lend(legID, extension string) (asked, lent *leg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, l := range b.sides {
		if l.id != legID || l.to.extension != extension {
			continue
		}
		other := b.sides[1-at]
		if b.over || b.moving != nil || b.lent != nil || other.ctx.Err() != nil {
			return nil, nil
		}
		b.lent, b.lentAt = other, time.Now()
		b.separate()
		b.wake()
		return l, other
	}
	return nil, nil
}

// takeBack undoes lend.
func (b *bridge) takeBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent = nil
	if !b.over {
		b.connect()
	}
	b.wake()
}
