package call

import (
	"fmt"
	"sync/atomic"
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
	rings        atomic.Bool  // was told
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
		return b.beginTransfer(&transferring{asker: l, tell: func(m moving) { r.Notify(m.status) }}, func(t *transferring) moving {
			if r.Replaces != nil {
				return b.transferTo(t, *r.Replaces)
			}
			return b.transferBlind(t, r.User)
		})
	})
}

// beginTransfer reserves the bridge for a transfer by one of its sides and
// carries it out beside the talk; false means that the talk is over, or that
// another transfer is under way. How it ended is told once another may begin.
func (b *bridge) beginTransfer(t *transferring, carryOut func(*transferring) moving) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.placeOf(t.asker)
	if !ok || b.over || b.moving != nil || b.lent != nil {
		return false
	}
	t.other = b.sides[1-at]
	b.moving = t
	b.call.legs.Go(func() { // under b.mu: the call waits for it once the bridge is over
		if end := carryOut(t); end.status < 300 {
			b.endTransfer()
			t.tell(end)
			b.call.farewell(t.asker)
		} else {
			b.inVain(t, end)
		}
	})
	return true
}

// inVain ends a transfer that has come to nothing. A phone may have hung up in
// the belief that all is well before it hears of it: its word is on its way then.
func (b *bridge) inVain(t *transferring, end moving) {
	if t.by == "" {
		b.rejoin(t.asker)
		t.tell(end)
		await(t.asker, afterthought)
		b.giveBack(t)
		b.endTransfer()
		return
	}
	b.giveBack(t)
	b.endTransfer()
	t.tell(end)
}

// afterthought is how long the BYE of a phone may be under way that has not
// heard yet that its transfer came to nothing.
const afterthought = 500 * time.Millisecond

// endTransfer lets the bridge depend on both of its sides again.
func (b *bridge) endTransfer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moving = nil
	b.wake()
}

// transferred records that another leg has taken the place of the phone that
// wanted to be rid of the call.
func (b *bridge) transferred(t *transferring, taker *leg, with string) moving {
	b.note(taker)
	data := transferData{By: t.asker.to.number, To: taker.to.number, Call: with, Key: t.by}
	b.call.change(store.EventTransferred, data, func(*store.Call) {})
	return moving{status: 200}
}

// transferData is the content of a call.transferred event.
type transferData struct {
	By   string `json:"by"`             // who has passed the call on
	To   string `json:"to"`             // who has it now
	Call string `json:"call,omitempty"` // the other call, of an attended transfer
	Key  string `json:"key,omitempty"`  // name of the API key that asked for it; empty: the phone did
}

// note keeps who talks now in the record.
func (b *bridge) note(taker *leg) {
	b.mu.Lock()
	at, ok := b.placeOf(taker)
	b.mu.Unlock()
	if !ok {
		return
	}
	b.call.change("", nil, func(r *store.Call) {
		if who := b.call.endpointOf(r, taker.id); at == managerSide {
			r.Manager = who
		} else {
			r.Customer = who
		}
	})
}

// farewell waits for a phone to hang up, a moment only.
func (c *Call) farewell(l *leg) {
	await(l, goodbye)
	l.hangup(errTransferred)
}

// await waits until a leg has gone, for a limited time.
func await(l *leg, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
	case <-timer.C:
	}
}
