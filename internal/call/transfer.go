package call

import (
	"fmt"
	"time"

	"perezvon/internal/store"
	"perezvon/sip"
)

// A phone of the office may pass the other side of its call on: without asking
// first (blind), or to somebody it has talked to (attended). We carry it out:
// no REFER leaves the house. The other side stays in its bridge all the while,
// and hears ringback; if nobody takes it, it goes back to who wanted to be rid
// of it. See transferblind.go and handover.go.

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
