package sip

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// outgoing is our INVITE to one address, from the first packet until no
// response to it can come any more. run is its life while Invite waits; what
// comes afterwards goes to late.
//
// Provisional and 2xx responses reach it in the order of the wire through
// push, all of them, also retransmissions and those of other forks. The
// transaction is there to retransmit, and to receive and acknowledge refusals.
type outgoing struct {
	a     *Agent
	d     *Dialog
	plan  *plan
	offer []byte
	dest  netip.AddrPort
	login login

	identities []sipmsg.Header // see plan.identities

	// Used by run only.
	tx       *sipmsg.ClientTx
	started  time.Time
	rangAt   time.Time // zero: no 18x yet
	timer    *time.Timer
	why      FailureKind   // why it is being stopped; 0: it is not
	cause    error         // of our context, where that is why
	heard    bool          // some response came
	widened  bool          // it was too large for UDP, and goes over TCP
	minSE    time.Duration // of the 422 that came; 0: none did
	early    []byte        // the session description of a 183 that was accepted
	earlyTag string

	signal chan struct{} // the queue has something
	final  chan int      // gets the first final status that late sees; nil: nobody asks

	mu         sync.Mutex
	req        *sipmsg.Request    // guarded by mu; the INVITE as last sent
	queue      []*sipmsg.Response // guarded by mu; 1xx and 2xx
	over       bool               // guarded by mu; run has ended: responses go to late
	abandoned  bool               // guarded by mu; its transaction was ended before the final response
	wantCancel bool               // guarded by mu
	cancelSent bool               // guarded by mu
	reasons    []Reason           // guarded by mu; of CANCEL and BYE
	acks       map[string]*parcel // guarded by mu; by To-tag; nil while it is being made
	busy       int                // guarded by mu; forks being hung up
}

// push takes a response to the INVITE. It runs in the read loop.
func (o *outgoing) push(res *sipmsg.Response) {
	o.mu.Lock()
	if o.over {
		o.mu.Unlock()
		o.late(res)
		return
	}
	if res.StatusCode < 300 {
		o.queue = append(o.queue, res)
	}
	o.mu.Unlock()
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

func (o *outgoing) take() []*sipmsg.Response {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	o.queue = nil
	return q
}

// run sends the INVITE and waits for its end, answering challenges.
func (o *outgoing) run(ctx context.Context) (*Dialog, *Failure) {
	o.a.calls.add(o.d, phaseInviting)
	o.d.holdAddr(o.dest.Addr())
	o.started = time.Now()
	o.timer = time.NewTimer(o.plan.inv.Silence)
	defer o.timer.Stop()
	for {
		if f := o.send(ctx); f != nil {
			o.d.remove()
			return nil, f
		}
		res, f := o.await(ctx)
		switch {
		case f != nil:
			if o.widened && !o.heard && o.why == 0 { // whoever listens there does not speak SIP
				o.a.narrow(o.dest, cmp.Or(f.Err, errSilent))
				f.stale = true
			}
			o.abandon()
			if errors.Is(f.Err, errLost) && o.heard {
				o.cancel() // it may ring on: on another connection
			}
			return nil, f
		case res.IsSuccess() && o.why != 0 && !o.plan.inv.TakeCrossed:
			o.crossed(res)
			f = o.failure(o.why, res)
			f.Crossed = true
			return nil, f
		case res.IsSuccess():
			return o.accept(ctx, res)
		case o.why == 0 && ctx.Err() == nil && (isChallenge(res) && o.login.challenged(res) || o.lengthen(res)):
			continue
		}
		o.d.remove()
		if o.why != 0 {
			return nil, o.failure(o.why, res)
		}
		return nil, o.failure(Rejected, res)
	}
}

func isChallenge(res *sipmsg.Response) bool {
	return res.StatusCode == sipmsg.StatusUnauthorized || res.StatusCode == sipmsg.StatusProxyAuthRequired
}

// send journals the dialog, waits for that, and starts the transaction.
func (o *outgoing) send(ctx context.Context) *Failure {
	rec := o.d.update(func(r *DialogRecord) {
		if r.Branch != "" { // not the first
			r.CSeq++
			r.InviteCSeq++
		}
		r.Branch, r.RemoteTag = newBranch(), ""
	})
	req, err := o.build(&rec)
	if err != nil {
		return &Failure{Kind: Internal, Err: err}
	}
	if o.a.widen(ctx, req) { // its CANCEL goes the same way
		o.widened = true
		rec = o.d.update(func(r *DialogRecord) { r.from(o.a.stand(transportTCP, o.dest.Addr())) })
	}
	if err := o.a.journal.SaveDialog(rec)(ctx); err != nil {
		if ctx.Err() != nil {
			return &Failure{Kind: Cancelled, Err: context.Cause(ctx)}
		}
		return &Failure{Kind: Internal, Err: fmt.Errorf("journal: %w", err)}
	}
	if ctx.Err() != nil {
		return &Failure{Kind: Cancelled, Err: context.Cause(ctx)}
	}
	o.mu.Lock()
	o.req = req
	o.mu.Unlock()
	o.heard, o.rangAt = false, time.Time{}
	o.timer.Reset(o.plan.inv.Silence)
	limited, cancel := context.WithTimeout(ctx, o.plan.inv.Silence) // also to connect
	defer cancel()
	start := time.Now()
	if o.tx, err = o.a.begin(limited, req); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return &Failure{Kind: Cancelled, Err: context.Cause(ctx)}
	}
	f := notSent(o.dest.String(), time.Since(start), err)
	f.away = o.plan.binding != nil && !o.a.connected(o.plan.binding)
	return f
}

func (o *outgoing) build(rec *DialogRecord) (*sipmsg.Request, error) {
	req, err := o.a.request(rec, sipmsg.INVITE, rec.InviteCSeq, rec.Branch)
	if err != nil {
		return nil, err
	}
	if hops := req.MaxForwards(); hops != nil && o.plan.inv.MaxForwards > 0 {
		*hops = sipmsg.MaxForwardsHeader(min(o.plan.inv.MaxForwards, maxForwards))
	}
	req.AppendHeader(sipmsg.NewHeader("Contact", rec.Contact))
	req.AppendHeader(sipmsg.NewHeader("Allow", allowed))
	for _, h := range askFor(sessionInterval, o.minSE, "") {
		req.AppendHeader(h)
	}
	for _, h := range o.identities {
		req.AppendHeader(h)
	}
	kind := sipmsg.ContentTypeHeader(sdpType)
	req.AppendHeader(&kind)
	req.SetBody(o.offer)
	return req, o.login.sign(req)
}

// lengthen takes a 422 that asks for longer sessions, once, and reports whether
// to try again with what it asks for (RFC 4028 section 7.3).
func (o *outgoing) lengthen(res *sipmsg.Response) bool {
	least := termsOf(res).min
	if res.StatusCode != tooSmall || o.minSE > 0 || least <= sessionInterval || least > maxMinSE {
		return false
	}
	o.minSE = least
	o.d.allow(least)
	return true
}

// await returns the final response, or the failure that stands for none.
func (o *outgoing) await(ctx context.Context) (*sipmsg.Response, *Failure) {
	done := ctx.Done()
	for {
		select {
		case <-o.signal:
			if res := o.drain(); res != nil {
				return res, nil
			}
		case res := <-o.tx.Responses():
			if res2 := o.drain(); res2 != nil { // came before it
				return res2, nil
			}
			if res.StatusCode >= 300 {
				return res, nil
			}
		case <-o.tx.Done():
			if res := o.drain(); res != nil {
				return res, nil
			}
			return nil, o.broken(lostBy(o.tx))
		case <-o.timer.C:
			if f := o.expired(); f != nil {
				return nil, f
			}
		case <-done:
			done = nil
			o.cause = context.Cause(ctx)
			if o.why == 0 {
				o.stop(Cancelled, reasonsOf(ctx))
			}
		case <-o.a.dead:
			return nil, &Failure{Kind: Cancelled, Err: ErrClosed}
		}
	}
}

func (o *outgoing) broken(err error) *Failure {
	kind := Transport
	switch {
	case o.why != 0:
		kind = o.why
	case errors.Is(err, sipmsg.ErrTransactionTimeout):
		kind = NoResponse
	}
	f := o.failure(kind, nil)
	if f.Err = err; kind == NoResponse {
		f.Waited = txTimeout
	}
	f.stale = kind == Transport && !o.heard && stale(o.tx, o.started)
	return f
}

// drain works off the queue and returns the first 2xx in it.
func (o *outgoing) drain() *sipmsg.Response {
	queue := o.take()
	for i, res := range queue {
		if res.IsSuccess() {
			o.mu.Lock()
			o.queue = append(queue[i+1:], o.queue...)
			o.mu.Unlock()
			return res
		}
		o.provisional(res)
	}
	return nil
}

func (o *outgoing) provisional(res *sipmsg.Response) {
	if !o.heard {
		o.heard = true
		if o.why == 0 && o.rangAt.IsZero() {
			o.timer.Reset(max(0, time.Until(o.started.Add(o.plan.inv.FirstRing))))
		}
	}
	o.mu.Lock()
	cancel := o.wantCancel && !o.cancelSent
	o.mu.Unlock()
	if cancel {
		o.sendCancel()
	}
	if res.StatusCode < 180 || res.StatusCode > 189 {
		return
	}
	if o.rangAt.IsZero() {
		o.rangAt = time.Now()
		if o.why == 0 {
			o.timer.Reset(o.plan.inv.Ring)
		}
	}
	tag := toTag(res)
	o.d.saveEarly(tag)
	p := Progress{Status: res.StatusCode, Tag: tag, Media: o.earlyMedia(res, tag)}
	if o.plan.inv.OnProgress != nil && o.why == 0 {
		o.plan.inv.OnProgress(p)
	}
}

// earlyMedia accepts the session description of a provisional response, once
// for each that differs.
func (o *outgoing) earlyMedia(res *sipmsg.Response, tag string) bool {
	body := sdpBody(res)
	if body == nil {
		return false
	}
	if bytes.Equal(body, o.early) && tag == o.earlyTag {
		return true
	}
	if err := o.d.acceptAnswer(body); err != nil {
		o.a.log.Info("sip: early media not accepted", "call_id", o.d.callID, "error", err)
		return false
	}
	o.early, o.earlyTag = body, tag
	return true
}

// expired is called when the timer of the present stage fires.
func (o *outgoing) expired() *Failure {
	o.mu.Lock()
	cancelled := o.cancelSent
	o.mu.Unlock()
	switch {
	case cancelled: // 64*T1 without an answer to the CANCEL
		return o.failure(o.why, nil)
	case !o.heard:
		o.a.streams.suspect(o.tx, o.started)
		kind := NoResponse
		if o.why != 0 {
			kind = o.why
		}
		return o.failure(kind, nil)
	case o.rangAt.IsZero():
		o.stop(NoRinging, nil)
	default:
		o.stop(RingTimeout, []Reason{{Protocol: "Q.850", Cause: 19, Text: "No answer"}})
	}
	return nil
}

// stop begins to cancel. CANCEL must not overtake the INVITE, so without any
// response it waits for one (RFC 3261 9.1), as long as silence is allowed.
func (o *outgoing) stop(why FailureKind, reasons []Reason) {
	o.why = why
	o.mu.Lock()
	o.wantCancel, o.reasons = true, reasons
	o.mu.Unlock()
	if o.heard {
		o.sendCancel()
	}
}

// failure describes the end. res is the final response, nil without one.
func (o *outgoing) failure(kind FailureKind, res *sipmsg.Response) *Failure {
	f := &Failure{Kind: kind, Destination: o.dest.String(), Err: o.cause}
	switch kind {
	case NoResponse:
		f.Waited = o.plan.inv.Silence
	case NoRinging:
		f.Waited = o.plan.inv.FirstRing
	case RingTimeout:
		f.Waited = o.plan.inv.Ring
	}
	if !o.rangAt.IsZero() {
		f.Rang = max(time.Since(o.rangAt), 1)
	}
	if res != nil {
		f.Status, f.Phrase, f.Reasons = res.StatusCode, plainText(res.Reason), messageReasons(res)
		f.RetryAfter = retryAfterOf(res)
	}
	return f
}
