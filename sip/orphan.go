package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	sipmsg "github.com/emiago/sipgo/sip"
)

// EndOrphan ends a dialog of an earlier process from its journal record:
// BYE for a confirmed one; for our INVITE without a final response CANCEL with
// its branch, where a 2xx that comes all the same gets ACK and BYE; for the
// peer's INVITE a 503. It returns when the peer has answered, or with an error
// when it has not. Deleting the record is up to the caller's journal; it is
// told so once the end is certain.
func (a *Agent) EndOrphan(ctx context.Context, rec DialogRecord, why Reason) error {
	if !a.enter() {
		return fmt.Errorf("end orphan: %w", ErrClosed)
	}
	defer a.leave()
	if err := a.adopt(&rec); err != nil {
		return fmt.Errorf("end orphan: %w", err)
	}
	var err error
	switch {
	case rec.State == StateConfirmed:
		rec.CSeq++
		err = a.bye(ctx, &rec, []Reason{why})
	case rec.Role == RoleUAC:
		err = a.cancelOrphan(ctx, &rec, why)
	default:
		err = a.refuseOrphan(&rec, why)
	}
	if err != nil {
		return fmt.Errorf("end orphan: %w", err)
	}
	a.journal.DeleteDialog(rec.ID)
	return nil
}

// adopt checks a record and gives it a socket of today.
func (a *Agent) adopt(rec *DialogRecord) error {
	dest, err := netip.ParseAddrPort(rec.Destination)
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	if rec.LocalTag == "" || rec.CallID == "" {
		return errors.New("record has no Call-ID or tag")
	}
	l, _ := a.listenerFor(dest.Addr())
	rec.Listener = l.local.String()
	return nil
}

// cancelOrphan lets the INVITE live again as an abandoned one, so that what
// still comes to it is dealt with, and cancels it.
func (a *Agent) cancelOrphan(ctx context.Context, rec *DialogRecord, why Reason) error {
	d := newDialog(a, *rec, nil, nil)
	dest, _ := netip.ParseAddrPort(rec.Destination) // adopt has looked
	target, err := parseURI(rec.RemoteURI)
	if err != nil {
		return err
	}
	one := *rec
	one.RemoteTag, one.RouteSet, one.Target = "", nil, target.String()
	req, err := a.request(&one, sipmsg.INVITE, rec.InviteCSeq, rec.Branch)
	if err != nil {
		return err
	}
	o := &outgoing{
		a: a, d: d, dest: dest, req: req, plan: &plan{target: target.String()},
		over: true, abandoned: true, wantCancel: true, cancelSent: true, reasons: []Reason{why},
	}
	d.out = o
	a.calls.add(d, phaseLate)
	d.holdAddr(dest.Addr())
	a.after(txTimeout, d.forgetOutgoing)
	err = a.sendCancel(ctx, rec, rec.Destination, o.reasons)
	if err != nil && rec.RemoteTag == "" {
		return err
	}
	if rec.RemoteTag != "" {
		// It may have been answered and acknowledged just before the end: a
		// BYE to the tag that rang is refused with 481 if it was not.
		bye := *rec
		bye.CSeq++
		err = errors.Join(err, a.bye(ctx, &bye, o.reasons))
	}
	return err
}

// refuseOrphan answers the peer's INVITE without its transaction: from what
// the record has kept of it.
func (a *Agent) refuseOrphan(rec *DialogRecord, why Reason) error {
	res := sipmsg.NewResponse(sipmsg.StatusServiceUnavailable, "Service Unavailable")
	for _, v := range rec.Vias {
		res.AppendHeader(sipmsg.NewHeader("Via", v))
	}
	res.AppendHeader(sipmsg.NewHeader("From", tagged(rec.RemoteURI, rec.RemoteTag)))
	res.AppendHeader(sipmsg.NewHeader("To", tagged(rec.LocalURI, rec.LocalTag)))
	res.AppendHeader(sipmsg.NewHeader("Call-ID", rec.CallID))
	res.AppendHeader(sipmsg.NewHeader("CSeq", strconv.FormatUint(uint64(rec.InviteCSeq), 10)+" INVITE"))
	res.AppendHeader(retryAfter(1))
	addReasons(res, []Reason{why})
	res.SetBody(nil)
	p, err := a.parcel(rec, res)
	if err != nil {
		return err
	}
	return p.send()
}
