package sip

import sipmsg "github.com/emiago/sipgo/sip"

// serveUpdate answers an UPDATE (RFC 3311): with an offer as a re-INVITE,
// without one as a refresh, which may come before the call is answered.
func (d *Dialog) serveUpdate(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	offer := sdpBody(req)
	if len(req.Body()) > 0 && offer == nil {
		d.a.respond(req, tx, sipmsg.StatusUnsupportedMediaType, "Unsupported Media Type", sipmsg.NewHeader("Accept", sdpType))
		return
	}
	if d.refuseBrief(req, tx) || !d.beginUpdate(req, tx, offer != nil) {
		return
	}
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.updating = false
		if offer != nil {
			d.busy = false
		}
	}()
	var body []byte
	if offer != nil {
		var ok bool
		if body, ok = d.negotiate(req, tx, offer); !ok {
			return
		}
	}
	d.retarget(contactOf(req), sourceOf(req))
	d.mu.Lock()
	defer d.mu.Unlock()
	res, g := d.okay(req, body)
	if err := tx.Respond(res); err != nil {
		d.a.log.Info("sip: answer to an UPDATE", "call_id", d.callID, "error", err)
		return
	}
	d.learn(req)
	d.hold(g)
}

// beginUpdate answers an UPDATE that cannot be served now, and is false then.
func (d *Dialog) beginUpdate(req *sipmsg.Request, tx *sipmsg.ServerTx, offered bool) bool {
	d.mu.Lock()
	var refuse func()
	switch {
	case d.over:
		refuse = func() {
			d.a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		}
	case d.updating: // RFC 3311 5.2
		refuse = func() {
			d.a.respond(req, tx, sipmsg.StatusInternalServerError, "Server Internal Error", retrySoon())
		}
	case offered:
		refuse = d.collides(req, tx)
	}
	if refuse == nil {
		d.updating = true
		d.busy = d.busy || offered
	}
	d.mu.Unlock()
	if refuse != nil {
		refuse()
	}
	return refuse == nil
}
