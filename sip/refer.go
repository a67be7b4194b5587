package sip

import (
	"context"
	"fmt"
	"strings"
	"sync"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Refer is the peer's request to connect the other side of the call with
// somebody else (REFER, RFC 3515; RFC 5589). Its user carries it out and tells
// how it goes; nothing is called on the peer's behalf here.
type Refer struct {
	User string // who shall take over, as the peer dials it; empty where Replaces says it
	// Replaces is the dialog of ours whose other side shall take over: the peer
	// has talked to it before (Replaces, RFC 3891). Nil is a transfer without
	// asking.
	Replaces *DialogRef
	By       string // user of Referred-By (RFC 3892), may be empty

	d      *Dialog
	event  string // value of the Event header
	silent bool   // the peer wants no NOTIFY (RFC 4488)

	mu      sync.Mutex
	waiting []int // guarded by mu; statuses to be told
	telling bool  // guarded by mu; a goroutine does
	ended   bool  // guarded by mu; the last one was given
}

// Notify tells the peer how the call that it asked for goes: a status from 100
// to 699, in the order of the calls. One of 200 and more is the last. It does
// not wait for the peer, and does nothing once the dialog is over.
func (r *Refer) Notify(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.silent {
		return
	}
	r.ended = status >= sipmsg.StatusOK
	r.waiting = append(r.waiting, status)
	if !r.telling {
		r.telling = true
		r.d.a.spawn(r.tell)
	}
}

// tell sends what waits, one after the other.
func (r *Refer) tell() {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 || r.d.isOver() {
			r.telling = false
			r.mu.Unlock()
			return
		}
		status := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.mu.Unlock()
		if err := r.notify(status); err != nil && !r.d.isOver() {
			r.d.a.log.Info("sip: the peer did not take our word on its transfer", "call_id", r.d.callID, "status", status, "error", err)
		}
	}
}

// notify sends one NOTIFY with a fragment of the response (RFC 3420).
func (r *Refer) notify(status int) error {
	login := r.d.a.login(r.d.record().Trunk)
	for {
		rec := r.d.update(func(rec *DialogRecord) { rec.CSeq++ })
		r.d.a.journal.SaveDialog(rec) // the BYE after a crash needs a higher number
		req, err := r.d.a.request(&rec, sipmsg.NOTIFY, rec.CSeq, newBranch())
		if err != nil {
			return err
		}
		state := "active;expires=180"
		if status >= sipmsg.StatusOK {
			state = "terminated;reason=noresource"
		}
		kind := sipmsg.ContentTypeHeader("message/sipfrag;version=2.0")
		for _, h := range []sipmsg.Header{
			sipmsg.NewHeader("Contact", rec.Contact), sipmsg.NewHeader("Event", r.event),
			sipmsg.NewHeader("Subscription-State", state), &kind,
		} {
			req.AppendHeader(h)
		}
		req.SetBody(fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", status, Phrase(status)))
		if err := login.sign(req); err != nil {
			return err
		}
		res, err := r.d.a.transact(context.WithoutCancel(r.d.a.base), req)
		switch {
		case err != nil:
			return err
		case isChallenge(res) && login.challenged(res):
			continue
		case !res.IsSuccess():
			return fmt.Errorf("notify: %d %s", res.StatusCode, plainText(res.Reason))
		}
		return nil
	}
}

// OnRefer has f decide on the peer's REFER requests: false refuses with 603.
// True accepts, with 202 and a first NOTIFY behind it; f then sees to the rest
// in a goroutine of its own and must not block. Without f they are refused.
func (d *Dialog) OnRefer(f func(*Refer) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onRefer = f
}

// Ref is what the dialog was given to belong to.
func (d *Dialog) Ref() DialogRef { return d.record().Ref }

// SetRef gives the dialog to another leg to belong to. The journal takes it with
// the next change of the dialog; messages are told to whom they were before.
func (d *Dialog) SetRef(ref DialogRef) { d.update(func(r *DialogRecord) { r.Ref = ref }) }

func (d *Dialog) serveRefer(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	d.mu.Lock()
	decide := d.onRefer
	d.mu.Unlock()
	if decide == nil {
		d.a.respond(req, tx, sipmsg.StatusGlobalDecline, Phrase(sipmsg.StatusGlobalDecline))
		return
	}
	r, status := d.readRefer(req)
	if r == nil {
		d.a.respond(req, tx, status, Phrase(status))
		return
	}
	r.telling = true // what f tells at once comes behind the 202
	if !decide(r) {
		d.a.respond(req, tx, sipmsg.StatusGlobalDecline, Phrase(sipmsg.StatusGlobalDecline))
		return
	}
	headers := []sipmsg.Header{sipmsg.NewHeader("Contact", d.record().Contact)}
	if r.silent {
		headers = append(headers, sipmsg.NewHeader("Refer-Sub", "false"))
	}
	d.a.respond(req, tx, sipmsg.StatusAccepted, "Accepted", headers...)
	r.mu.Lock()
	if !r.silent {
		r.waiting = append([]int{sipmsg.StatusTrying}, r.waiting...)
	}
	r.mu.Unlock()
	d.a.spawn(r.tell)
}

// readRefer understands a REFER, or says with which status to refuse it.
func (d *Dialog) readRefer(req *sipmsg.Request) (*Refer, int) {
	if len(headersOf(req, "refer-to"))+len(headersOf(req, "r")) != 1 { // RFC 3515 2.4.2
		return nil, sipmsg.StatusBadRequest
	}
	user, replaces, ok := readReferTo(header(req, "refer-to"))
	if !ok {
		return nil, sipmsg.StatusBadRequest
	}
	r := &Refer{d: d, User: user, event: "refer"}
	if s := req.CSeq(); s != nil {
		r.event = fmt.Sprintf("refer;id=%d", s.SeqNo)
	}
	r.By, _, _ = readReferTo(header(req, "referred-by"))
	r.silent = strings.EqualFold(strings.TrimSpace(header(req, "refer-sub")), "false")
	if replaces != "" {
		other := d.a.replaced(replaces)
		if other == nil || other == d {
			return nil, sipmsg.StatusNotFound
		}
		ref := other.Ref()
		r.Replaces = &ref
	}
	if r.User == "" && r.Replaces == nil {
		return nil, sipmsg.StatusNotFound
	}
	return r, 0
}

// readReferTo reads the user of a sip, sips or tel URI, in angle brackets or
// not, and its Replaces. It is false for what is no call.
func readReferTo(value string) (user, replaces string, ok bool) {
	if i := openAngle(value); i >= 0 {
		inner, _, closed := strings.Cut(value[i+1:], ">")
		if !closed {
			return "", "", false
		}
		value = inner
	}
	value = strings.TrimSpace(value)
	if scheme, rest, found := strings.Cut(value, ":"); found && strings.EqualFold(scheme, "tel") {
		return userOf(rest), "", true
	}
	address, headers, _ := strings.Cut(value, "?")
	var uri sipmsg.Uri
	if err := sipmsg.ParseUri(address, &uri); err != nil || uri.Host == "" || !strings.EqualFold(uri.Scheme, "sip") && !strings.EqualFold(uri.Scheme, "sips") {
		return "", "", false
	}
	if method, named := param(uri.UriParams, "method"); named && method != string(sipmsg.INVITE) {
		return "", "", false // nothing is sent but calls
	}
	for h := range strings.SplitSeq(headers, "&") {
		if name, v, _ := strings.Cut(h, "="); strings.EqualFold(name, "replaces") {
			replaces = unescapePercent(v)
		}
	}
	return userOf(uri.User), replaces, true
}

// replaced finds the dialog that a Replaces value names: a Call-ID and two
// tags, of which one is ours. Which of them is called to-tag depends on who
// looks, and phones disagree.
func (a *Agent) replaced(value string) *Dialog {
	id, params, _ := strings.Cut(value, ";")
	tags := map[string]string{}
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		tags[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
	}
	for _, way := range [][2]string{{"to-tag", "from-tag"}, {"from-tag", "to-tag"}} {
		d := a.calls.get(tags[way[0]])
		if d == nil || d.callID != strings.TrimSpace(id) {
			continue
		}
		if rec := d.record(); rec.RemoteTag == tags[way[1]] && d.confirmed() && !d.isOver() {
			return d
		}
	}
	return nil
}
