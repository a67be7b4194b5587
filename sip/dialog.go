package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Dialog is a call leg that was answered. Its methods are safe for concurrent
// use. An idle one holds no goroutine, and a timer only where the session
// expires (RFC 4028).
type Dialog struct {
	a      *Agent
	id     string // the local tag
	callID string
	phase  phase         // guarded by a.calls.mu
	done   chan struct{} // closed when the dialog is over for its user
	gone   chan struct{} // closed when nothing of it is left to do
	last   sync.Once     // of finish

	neg sync.Mutex // held while the Negotiator is asked

	mu        sync.Mutex
	rec       DialogRecord                          // guarded by mu
	media     Negotiator                            // guarded by mu
	onInfo    func(contentType string, body []byte) // guarded by mu
	onEnd     func(Ended)                           // guarded by mu; nil: nobody asks
	onRefer   func(*Refer) bool                     // guarded by mu; nil: refused
	out       *outgoing                             // guarded by mu; nil once no response to our INVITE can come
	in        *Incoming                             // guarded by mu; nil once the INVITE has its final response
	pending   *acking                               // guarded by mu; our 2xx that waits for its ACK
	next      chan struct{}                         // guarded by mu; closed when the peer's next request is taken; nil: nobody waits
	busy      bool                                  // guarded by mu; an offer of the peer, or its re-INVITE, is being answered
	updating  bool                                  // guarded by mu; an UPDATE is
	offering  bool                                  // guarded by mu; an INVITE of ours has no answer yet
	local     []byte                                // guarded by mu; the last description we gave
	updates   bool                                  // guarded by mu; the peer takes UPDATE
	session   *session                              // guarded by mu; nil: it never expires
	minSE     time.Duration                         // guarded by mu; the least interval that the peer allows, 0: not said
	kin       kin                                   // set before the first packet
	heard     netip.Addr                            // guarded by mu; where the last response to our INVITE came from
	over      bool                                  // guarded by mu
	ended     Ended                                 // guarded by mu; valid once over
	byeErr    error                                 // guarded by mu; valid once gone is closed
	byeOnAck  bool                                  // guarded by mu; BYE waits for the ACK to our 2xx
	byeEarly  *Ended                                // guarded by mu; a BYE that came before our INVITE's 2xx was seen
	dropped   bool                                  // guarded by mu
	cancelCtx context.CancelCauseFunc               // guarded by mu; of Handle's context, nil for a UAC
	addrs     []netip.Addr                          // guarded by mu; let through the perimeter
	unseat    func()                                // guarded by mu; its trunk carries one call less; nil: it is not counted
}

func newDialog(a *Agent, rec DialogRecord, media Negotiator, onInfo func(string, []byte)) *Dialog {
	return &Dialog{
		a: a, id: rec.ID, callID: rec.CallID, rec: rec, media: media, onInfo: onInfo,
		done: make(chan struct{}), gone: make(chan struct{}),
	}
}

// ID is the identifier under which the dialog is journalled.
func (d *Dialog) ID() string { return d.id }

// CallID is the value of the Call-ID header.
func (d *Dialog) CallID() string { return d.callID }

// Done is closed when the dialog is over: we asked for its end, the peer did,
// or our answer was never acknowledged.
func (d *Dialog) Done() <-chan struct{} { return d.done }

// Ended says how the dialog ended. It is meaningful once Done is closed.
func (d *Dialog) Ended() Ended {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// OnEnd has f called once when the dialog is over, at once if it is already.
// f must not block. A second call replaces an f that has not been called.
func (d *Dialog) OnEnd(f func(Ended)) {
	d.mu.Lock()
	over, ended := d.over, d.ended
	if !over {
		d.onEnd = f
	}
	d.mu.Unlock()
	if over {
		f(ended)
	}
}

// RemoteAddr is where the dialog's requests are sent to.
func (d *Dialog) RemoteAddr() netip.AddrPort {
	ap, _ := netip.ParseAddrPort(d.record().Destination) // ours, always valid
	return ap
}

// SetMedia replaces what answers the peer's offers from now on.
func (d *Dialog) SetMedia(n Negotiator) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.media = n
}

// SetInfo replaces what is given the bodies of INFO requests; nil: nothing.
func (d *Dialog) SetInfo(f func(contentType string, body []byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onInfo = f
}

// Bye ends the dialog and waits for the answer to the BYE, at most 64*T1, or
// until ctx ends; the BYE goes on then. Every further call waits for the same
// end. Where our 200 still waits for its ACK, so does the BYE (RFC 3261 15).
// The error says that the peer did not take part; the dialog is over anyway.
func (d *Dialog) Bye(ctx context.Context, reasons ...Reason) error {
	d.end(Ended{By: ByLocal, Reasons: reasons}, true)
	select {
	case <-d.gone:
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.byeErr
	case <-ctx.Done():
		return fmt.Errorf("bye: %w", context.Cause(ctx))
	case <-d.a.dead:
		return fmt.Errorf("bye: %w", ErrClosed)
	}
}

// end makes the dialog over, once. It reports whether it did.
func (d *Dialog) end(e Ended, bye bool) bool {
	d.mu.Lock()
	if d.over {
		d.mu.Unlock()
		return false
	}
	d.over, d.ended = true, e
	d.release()
	close(d.done)
	cancel, tell, wait := d.cancelCtx, d.onEnd, bye && d.pending != nil
	d.byeOnAck = wait
	if !bye {
		d.dropPending()
	}
	d.mu.Unlock()
	if cancel != nil {
		cancel(e)
	}
	if tell != nil {
		tell(e)
	}
	switch {
	case wait: // acknowledged or given up on, it goes out
	case bye:
		d.a.spawn(d.sendBye)
	default:
		d.remove()
	}
	return true
}

// sendBye ends the dialog on the wire and then forgets it.
func (d *Dialog) sendBye() {
	rec := d.update(func(r *DialogRecord) { r.CSeq++ })
	_, err := d.a.bye(context.Background(), &rec, d.Ended().Reasons)
	d.mu.Lock()
	d.byeErr = err
	d.mu.Unlock()
	d.remove()
}

// bye sends the BYE of a record, with credentials where they are asked for.
// gone says that the peer knew no such dialog (481): for us that is as good an
// end as any.
func (a *Agent) bye(ctx context.Context, rec *DialogRecord, reasons []Reason) (gone bool, err error) {
	login := a.login(rec.Trunk)
	again := false
	for seq := rec.CSeq; ; seq++ {
		req, err := a.request(rec, sipmsg.BYE, seq, newBranch())
		if err != nil {
			return false, fmt.Errorf("bye: %w", err)
		}
		addReasons(req, reasons)
		if err := login.sign(req); err != nil {
			return false, fmt.Errorf("bye: %w", err)
		}
		res, err := a.transact(ctx, req)
		switch {
		case errors.Is(err, errLost) && !again: // on another connection
			again = true
			continue
		case err != nil:
			return false, fmt.Errorf("bye: %w", err)
		case isChallenge(res) && login.challenged(res):
			continue
		case res.IsSuccess():
			return false, nil
		case res.StatusCode == sipmsg.StatusCallTransactionDoesNotExists:
			return true, nil
		}
		return false, fmt.Errorf("bye: %d %s", res.StatusCode, plainText(res.Reason))
	}
}

// remove forgets the dialog: its messages are unknown from now on. As long as
// responses to our INVITE can come it stays to acknowledge them: a 2xx that
// comes again, a fork that lost.
func (d *Dialog) remove() {
	d.mu.Lock()
	d.dropPending()
	keep := d.out != nil && d.rec.State == StateConfirmed
	d.mu.Unlock()
	if keep {
		d.a.calls.move(d, phaseLate)
	} else {
		d.drop()
	}
	d.finish()
	d.mu.Lock()
	forgotten := d.out == nil
	d.mu.Unlock()
	if forgotten { // maybe in between, by one who saw that we were not done
		d.drop()
	}
}

// drop takes the dialog out of the table and its addresses out of the
// perimeter. More than once is as good as once.
func (d *Dialog) drop() {
	d.a.calls.remove(d)
	d.mu.Lock()
	addrs := d.addrs
	d.addrs, d.dropped = nil, true
	d.mu.Unlock()
	for _, ip := range addrs {
		d.a.peers.release(ip)
	}
}

// finish takes the dialog out of the journal and closes gone, once. What the
// dialog still waits for needs neither its media nor its user.
func (d *Dialog) finish() {
	d.last.Do(func() {
		d.mu.Lock()
		d.media, d.onInfo, d.onEnd, d.onRefer, d.cancelCtx = noMedia{}, nil, nil, nil, nil
		d.mu.Unlock()
		d.a.journal.DeleteDialog(d.id)
		close(d.gone)
		d.mu.Lock()
		unseat := d.unseat
		d.mu.Unlock()
		if unseat != nil {
			unseat()
		}
	})
}

// forgetOutgoing frees what was kept for late responses to our INVITE, and the
// dialog too if nothing else keeps it.
func (d *Dialog) forgetOutgoing() {
	d.mu.Lock()
	d.out = nil
	confirmed := d.rec.State == StateConfirmed
	d.mu.Unlock()
	select {
	case <-d.gone:
	default:
		if confirmed { // up, or its BYE is under way
			return
		}
	}
	d.drop()
	d.finish()
}

func (d *Dialog) confirmed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.State == StateConfirmed
}

func (d *Dialog) record() DialogRecord {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec
}

func (d *Dialog) update(f func(*DialogRecord)) DialogRecord {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.rec)
	return d.rec
}

// confirm makes the dialog an established one.
func (d *Dialog) confirm(rec DialogRecord) DialogRecord {
	d.mu.Lock()
	rec.RemoteCSeq, rec.CSeq = d.rec.RemoteCSeq, d.rec.CSeq
	d.rec = rec
	d.mu.Unlock()
	if to, err := netip.ParseAddrPort(rec.Destination); err == nil {
		d.holdAddr(to.Addr())
	}
	d.a.answered.Add(1)
	d.a.calls.move(d, phaseOpen)
	return rec
}

// saveEarly journals the tag of the first fork that rings.
func (d *Dialog) saveEarly(tag string) {
	d.mu.Lock()
	if tag == "" || d.rec.RemoteTag != "" {
		d.mu.Unlock()
		return
	}
	d.rec.RemoteTag = tag
	rec := d.rec
	d.mu.Unlock()
	d.a.journal.SaveDialog(rec)
}

// holdAddr lets an address through the perimeter while the dialog lives.
func (d *Dialog) holdAddr(ip netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dropped || slices.Contains(d.addrs, ip) {
		return
	}
	d.addrs = append(d.addrs, ip)
	d.a.peers.hold(ip)
}

// acceptAnswer, acceptOffer and createOffer ask the Negotiator, one at a time.
func (d *Dialog) acceptAnswer(body []byte) error {
	d.neg.Lock()
	defer d.neg.Unlock()
	return d.negotiator().AcceptAnswer(body)
}

func (d *Dialog) acceptOffer(body []byte) ([]byte, error) {
	d.neg.Lock()
	defer d.neg.Unlock()
	return d.said(d.negotiator().AcceptOffer(body))
}

func (d *Dialog) createOffer() ([]byte, error) {
	d.neg.Lock()
	defer d.neg.Unlock()
	return d.said(d.negotiator().CreateOffer())
}

// said keeps the description that is given out, for when it has to be repeated.
func (d *Dialog) said(body []byte, err error) ([]byte, error) {
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.local = body
	}
	return body, err
}

func (d *Dialog) negotiator() Negotiator {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.media
}

var errOver = errors.New("the dialog is over")

// noMedia is the media of a dialog that is over.
type noMedia struct{}

func (noMedia) CreateOffer() ([]byte, error)       { return nil, errOver }
func (noMedia) AcceptOffer([]byte) ([]byte, error) { return nil, errOver }
func (noMedia) AcceptAnswer([]byte) error          { return errOver }
