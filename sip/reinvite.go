package sip

import (
	sipmsg "github.com/emiago/sipgo/sip"
)

// serveReinvite answers an INVITE inside the dialog: hold, resume, a refresh,
// another address. Without an offer it makes one, and the ACK brings the
// answer.
func (d *Dialog) serveReinvite(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	d.mu.Lock()
	var refuse func()
	switch {
	case d.over:
		refuse = func() {
			d.a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		}
	case d.busy, d.in != nil: // RFC 3261 14.2
		refuse = func() {
			d.a.respond(req, tx, sipmsg.StatusInternalServerError, "Server Internal Error", retryAfter(2))
		}
	case d.rec.State != StateConfirmed, d.pending != nil: // our INVITE, or our 200, is not settled
		refuse = func() { d.a.respond(req, tx, sipmsg.StatusRequestPending, "Request Pending") }
	default:
		d.busy = true
	}
	d.mu.Unlock()
	if refuse != nil {
		refuse()
		return
	}
	defer func() {
		d.mu.Lock()
		d.busy = false
		d.mu.Unlock()
	}()

	offer := sdpBody(req)
	body, ok := d.negotiate(req, tx, offer)
	if !ok {
		return
	}
	d.retarget(req)
	res := d.okay(req, body)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return // a BYE was faster: without a response the transaction just ends
	}
	p := &acking{tx: tx, res: res, seq: req.CSeq().SeqNo, offered: offer == nil}
	if err := d.sendOK(p); err != nil {
		d.a.log.Info("sip: answer to a re-INVITE", "call_id", d.callID, "error", err)
	}
}

// serveUpdate answers an UPDATE (RFC 3311): with an offer as a re-INVITE,
// without one as a refresh.
func (d *Dialog) serveUpdate(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	offer := sdpBody(req)
	d.mu.Lock()
	over, early, busy := d.over, d.rec.State != StateConfirmed, d.busy || d.pending != nil
	d.mu.Unlock()
	switch {
	case over:
		d.a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		return
	case offer != nil && (early || busy):
		d.a.respond(req, tx, sipmsg.StatusRequestPending, "Request Pending")
		return
	}
	var body []byte
	if offer != nil {
		var ok bool
		if body, ok = d.negotiate(req, tx, offer); !ok {
			return
		}
	}
	d.retarget(req)
	if err := tx.Respond(d.okay(req, body)); err != nil {
		d.a.log.Info("sip: answer to an UPDATE", "call_id", d.callID, "error", err)
	}
}

// negotiate asks the Negotiator; where it refuses, the peer gets 488 and the
// session stays as it was.
func (d *Dialog) negotiate(req *sipmsg.Request, tx *sipmsg.ServerTx, offer []byte) (body []byte, ok bool) {
	if len(req.Body()) > 0 && offer == nil {
		d.a.respond(req, tx, sipmsg.StatusUnsupportedMediaType, "Unsupported Media Type", sipmsg.NewHeader("Accept", sdpType))
		return nil, false
	}
	var err error
	if offer != nil {
		body, err = d.acceptOffer(offer)
	} else {
		body, err = d.createOffer()
	}
	if err != nil {
		d.a.log.Info("sip: offer in the dialog refused", "call_id", d.callID, "error", err)
		d.a.respond(req, tx, sipmsg.StatusNotAcceptableHere, "Not Acceptable Here")
		return nil, false
	}
	return body, true
}

// retarget is the target refresh of RFC 3261 12.2.2.
func (d *Dialog) retarget(req *sipmsg.Request) {
	contact := contactOf(req)
	rec := d.record()
	if contact == "" || contact == rec.Target {
		return
	}
	rec.Target = contact
	if err := d.a.aim(d.a.base, &rec, sourceOf(req)); err != nil {
		d.a.log.Info("sip: new contact is not usable", "call_id", d.callID, "error", err)
		return
	}
	rec = d.update(func(r *DialogRecord) { r.Target, r.Destination = rec.Target, rec.Destination })
	d.holdAddr(d.RemoteAddr().Addr())
	d.a.journal.SaveDialog(rec)
}

func (d *Dialog) okay(req *sipmsg.Request, body []byte) *sipmsg.Response {
	return d.a.response(req, sipmsg.StatusOK, "OK", body,
		sipmsg.NewHeader("Contact", d.record().Contact), sipmsg.NewHeader("Allow", allowed))
}
