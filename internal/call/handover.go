package call

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/store"
	"perezvon/sip"
)

// Who is transferred after a consultation leaves the call he was in, which is
// over then, and goes on in another: the phone, the dialog and the sound are the
// same, the record, the context and the bridge are the other call's.

// transferTo joins the other side with the one whom the phone has talked to in
// another call of ours.
func (b *bridge) transferTo(t *transferring, with sip.DialogRef) moving {
	c := b.call
	second := c.svc.bridgeOf(with.Call)
	if second == nil || second == b {
		c.decide(fmt.Sprintf("%s wants to transfer the call to somebody it does not talk to", t.asker.to))
		return moving{status: 404}
	}
	asked, lent := second.lend(with.Leg, t.asker.to.extension)
	if lent == nil {
		c.decide(fmt.Sprintf("%s wants to transfer the call into another that is over, or that it has no part in", t.asker.to))
		return moving{status: 404}
	}
	taker := b.replaceWith(t.asker, func() *leg { return b.handOver(t, lent, asked) })
	if taker == nil {
		second.takeBack()
		return moving{status: 487}
	}
	c.decide(fmt.Sprintf("%s transfers the call to %s, after talking to them", t.asker.to, taker.to))
	c.legs.Go(func() { c.claimFrom(second.call, taker) })
	return b.transferred(t, taker, with.Call)
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

// handOver makes a leg of another call one of this bridge's call, in the role of
// who wants the transfer, and ends it there: asked is the phone's leg beside it.
// It is nil where the leg is being hung up already.
func (b *bridge) handOver(t *transferring, lent, asked *leg) (taker *leg) {
	lent.once.Do(func() {
		taker = &leg{
			call: b.call, id: lent.id, party: t.asker.party, to: lent.to, media: lent.media, dialog: lent.dialog,
			turned: make(chan struct{}, 1), leave: lent.leave,
		}
		taker.dialog.SetRef(sip.DialogRef{Call: b.call.rec.ID, Leg: taker.id})
		taker.ctx, taker.cancel = context.WithCancelCause(b.call.ctx)
		now := time.Now()
		rec := b.call.Record()
		asker := findLeg(&rec, t.asker.id)
		b.call.recordLeg(store.EventLegAnswered, taker.id, func(r *store.Leg) {
			*r = store.Leg{
				ID: taker.id, Number: lent.to.number, Trunk: lent.to.at.Trunk, Extension: lent.to.extension,
				State: store.LegAnswered, StartedAt: now, AnsweredAt: &now, SIPCode: 200,
			}
			if asker != nil {
				r.Role = asker.Role
			}
		})
		why := &EndReason{By: asked.party, Q850: causeNormal, Text: fmt.Sprintf("%s joined it with call %s", asked.to, rec.ID)}
		stats := lent.media.Stats()
		lent.call.recordLeg(store.EventLegEnded, lent.id, func(r *store.Leg) {
			r.State, r.EndedAt, r.Reason, r.Quality, r.Q850 = store.LegEnded, &now, why.Error(), quality(stats), why.Q850
		})
		lent.heir.Store(taker)
		if cause := context.Cause(lent.ctx); cause != nil { // in this very moment
			taker.cancel(cause)
		}
		lent.cancel(why)
	})
	return taker
}

// now is what a leg has become.
func (l *leg) now() *leg {
	for heir := l.heir.Load(); heir != nil; heir = l.heir.Load() {
		l = heir
	}
	return l
}

// end says that the far side has gone.
func (l *leg) end(why *EndReason) {
	l.cancel(why)
	if heir := l.heir.Load(); heir != nil {
		heir.end(why)
	}
}

// seeOff waits a moment for the phone to hang up that has passed the other side
// of a bridge on to another; for nobody where that has not happened.
func (b *bridge) seeOff() {
	b.mu.Lock()
	lent, asked := b.lent, b.sides[managerSide]
	if asked == lent {
		asked = b.sides[customerSide]
	}
	b.mu.Unlock()
	if lent != nil && lent.heir.Load() != nil {
		b.call.farewell(asked)
	}
}

// claimFrom keeps callbacks away from somebody outside who has come over from
// another call, as that did until its end.
func (c *Call) claimFrom(other *Call, l *leg) {
	select {
	case <-other.ended:
		c.claimWhile(l)
	case <-l.ctx.Done():
	}
}

// claimWhile keeps callbacks away from somebody outside as long as a leg lasts.
func (c *Call) claimWhile(l *leg) {
	if l.to.extension == "" {
		defer c.claimNumber(l.to.number)()
		<-l.ctx.Done()
	}
}
