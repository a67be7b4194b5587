package sip

import (
	"slices"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// serve handles a request that began a transaction, in a goroutine of its own.
func (a *Agent) serve(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	if !a.enter() {
		tx.Terminate()
		return
	}
	defer a.leave()
	// Without a final response the transaction ends here; with one it stays to
	// repeat it.
	defer tx.TerminateGracefully()
	defer a.rescue(string(req.Method), func() {
		a.respond(req, tx, sipmsg.StatusInternalServerError, "Server Internal Error")
	})
	if req.Method == sipmsg.ACK {
		return // observe has seen it
	}
	if status, phrase := wrong(req); status != 0 {
		a.respond(req, tx, status, phrase)
		return
	}
	switch req.Method {
	case sipmsg.CANCEL, astrayCancel:
		a.serveCancel(req, tx)
		return
	case sipmsg.INVITE:
		if r := a.inbox.claim(inviteKey(req)); r != nil {
			defer a.inbox.release(r)
			a.invited(req, tx, r)
			return
		}
	}
	if d := a.dialogOf(req); d != nil {
		if !a.refuseForeign(d, req, tx) {
			d.serve(req, tx)
		}
		return
	}
	a.serveOther(req, tx)
}

// serveCancel answers a CANCEL that the transaction layer has no INVITE for:
// it never came, it is about to be handled, or it is not the sender's.
func (a *Agent) serveCancel(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	key, f := inviteKey(req), cancelled(req)
	if _, there := a.inbox.side(key); there && !a.mayCancel(key, req) {
		a.refuse(sipmsg.CANCEL, req, tx)
		return
	}
	if a.inbox.remember(key, side{addr: sourceOf(req).Addr()}, f) {
		a.inbox.cancel(key, f) // it may have come between
		a.respond(req, tx, sipmsg.StatusOK, "OK")
		return
	}
	a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
}

// serveOther answers requests outside of dialogs. Who is no configured peer
// gets nothing.
func (a *Agent) serveOther(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	if toTag(req) != "" {
		a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		return
	}
	if req.Method == sipmsg.REGISTER && a.peers.registrar() {
		if !a.refuseRequired(req, tx) {
			a.serveRegister(req, tx)
		}
		return
	}
	if trunks, ext := a.whose(req); len(trunks) == 0 && ext == "" {
		return
	}
	allow := sipmsg.NewHeader("Allow", allowed)
	if req.Method != sipmsg.OPTIONS {
		a.respond(req, tx, sipmsg.StatusMethodNotAllowed, "Method Not Allowed", allow)
		return
	}
	if a.refuseRequired(req, tx) {
		return
	}
	if a.isClosing() {
		a.respond(req, tx, sipmsg.StatusServiceUnavailable, "Service Unavailable", retryAfter(closingRetry))
		return
	}
	a.respond(req, tx, sipmsg.StatusOK, "OK", allow, sipmsg.NewHeader("Accept", sdpType), sipmsg.NewHeader("Supported", timerTag))
}

// refuseRequired answers 420 where the peer insists on an extension that we do
// not have: any but session timers (RFC 3261 8.2.2.3).
func (a *Agent) refuseRequired(req *sipmsg.Request, tx *sipmsg.ServerTx) bool {
	tags := slices.DeleteFunc(optionTags(req, "require"), func(tag string) bool { return strings.EqualFold(tag, timerTag) })
	if len(tags) == 0 {
		return false
	}
	a.respond(req, tx, sipmsg.StatusBadExtension, "Bad Extension", sipmsg.NewHeader("Unsupported", plainText(strings.Join(tags, ", "))))
	return true
}

// serve handles a request inside the dialog.
func (d *Dialog) serve(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	if !d.inOrder(req) {
		d.a.respond(req, tx, sipmsg.StatusInternalServerError, "Server Internal Error: CSeq out of order")
		return
	}
	if req.Method != sipmsg.BYE {
		if d.isOver() {
			d.a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
			return
		}
		if d.a.refuseRequired(req, tx) {
			return
		}
	}
	switch req.Method {
	case sipmsg.BYE:
		d.serveBye(req, tx)
	case sipmsg.INVITE:
		d.serveReinvite(req, tx)
	case sipmsg.UPDATE:
		d.serveUpdate(req, tx)
	case sipmsg.REFER:
		d.serveRefer(req, tx)
	case sipmsg.INFO:
		d.a.respond(req, tx, sipmsg.StatusOK, "OK")
		d.mu.Lock()
		tell := d.onInfo
		d.mu.Unlock()
		if tell != nil {
			tell(contentType(req), req.Body())
		}
	case sipmsg.OPTIONS:
		d.a.respond(req, tx, sipmsg.StatusOK, "OK", sipmsg.NewHeader("Allow", allowed), sipmsg.NewHeader("Accept", sdpType),
			sipmsg.NewHeader("Supported", timerTag))
	case sipmsg.PRACK: // no 18x of ours is reliable (RFC 3262 section 3)
		d.a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
	default:
		d.a.respond(req, tx, sipmsg.StatusMethodNotAllowed, "Method Not Allowed", sipmsg.NewHeader("Allow", allowed))
	}
}

// inOrder takes the CSeq of a request; it must be higher than the last (RFC
// 3261 12.2.2). A retransmission never comes here. Where a number is left out
// the request that bears it may have come before and be handled only now: it
// is waited for.
func (d *Dialog) inOrder(req *sipmsg.Request) bool {
	s := req.CSeq()
	if s == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rec.RemoteCSeq != 0 && s.SeqNo > d.rec.RemoteCSeq+1 {
		d.awaitBefore(s.SeqNo)
	}
	if d.rec.RemoteCSeq != 0 && s.SeqNo <= d.rec.RemoteCSeq {
		return false
	}
	d.rec.RemoteCSeq = s.SeqNo
	if d.next != nil {
		close(d.next)
		d.next = nil
	}
	return true
}

// overtaken is how long the request before is waited for.
const overtaken = 20 * time.Millisecond

// awaitBefore waits until the request with the number before seq has been
// taken, if it is soon. d.mu is held when it begins and when it returns.
func (d *Dialog) awaitBefore(seq uint32) {
	limit := time.NewTimer(overtaken)
	defer limit.Stop()
	for d.rec.RemoteCSeq+1 < seq {
		if d.next == nil {
			d.next = make(chan struct{})
		}
		next := d.next
		d.mu.Unlock()
		late := false
		select {
		case <-next:
		case <-limit.C:
			late = true
		}
		d.mu.Lock()
		if late {
			return
		}
	}
}

func (d *Dialog) serveBye(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	reasons := messageReasons(req)
	d.a.respond(req, tx, sipmsg.StatusOK, "OK")
	e := Ended{By: ByRemote, Reasons: reasons}
	d.mu.Lock()
	in := d.in
	ours := d.rec.Role == RoleUAC && d.rec.State != StateConfirmed
	if ours { // behind a 2xx that is being worked on, or from nobody
		d.byeEarly = &e
	}
	d.mu.Unlock()
	switch {
	case in != nil: // a BYE in place of a CANCEL, RFC 3261 15
		in.abort(&Failure{Kind: Cancelled, Status: sipmsg.StatusRequestTerminated, Reasons: reasons}, true)
	case !ours:
		d.end(e, false)
	}
}

// endEarly ends a dialog whose BYE came before it was known to be one.
func (d *Dialog) endEarly() {
	d.mu.Lock()
	e := d.byeEarly
	d.mu.Unlock()
	if e != nil {
		d.end(*e, false)
	}
}

func (d *Dialog) isOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}
