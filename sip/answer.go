package sip

import (
	"context"
	"fmt"
	"net/netip"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Answer accepts the call: it makes the session description, journals the
// dialog and waits for that, sends 200 and returns. The 200 is repeated until
// its ACK comes; if none does, the dialog ends with ByNoAck. Without an offer
// in the INVITE the 200 carries ours and the ACK brings the answer.
//
// The error is ErrAnswered, the *Failure with which the caller gave up, or a
// *Failure of kind BadMedia, Internal or Transport; the INVITE is refused then.
func (in *Incoming) Answer(ctx context.Context, n Negotiator, ref DialogRef) (*Dialog, error) {
	in.mu.Lock()
	err := in.open()
	if err == nil && in.answered {
		err = ErrAnswered
	}
	if err != nil {
		in.mu.Unlock()
		return nil, err
	}
	in.answered = true
	body, have := in.answer, in.answer != nil && in.media == n
	in.mu.Unlock()

	offer := in.Offer()
	in.d.SetMedia(n)
	switch {
	case have:
	case offer != nil:
		body, err = in.d.acceptOffer(offer)
	default:
		body, err = in.d.createOffer()
	}
	if err != nil {
		_ = in.Reject(sipmsg.StatusNotAcceptableHere, "") // the error below says more
		return nil, &Failure{Kind: BadMedia, Err: err}
	}
	rec := in.d.update(func(r *DialogRecord) { r.Ref = ref })
	in.Bind(ref)
	rec.State, rec.Vias = StateConfirmed, nil
	if err := in.a.journal.SaveDialog(rec)(ctx); err != nil {
		_ = in.Reject(sipmsg.StatusInternalServerError, "") // the error below says more
		return nil, &Failure{Kind: Internal, Err: fmt.Errorf("journal: %w", err)}
	}
	return in.accept(rec, body, offer == nil)
}

// accept sends the 200. Between a CANCEL and this only one can win: both hold
// in.mu.
func (in *Incoming) accept(rec DialogRecord, body []byte, offered bool) (*Dialog, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.open(); err != nil {
		return nil, err
	}
	in.final = true
	in.quiet()
	d := in.d
	d.mu.Lock()
	rec.CSeq, rec.RemoteCSeq = d.rec.CSeq, d.rec.RemoteCSeq
	rec.Target, rec.Destination = d.rec.Target, d.rec.Destination // an UPDATE may have brought another
	d.rec, d.in = rec, nil
	res, g := d.okay(in.req, body)
	err := d.sendOK(&acking{tx: in.tx, res: res, seq: rec.InviteCSeq, offered: offered, initial: true})
	if err == nil {
		d.learn(in.req)
		d.hold(g)
	}
	d.mu.Unlock()
	if err != nil {
		d.end(Ended{By: ByNoAck}, false)
		return nil, &Failure{Kind: Transport, Err: err}
	}
	if to, err := netip.ParseAddrPort(rec.Destination); err == nil {
		d.holdAddr(to.Addr())
	}
	in.a.answered.Add(1)
	in.a.guard.answered(sourceOf(in.req).Addr())
	in.a.calls.move(d, phaseOpen)
	return d, nil
}
