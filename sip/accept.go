package sip

import (
	"context"
	"errors"
	"slices"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// accept makes a dialog of a 2xx: the ACK at once, then the media.
func (o *outgoing) accept(ctx context.Context, res *sipmsg.Response) (*Dialog, *Failure) {
	rec := o.fork(res)
	ack, err := o.ack(&rec)
	if err == nil {
		err = ack.send()
	}
	if ack != nil {
		o.mu.Lock()
		o.acks = map[string]*parcel{rec.RemoteTag: ack}
		o.mu.Unlock()
	}
	if err != nil {
		o.settle()
		o.hangUp(res)
		f := o.failure(Transport, res)
		f.Err = err
		return nil, f
	}
	rec = o.d.confirm(rec)
	o.d.answered(res)
	o.a.journal.SaveDialog(rec) // an answered call does not wait for the disk
	err = o.media(res, rec.RemoteTag)
	o.settle()
	o.d.mu.Lock()
	o.d.offering = false
	o.d.mu.Unlock()
	if err == nil || isDone(o.d) { // who hangs up at once has answered all the same
		o.d.endEarly()
		return o.d, nil
	}
	reason := Reason{Protocol: "SIP", Cause: 488, Text: "Not Acceptable Here"}
	o.a.spawn(func() { _ = o.d.Bye(context.WithoutCancel(ctx), reason) })
	f := o.failure(BadMedia, res)
	f.Err = err
	return nil, f
}

// isDone reports whether a dialog is over.
func isDone(d *Dialog) bool {
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// media takes the session description of the 2xx. Where it has none, that of
// an earlier 183 of the same fork counts; the 183 may have been overtaken.
func (o *outgoing) media(res *sipmsg.Response, tag string) error {
	if body := sdpBody(res); body != nil {
		return o.d.acceptAnswer(body)
	}
	deadline := time.NewTimer(lateAnswer)
	defer deadline.Stop()
	for {
		if o.early != nil && (o.earlyTag == tag || o.earlyTag == "") {
			return nil
		}
		select {
		case <-deadline.C:
			return errors.New("the answer has no session description")
		case <-o.a.dead:
			return ErrClosed
		case <-o.signal:
		}
		o.mu.Lock()
		queue := o.queue
		o.queue = nil
		o.mu.Unlock()
		var rest []*sipmsg.Response
		for _, r := range queue {
			if r.IsSuccess() {
				rest = append(rest, r)
			} else if r.StatusCode >= 180 {
				o.earlyMedia(r, toTag(r))
			}
		}
		o.mu.Lock()
		o.queue = append(rest, o.queue...)
		o.mu.Unlock()
	}
}

// fork returns the record of the dialog that a 2xx makes. The route set is
// built here, once, in reverse order (RFC 3261 12.1.2).
func (o *outgoing) fork(res *sipmsg.Response) DialogRecord {
	rec := o.d.record()
	rec.RemoteTag, rec.State = toTag(res), StateConfirmed
	if c := contactOf(res); c != "" {
		rec.Target = c
	}
	rec.RouteSet = recordRoutes(res)
	slices.Reverse(rec.RouteSet)
	if contactOf(res) == "" && len(rec.RouteSet) == 0 {
		rec.Destination = o.dest.String() // the target is still the INVITE's
		return rec
	}
	if err := o.a.aim(o.a.base, &rec, sourceOf(res)); err != nil {
		o.a.log.Info("sip: contact or route of the answer is not usable", "call_id", rec.CallID, "error", err)
		rec.RouteSet, rec.Target = nil, o.plan.target
		rec.Destination = sourceOf(res).String()
	}
	return rec
}

// ack renders the ACK to a 2xx: a request of its own in the dialog, with the
// CSeq of the INVITE and its credentials (RFC 3261 13.2.2.4, 22.1).
func (o *outgoing) ack(rec *DialogRecord) (*parcel, error) {
	req, err := o.a.request(rec, sipmsg.ACK, rec.InviteCSeq, newBranch())
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	copyCredentials(req, o.req)
	o.mu.Unlock()
	return o.a.parcel(rec, req)
}

// crossed ends a call that was answered while we cancelled it.
func (o *outgoing) crossed(res *sipmsg.Response) {
	o.hangUp(res) // moves the dialog on when that is done
	o.settle()
}

// settle ends run's part: from now on responses go to late, those that wait
// first. What can come is over after 64*T1.
func (o *outgoing) settle() {
	if o.tx != nil {
		o.tx.Terminate()
	}
	for {
		queue := o.take()
		o.mu.Lock()
		if len(queue) == 0 && len(o.queue) == 0 {
			o.over = true
			o.slim()
			o.mu.Unlock()
			break
		}
		o.mu.Unlock()
		for _, res := range queue {
			o.late(res)
		}
	}
	o.a.after(txTimeout, o.d.forgetOutgoing)
}

// slim lets go of what late has no use for: a busy server keeps many thousand
// INVITEs for their 64*T1, and with them all that they point to. o.mu is held.
func (o *outgoing) slim() {
	p := *o.plan
	p.inv.Media, p.inv.OnProgress, p.inv.OnInfo = nil, nil, nil
	o.plan, o.offer, o.early = &p, nil, nil
}

// abandon leaves an INVITE without a final response: nothing is retransmitted
// any more, and what still comes is ended by late.
func (o *outgoing) abandon() {
	o.mu.Lock()
	o.abandoned, o.wantCancel = true, true
	o.mu.Unlock()
	o.settle()
	o.a.calls.move(o.d, phaseLate)
}
