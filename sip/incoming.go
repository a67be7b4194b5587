package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// closingRetry is the Retry-After, in seconds, of what is refused while the
// agent closes.
const closingRetry = 30

// Incoming is an INVITE that a known peer sent us. Its methods are safe for
// concurrent use. Every INVITE gets exactly one final response: Answer, Reject,
// the 487 of a CANCEL, or a 500 when the handler returns without any.
type Incoming struct {
	// Trunks are the names of the trunks it may come from, in the order of
	// the configuration: the one at whose registered Contact it is directed,
	// else those of this address and port, else of this IP.
	Trunks []string
	// Extension is set when it comes from the phone at its fixed contact, or
	// from one that knows its password; Trunks is empty then.
	Extension string
	// Called is the number that was dialled, as the first of Trunks has it; see
	// Trunk.NumberIn and Numbers.
	Called      string
	RequestUser string // of the Request-URI
	// ToUser is the user of To. Where a call comes to the Contact of a
	// registration, RequestUser is the trunk's user name, and the number that
	// was dialled stands here.
	ToUser string
	// From is the number of who calls, as the trunk has it; see Trunk.CallerIDIn.
	// It is empty where the caller withholds it, and FromDisplay with it.
	From        string
	FromDisplay string
	CallID      string
	Source      netip.AddrPort // where it was sent from

	a    *Agent
	d    *Dialog
	req  *sipmsg.Request
	tx   *sipmsg.ServerTx
	ctx  context.Context // of Handle
	stop context.CancelCauseFunc

	mu       sync.Mutex
	final    bool             // guarded by mu; a final response was sent, or is being
	aborted  *Failure         // guarded by mu; the caller gave up
	refused  chan struct{}    // guarded by mu; set with aborted, closed when the 487 is out
	ringing  *sipmsg.Response // guarded by mu; the last 18x
	again    *time.Timer      // guarded by mu; repeats it
	media    Negotiator       // guarded by mu; of early media
	answer   []byte           // guarded by mu; what it answered
	answered bool             // guarded by mu; Answer was called
	full     string           // guarded by mu; the trunk that had no room for it
}

// invited takes a first INVITE off the wire to its final response.
func (a *Agent) invited(req *sipmsg.Request, tx *sipmsg.ServerTx, r *arrival) {
	trunks, ext := a.whose(req)
	if len(trunks) == 0 && ext == "" {
		a.ring(sipmsg.INVITE, sourceOf(req)) // a stranger, let in by the dialog of another
		return
	}
	switch {
	case r.twin:
		a.respond(req, tx, sipmsg.StatusLoopDetected, "Loop Detected")
		return
	case a.isClosing():
		a.respond(req, tx, sipmsg.StatusServiceUnavailable, "Service Unavailable", retryAfter(closingRetry))
		return
	}
	if ext != "" {
		var ok bool
		if ext, ok = a.authenticCaller(req, tx, ext); !ok {
			return
		}
	}
	switch {
	case a.refuseRequired(req, tx):
		return
	case termsOf(req).tooBrief():
		a.respond(req, tx, tooSmall, "Session Interval Too Small", minSE(minSession))
		return
	case len(req.Body()) > 0 && sdpBody(req) == nil:
		a.respond(req, tx, sipmsg.StatusUnsupportedMediaType, "Unsupported Media Type", sipmsg.NewHeader("Accept", sdpType))
		return
	case !acceptsSDP(req):
		a.respond(req, tx, sipmsg.StatusNotAcceptable, "Not Acceptable")
		return
	}
	in := a.newIncoming(req, tx)
	in.Trunks, in.Extension = trunks, ext
	in.d.kin = kin{trunks: trunks, extension: ext}
	in.identify(nil)
	if len(trunks) > 0 {
		in.identify(a.peers.trunk(trunks[0]))
	}
	if len(trunks) == 1 {
		in.Claim(trunks[0]) // its password is for our requests in the call, too; the handler hears whether it is full
	}
	a.calls.add(in.d, phaseIncoming)
	a.inbox.watch(r, func(f *Failure) { in.abort(f, false) })
	in.handle()
}

func (a *Agent) newIncoming(req *sipmsg.Request, tx *sipmsg.ServerTx) *Incoming {
	in := &Incoming{
		Source:      sourceOf(req),
		RequestUser: uriUser(&req.Recipient), ToUser: uriUser(&req.To().Address), CallID: callID(req),
		a: a, req: req, tx: tx,
	}
	in.ctx, in.stop = context.WithCancelCause(a.base)
	in.d = newDialog(a, a.incomingRecord(req), nil, nil)
	in.d.in, in.d.cancelCtx = in, in.stop
	in.d.holdAddr(sourceOf(req).Addr())
	return in
}

// incomingRecord is the dialog that an INVITE makes at its receiver: route set
// in the order of the message (RFC 3261 12.1.1).
func (a *Agent) incomingRecord(req *sipmsg.Request) DialogRecord {
	src := sourceOf(req)
	here := a.stand(transportOf(req), src.Addr())
	from, to := *req.From(), *req.To()
	from.Params, to.Params = nil, nil
	user := req.Recipient.User
	if user != "" {
		user = escapeUser(userOf(user))
	}
	rec := DialogRecord{
		ID: toTag(req), CallID: callID(req), LocalTag: toTag(req), RemoteTag: fromTag(req),
		LocalURI: to.Value(), RemoteURI: from.Value(),
		Contact: here.contact(user), Target: contactOf(req), RouteSet: recordRoutes(req),
		CSeq: newCSeq(), Destination: src.String(), Role: RoleUAS, State: StateEarly,
	}
	rec.from(here)
	if s := req.CSeq(); s != nil {
		rec.InviteCSeq, rec.RemoteCSeq = s.SeqNo, s.SeqNo
	}
	rec.Vias = viasBack(req)
	if rec.Target == "" {
		rec.Target = "<" + from.Address.String() + ">"
	}
	return rec
}

// uriUser is the user of a SIP URI or the number of a tel URI.
func uriUser(u *sipmsg.Uri) string {
	if raw := u.Raw(); raw != "" {
		return userOf(raw)
	}
	return userOf(u.User)
}

// handle calls the handler and makes sure of a final response.
func (in *Incoming) handle() {
	defer in.close()
	defer in.a.rescue("handler", nil) // close answers 500
	if in.begin() {
		in.a.cfg.Handle(in.ctx, in)
	}
}

// begin answers 100 and finds out where the dialog's requests will go; false
// means that the caller has given up already. It is no part of handle, whose
// stack stays as long as the call.
func (in *Incoming) begin() bool {
	in.mu.Lock()
	gone := in.aborted != nil
	if !gone {
		in.a.respond(in.req, in.tx, sipmsg.StatusTrying, "Trying")
	}
	in.mu.Unlock()
	if gone {
		return false
	}
	rec := in.d.record()
	if err := in.a.aim(in.a.base, &rec, sourceOf(in.req)); err != nil {
		in.a.log.Info("sip: contact or route of an INVITE is not usable", "call_id", in.CallID, "error", err)
		rec.RouteSet = nil
	}
	in.d.update(func(r *DialogRecord) {
		r.follow(rec)
		r.RouteSet = rec.RouteSet
	})
	return true
}

// close ends what handle began.
func (in *Incoming) close() {
	_ = in.Reject(sipmsg.StatusInternalServerError, "Server Internal Error") // ErrAnswered is the usual case
	in.stop(nil)
	in.mu.Lock()
	refused := in.refused
	in.mu.Unlock()
	if refused != nil {
		<-refused // when this returns the transaction is gone, unless it is answered
	}
	if !in.d.confirmed() {
		in.d.remove()
	}
}

// abort is the end by the caller: CANCEL, or BYE where respond is set. The
// transaction layer answers a CANCEL's INVITE with 487 itself, if it was there
// already; else the handler's goroutine does.
func (in *Incoming) abort(f *Failure, respond bool) {
	in.mu.Lock()
	if in.final {
		in.mu.Unlock()
		return
	}
	in.final, in.aborted, in.refused = true, f, make(chan struct{})
	in.quiet()
	in.mu.Unlock()
	in.stop(f)
	if !in.a.enter() {
		close(in.refused)
		return
	}
	go func() {
		defer in.a.leave()
		defer close(in.refused)
		in.terminated(respond)
	}()
}

// terminated answers 487 where the transaction layer does not: the CANCEL was
// handled before the INVITE, or there was none.
func (in *Incoming) terminated(now bool) {
	if !now {
		select {
		case <-time.After(orderGap):
		case <-in.a.dead:
			return
		}
	}
	if in.tx.Err() == nil {
		in.a.respond(in.req, in.tx, sipmsg.StatusRequestTerminated, "Request Terminated")
	}
}

// quiet stops the repetition of 18x. in.mu is held.
func (in *Incoming) quiet() {
	if in.again != nil {
		in.again.Stop()
		in.again = nil
	}
}

// Offer is the caller's session description, nil if the INVITE has none.
func (in *Incoming) Offer() []byte { return sdpBody(in.req) }

// Header returns the first value of a header of the INVITE, by its long name;
// empty without one.
func (in *Incoming) Header(name string) string { return header(in.req, strings.ToLower(name)) }

// MaxForwards is how many further hops the call may take.
func (in *Incoming) MaxForwards() int {
	if h := in.req.MaxForwards(); h != nil {
		return int(h.Val())
	}
	return maxForwards
}

// Ring answers 180, and again every minute until the final response.
func (in *Incoming) Ring() error {
	return in.provisional(sipmsg.StatusRinging, "Ringing", nil)
}

// EarlyMedia answers 183 with the Negotiator's answer to the caller's offer,
// for ringback or an announcement. Answer with the same Negotiator gives the
// same session description again. The error is a *Failure of kind BadMedia
// where there is no offer or it is refused; the INVITE stays open then.
func (in *Incoming) EarlyMedia(n Negotiator) error {
	offer := in.Offer()
	if offer == nil {
		return &Failure{Kind: BadMedia, Err: fmt.Errorf("early media: the INVITE has no offer")}
	}
	in.mu.Lock()
	body, same := in.answer, in.answer != nil && in.media == n
	in.mu.Unlock()
	if !same {
		in.d.SetMedia(n)
		var err error
		if body, err = in.d.acceptOffer(offer); err != nil {
			return &Failure{Kind: BadMedia, Err: fmt.Errorf("early media: %w", err)}
		}
		in.mu.Lock()
		in.media, in.answer = n, body
		in.mu.Unlock()
	}
	return in.provisional(sipmsg.StatusSessionInProgress, "Session Progress", body)
}

func (in *Incoming) provisional(status int, phrase string, body []byte) error {
	res := in.a.response(in.req, status, phrase, body, sipmsg.NewHeader("Contact", in.d.record().Contact))
	first, err := in.respond(res)
	if first {
		in.a.journal.SaveDialog(in.d.record())
	}
	return err
}

// respond sends an 18x and reports whether it is the first.
func (in *Incoming) respond(res *sipmsg.Response) (first bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.open(); err != nil {
		return false, err
	}
	first = in.ringing == nil
	in.ringing = res
	if err := in.tx.Respond(res); err != nil {
		return first, fmt.Errorf("sip: %d: %w", res.StatusCode, err)
	}
	if first {
		in.again = in.a.after(ringAgain, in.ringAgain)
	}
	return first, nil
}

// open is nil while a final response may be sent. in.mu is held.
func (in *Incoming) open() error {
	if in.aborted != nil {
		return in.aborted
	}
	if in.final {
		return ErrAnswered
	}
	return nil
}

// ringAgain repeats the 18x, or a proxy on the way may give up.
func (in *Incoming) ringAgain() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.final || in.again == nil {
		return
	}
	if err := in.tx.Respond(in.ringing); err != nil {
		return
	}
	in.again.Reset(ringAgain)
}

// Reject answers with a final response of 300 to 699; an empty phrase gets the
// usual one. The error is ErrAnswered if there is a final response already, or
// the *Failure with which the caller gave up.
func (in *Incoming) Reject(status int, phrase string, reasons ...Reason) error {
	return in.RejectRetry(status, phrase, 0, reasons...)
}

// RejectRetry is Reject with a Retry-After header, in whole seconds, where
// after is positive: for 503, 480, 486, 600 and 603.
func (in *Incoming) RejectRetry(status int, phrase string, after time.Duration, reasons ...Reason) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.open(); err != nil {
		return err
	}
	in.final = true
	in.quiet()
	if status < 300 || status > 699 {
		status, phrase = sipmsg.StatusInternalServerError, ""
	}
	if phrase == "" {
		phrase = Phrase(status)
	}
	res := in.a.response(in.req, status, phrase, nil)
	if after > 0 {
		res.AppendHeader(retryAfter(int((after + time.Second - 1) / time.Second)))
	}
	addReasons(res, reasons)
	if err := in.tx.Respond(res); err != nil {
		return fmt.Errorf("sip: %d: %w", status, err)
	}
	return nil
}
