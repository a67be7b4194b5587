package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// EndOrphan ends a dialog of an earlier process from its journal record:
// BYE for a confirmed one; for our INVITE without a final response CANCEL with
// its branch, where a 2xx that comes all the same gets ACK and BYE; for the
// peer's INVITE a 503. It returns when the peer has answered, or with an error
// when it has not. Deleting the record is up to the caller, who may have to
// write down first what became of it.
//
// answered says that somebody picked up, or may have done so in the moment
// that the journal misses: whoever must not be called twice is not called
// again then.
func (a *Agent) EndOrphan(ctx context.Context, rec DialogRecord, why Reason) (answered bool, err error) {
	if !a.enter() {
		return true, fmt.Errorf("end orphan: %w", ErrClosed)
	}
	defer a.leave()
	if err := a.adopt(&rec); err != nil {
		return true, fmt.Errorf("end orphan: %w", err)
	}
	a.belongs(rec.CallID, rec.Ref)
	switch {
	case rec.State == StateConfirmed:
		answered = true
		rec.CSeq++
		_, err = a.bye(ctx, &rec, []Reason{why})
	case rec.Role == RoleUAC:
		answered, err = a.cancelOrphan(ctx, &rec, why)
	default:
		err = a.refuseOrphan(&rec, why)
	}
	if err != nil {
		return answered, fmt.Errorf("end orphan: %w", err)
	}
	return answered, nil
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
	rec.Listener = a.stand(rec.transport(), dest.Addr()).listener // the Via is that of the INVITE: a CANCEL has the same
	return nil
}

// orphanFinal is how long the final response to a cancelled INVITE is waited
// for. A peer that took the CANCEL sends it at once, and again after T1.
const orphanFinal = 2 * time.Second

// cancelOrphan lets the INVITE live again as an abandoned one, so that what
// still comes to it is dealt with, and cancels it. The INVITE was not answered
// if it now ends with a refusal, or if the peer knows nothing of the dialog
// that rang, or if the peer is silent and never rang.
func (a *Agent) cancelOrphan(ctx context.Context, rec *DialogRecord, why Reason) (answered bool, err error) {
	o, err := a.revive(rec, why)
	if err != nil {
		return true, err
	}
	known, err := a.sendCancel(ctx, rec, rec.Destination, o.reasons)
	if err != nil {
		return rec.RemoteTag != "", err
	}
	timer := time.NewTimer(orphanFinal)
	defer timer.Stop()
	select {
	case status := <-o.final:
		return status < 300, nil
	case <-ctx.Done():
	case <-timer.C:
	}
	if rec.RemoteTag == "" {
		// An INVITE that the peer has never seen (481 to the CANCEL) was not
		// answered. One that was is known for 32 s more (RFC 6026 7.1).
		return known, nil
	}
	// It may have been answered and acknowledged just before the end: a BYE to
	// the tag that rang is refused with 481 if it was not.
	bye := *rec
	bye.CSeq++
	gone, err := a.bye(ctx, &bye, o.reasons)
	return !gone, err
}

// revive makes the INVITE of a record one that nobody waits for any more.
func (a *Agent) revive(rec *DialogRecord, why Reason) (*outgoing, error) {
	d := newDialog(a, *rec, nil, nil)
	dest, _ := netip.ParseAddrPort(rec.Destination) // adopt has looked
	target, err := parseURI(rec.RemoteURI)
	if err != nil {
		return nil, err
	}
	one := *rec
	one.RemoteTag, one.RouteSet, one.Target = "", nil, target.String()
	req, err := a.request(&one, sipmsg.INVITE, rec.InviteCSeq, rec.Branch)
	if err != nil {
		return nil, err
	}
	o := &outgoing{
		a: a, d: d, dest: dest, req: req, plan: &plan{target: target.String()}, final: make(chan int, 1),
		over: true, abandoned: true, wantCancel: true, cancelSent: true, reasons: []Reason{why},
	}
	d.out = o
	if rec.Trunk != "" {
		d.kin.trunks = []string{rec.Trunk}
	}
	a.calls.add(d, phaseLate)
	d.holdAddr(dest.Addr())
	a.after(txTimeout, d.forgetOutgoing)
	return o, nil
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
	raw := []byte(res.String())
	m, err := sipmsg.ParseMessage(raw)
	if err != nil {
		return err
	}
	if v := m.Via(); v != nil && !strings.EqualFold(v.Transport, transportUDP) { // the connection has gone with the process
		transport := sipmsg.NetworkToLower(v.Transport)
		if to, ok := viaAddr(v, transport); ok && (transport == transportTCP || transport == transportTLS) {
			return a.streams.post(a.streams.by(transport, rec.Trunk, to), raw)
		}
	}
	p, err := a.parcel(rec, res)
	if err != nil {
		return err
	}
	return p.send()
}
