package sip

import (
	"net/netip"

	sipmsg "github.com/emiago/sipgo/sip"
)

// serveReinvite answers an INVITE inside the dialog: hold, resume, a refresh,
// another address. Without an offer it makes one, and the ACK brings the
// answer.
func (d *Dialog) serveReinvite(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	if d.refuseBrief(req, tx) {
		return
	}
	d.mu.Lock()
	var refuse func()
	if d.over {
		refuse = func() {
			d.a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		}
	} else if refuse = d.collides(req, tx); refuse == nil {
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
	d.retarget(contactOf(req), sourceOf(req))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return // a BYE was faster: without a response the transaction just ends
	}
	res, g := d.okay(req, body)
	p := &acking{tx: tx, res: res, seq: req.CSeq().SeqNo, offered: offer == nil}
	if err := d.sendOK(p); err != nil {
		d.a.log.Info("sip: answer to a re-INVITE", "call_id", d.callID, "error", err)
		return
	}
	d.learn(req)
	d.hold(g)
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

// retarget is the target refresh of RFC 3261 12.2: a request or a 2xx of the
// peer may bring a new Contact. Before our INVITE is answered there is nothing
// to refresh: its 2xx says where the target is.
func (d *Dialog) retarget(contact string, source netip.AddrPort) {
	rec := d.record()
	if contact == "" || contact == rec.Target || rec.Role == RoleUAC && rec.State != StateConfirmed {
		return
	}
	rec.Target = contact
	if err := d.a.aim(d.a.base, &rec, source); err != nil {
		d.a.log.Info("sip: new contact is not usable", "call_id", d.callID, "error", err)
		return
	}
	rec = d.update(func(r *DialogRecord) { r.follow(rec) })
	d.holdAddr(d.RemoteAddr().Addr())
	d.a.journal.SaveDialog(rec)
}

// okay is the 2xx to an INVITE or UPDATE of the peer, and what it agrees to
// about the session. d.mu is held.
func (d *Dialog) okay(req *sipmsg.Request, body []byte) (*sipmsg.Response, agreement) {
	var g agreement
	if req.Method == sipmsg.INVITE || d.rec.State == StateConfirmed { // an early session does not expire
		g = termsOf(req).answer(d.agreed())
	}
	headers := append([]sipmsg.Header{sipmsg.NewHeader("Contact", d.rec.Contact), sipmsg.NewHeader("Allow", allowed)}, g.headers()...)
	return d.a.response(req, sipmsg.StatusOK, "OK", body, headers...), g
}

// refuseBrief answers 422 where the peer asks for a session that is shorter
// than we allow (RFC 4028 section 9).
func (d *Dialog) refuseBrief(req *sipmsg.Request, tx *sipmsg.ServerTx) bool {
	if !termsOf(req).tooBrief() {
		return false
	}
	d.a.respond(req, tx, tooSmall, "Session Interval Too Small", minSE(minSession))
	return true
}
