package sip

import (
	"errors"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// sendRefresh asks the peer to keep the session: by UPDATE where it takes
// that, else by a re-INVITE that repeats our description as it is, with the
// same version (RFC 4028 section 7.4). It returns the final response.
func (d *Dialog) sendRefresh(s *session) (*sipmsg.Response, error) {
	login := d.a.login(d.record().Trunk)
	for {
		d.mu.Lock()
		update := d.updates
		d.mu.Unlock()
		var res *sipmsg.Response
		var err error
		if update {
			res, err = d.sendUpdate(s, &login)
		} else {
			res, err = d.sendReinvite(s, &login)
		}
		if err != nil || !isChallenge(res) || !login.challenged(res) {
			return res, err
		}
	}
}

// refreshing builds a request that refreshes the session and the target.
func (d *Dialog) refreshing(s *session, method sipmsg.RequestMethod, body []byte, login *login) (*sipmsg.Request, error) {
	rec := d.update(func(r *DialogRecord) { r.CSeq++ })
	d.a.journal.SaveDialog(rec) // the BYE after a crash needs a higher number
	req, err := d.a.request(&rec, method, rec.CSeq, newBranch())
	if err != nil {
		return nil, err
	}
	req.AppendHeader(sipmsg.NewHeader("Contact", rec.Contact))
	req.AppendHeader(sipmsg.NewHeader("Allow", allowed))
	d.mu.Lock()
	least := d.minSE
	d.mu.Unlock()
	for _, h := range askFor(s.interval, least, refresherUAC) {
		req.AppendHeader(h)
	}
	if body != nil {
		kind := sipmsg.ContentTypeHeader(sdpType)
		req.AppendHeader(&kind)
		req.SetBody(body)
	}
	return req, login.sign(req)
}

func (d *Dialog) sendUpdate(s *session, login *login) (*sipmsg.Response, error) {
	req, err := d.refreshing(s, sipmsg.UPDATE, nil, login)
	if err != nil {
		return nil, err
	}
	res, err := d.a.transact(d.a.base, req)
	if err == nil && res.IsSuccess() {
		d.retarget(contactOf(res), sourceOf(res))
	}
	return res, err
}

// sendReinvite sends the re-INVITE and acknowledges its answer. The error is
// errGlare where another INVITE is under way.
func (d *Dialog) sendReinvite(s *session, login *login) (*sipmsg.Response, error) {
	d.mu.Lock()
	if d.busy || d.offering || d.pending != nil {
		d.mu.Unlock()
		return nil, errGlare
	}
	d.offering = true
	body := d.local
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.offering = false
	}()
	req, err := d.refreshing(s, sipmsg.INVITE, body, login)
	if err != nil {
		return nil, err
	}
	widened := d.a.widen(d.a.base, req)
	tx, err := d.a.begin(d.a.base, req)
	if err != nil {
		return nil, &Failure{Kind: Transport, Destination: req.Destination(), Err: err}
	}
	res, err := d.a.final(tx, req)
	if f, ok := errors.AsType[*Failure](err); ok && widened { // whoever listens there does not speak SIP
		f.stale = true
		d.a.narrow(d.RemoteAddr(), f.Err)
	}
	if err != nil || !res.IsSuccess() {
		return res, err
	}
	return res, d.acknowledge(req, res, tx)
}

// final waits for the final response to a re-INVITE. Nobody rings for it, so a
// provisional one does not buy more time.
func (a *Agent) final(tx *sipmsg.ClientTx, req *sipmsg.Request) (*sipmsg.Response, error) {
	timer := time.NewTimer(txTimeout)
	defer timer.Stop()
	silent := &Failure{Kind: NoResponse, Destination: req.Destination(), Waited: txTimeout, Err: sipmsg.ErrTransactionTimeout}
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			if err := tx.Err(); !errors.Is(err, sipmsg.ErrTransactionTimeout) {
				return nil, &Failure{Kind: Transport, Destination: req.Destination(), Err: err}
			}
			return nil, silent
		case <-timer.C:
			tx.Terminate()
			return nil, silent
		case <-a.dead:
			return nil, ErrClosed
		}
	}
}

// acknowledge sends the ACK to the 2xx of a re-INVITE, with that request's
// CSeq and credentials, as often as the 2xx comes, and takes the answer.
func (d *Dialog) acknowledge(req *sipmsg.Request, res *sipmsg.Response, tx *sipmsg.ClientTx) error {
	d.retarget(contactOf(res), sourceOf(res))
	rec := d.record()
	msg, err := d.a.request(&rec, sipmsg.ACK, req.CSeq().SeqNo, newBranch())
	if err != nil {
		return err
	}
	copyCredentials(msg, req)
	ack, err := d.a.parcel(&rec, msg)
	if err != nil {
		return err
	}
	tx.OnRetransmission(func(*sipmsg.Response) { _ = ack.send() }) // comes again if it is lost
	if err := ack.send(); err != nil {
		return &Failure{Kind: Transport, Destination: rec.Destination, Err: err}
	}
	if body := sdpBody(res); body != nil && !d.isOver() {
		if err := d.acceptAnswer(body); err != nil {
			d.a.log.Info("sip: answer to a re-INVITE not accepted", "call_id", d.callID, "error", err)
		}
	}
	return nil
}

func copyCredentials(to, from *sipmsg.Request) {
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if hs := headersOf(from, name); len(hs) > 0 {
			to.AppendHeader(sipmsg.HeaderClone(hs[0]))
		}
	}
}
