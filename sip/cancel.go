package sip

import (
	"context"

	sipmsg "github.com/emiago/sipgo/sip"
)

// sendCancel cancels the INVITE and bounds the wait for its end.
func (o *outgoing) sendCancel() {
	o.timer.Reset(txTimeout)
	o.cancel()
}

// cancel sends CANCEL once, in a transaction of its own.
func (o *outgoing) cancel() {
	o.mu.Lock()
	if o.cancelSent {
		o.mu.Unlock()
		return
	}
	o.cancelSent = true
	invite, reasons := o.req, o.reasons
	o.mu.Unlock()
	rec := o.d.record()
	o.a.spawn(func() {
		if _, err := o.a.sendCancel(context.Background(), &rec, invite.Destination(), reasons); err != nil {
			o.a.log.Info("sip: our CANCEL was not confirmed", "to", invite.Destination(), "why", reasonOf(err), "call_id", rec.CallID)
		}
	})
}

// sendCancel sends the CANCEL to the INVITE of a record: its Request-URI, top
// Via, From, To, Call-ID, Route and CSeq number, to where it went (RFC 3261
// 9.1).
func (a *Agent) sendCancel(ctx context.Context, rec *DialogRecord, dest string, reasons []Reason) (known bool, err error) {
	one := *rec
	one.RemoteTag, one.RouteSet, one.Destination = "", nil, dest
	if uri, err := parseURI(rec.RemoteURI); err == nil {
		one.Target = uri.String() // the record's may be a Contact by now
	}
	req, err := a.request(&one, sipmsg.CANCEL, rec.InviteCSeq, rec.Branch)
	if err != nil {
		return false, err
	}
	addReasons(req, reasons)
	res, err := a.transact(ctx, req)
	return err == nil && res.StatusCode != sipmsg.StatusCallTransactionDoesNotExists, err
}

// late deals with a response that comes after Invite has returned, or after
// another fork has won. A 2xx is acknowledged as often as it comes, and its
// call is ended once.
func (o *outgoing) late(res *sipmsg.Response) {
	if !res.IsProvisional() && o.final != nil {
		select {
		case o.final <- res.StatusCode:
		default:
		}
	}
	switch {
	case res.IsProvisional():
		o.mu.Lock()
		cancel := o.abandoned && o.wantCancel && !o.cancelSent
		o.mu.Unlock()
		if cancel {
			o.cancel()
		}
	case res.IsSuccess():
		o.mu.Lock()
		ack, seen := o.acks[toTag(res)]
		o.mu.Unlock()
		if !seen {
			o.hangUp(res)
		} else if ack != nil {
			_ = ack.send() // comes again if it is lost
		}
	default:
		o.mu.Lock()
		abandoned := o.abandoned
		o.mu.Unlock()
		if abandoned {
			o.ackRefusal(res)
		}
	}
}

// hangUp acknowledges a 2xx that nobody wants, and sends BYE. It is in the
// journal in between: once it has its ACK, the far side would wait for ever for
// the BYE of a process that has died.
func (o *outgoing) hangUp(res *sipmsg.Response) {
	tag := toTag(res)
	o.mu.Lock()
	if o.acks == nil {
		o.acks = make(map[string]*parcel)
	}
	if _, seen := o.acks[tag]; seen && o.acks[tag] == nil {
		o.mu.Unlock()
		return
	}
	o.acks[tag] = nil
	o.busy++
	reasons := o.reasons
	o.mu.Unlock()
	o.a.spawn(func() {
		defer o.hungUp()
		rec := o.fork(res)
		rec.ID += "/" + tag // that of the dialog itself is another record
		defer o.a.journalUnwanted(rec)()
		ack, err := o.ack(&rec)
		if err == nil {
			err = ack.send()
		}
		if err != nil {
			o.a.log.Info("sip: an answer that came too late could not be acknowledged", "to", rec.Destination, "why", reasonOf(err), "call_id", rec.CallID)
			return
		}
		o.mu.Lock()
		o.acks[tag] = ack
		o.mu.Unlock()
		rec.CSeq++
		if _, err := o.a.bye(context.Background(), &rec, reasons); err != nil {
			o.a.log.Info("sip: a phone that answered too late did not confirm our BYE", "to", rec.Destination, "why", reasonOf(err), "call_id", rec.CallID)
		}
	})
}

// journalUnwanted writes down a dialog that is about to be hung up, and returns
// what forgets it. A disk that fails is no reason to leave the far side waiting.
func (a *Agent) journalUnwanted(rec DialogRecord) (forget func()) {
	ctx, cancel := context.WithTimeout(context.Background(), t1)
	defer cancel()
	if err := a.journal.SaveDialog(rec)(ctx); err != nil {
		a.log.Warn("sip: an answer that came too late is ended without a journal", "why", reasonOf(err), "call_id", rec.CallID)
	}
	return func() { a.journal.DeleteDialog(rec.ID) }
}

func (o *outgoing) hungUp() {
	o.mu.Lock()
	o.busy--
	last := o.busy == 0
	o.mu.Unlock()
	if last && !o.d.confirmed() {
		o.d.finish()
		o.a.calls.move(o.d, phaseLate)
	}
}

// ackRefusal acknowledges a final response whose transaction is gone, so that
// the peer stops repeating it (RFC 3261 17.1.1.3).
func (o *outgoing) ackRefusal(res *sipmsg.Response) {
	rec := o.d.record()
	rec.RemoteTag = toTag(res)
	o.mu.Lock()
	rec.Destination = o.req.Destination()
	o.mu.Unlock()
	if uri, err := parseURI(rec.RemoteURI); err == nil {
		rec.Target, rec.RouteSet = uri.String(), nil
	}
	req, err := o.a.request(&rec, sipmsg.ACK, rec.InviteCSeq, rec.Branch)
	if err != nil {
		return
	}
	if p, err := o.a.parcel(&rec, req); err == nil {
		_ = p.send() // comes again if it is lost
	}
}
