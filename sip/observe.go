package sip

import (
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// observe sees every parsed message before the transaction layer, in the order
// of the wire, in the goroutine that reads: what depends on order is done
// here. It must not wait.
func (a *Agent) observe(m sipmsg.Message) {
	defer a.rescue("observe", nil)
	canonicalise(m)
	var by *stream
	var at *listener
	if transportOf(m) != transportUDP {
		by = a.streams.came(m)
	} else if at = a.byKey[m.Source()]; at != nil {
		m.SetSource(at.from.String())
	}
	switch m := m.(type) {
	case *sipmsg.Response:
		a.observeResponse(m)
	case *sipmsg.Request:
		switch {
		case by != nil:
			a.streams.keepBack(by)
		case at != nil:
			a.keepWay(m, at)
		}
		received(m)
		switch m.Method {
		case sipmsg.INVITE, sipmsg.CANCEL:
			a.observeInvite(m)
		case sipmsg.ACK:
			if d := a.dialogOf(m); d != nil {
				d.acked(m)
			}
		}
	}
}

// observeResponse hands a response to our INVITE on, in the order of the wire.
// One that does not fit the request that it names goes nowhere.
func (a *Agent) observeResponse(res *sipmsg.Response) {
	seq := res.CSeq()
	if seq == nil {
		return
	}
	if !a.sent.fits(res) {
		a.astray.Add(1)
		disown(res)
		return
	}
	if seq.MethodName != sipmsg.INVITE {
		return
	}
	d := a.calls.get(fromTag(res))
	if d == nil || d.callID != callID(res) {
		return
	}
	d.heardFrom(sourceOf(res).Addr())
	d.mu.Lock()
	out, invite := d.out, d.rec.InviteCSeq
	d.mu.Unlock()
	if out != nil && seq.SeqNo == invite {
		out.push(res)
	}
}

// steady is a connection that stays in the transport's pool when its read loop
// ends: a request that was read last must still find the way back.
type steady struct{ sipmsg.Connection }

// keepWay has the response to a request leave by the socket that it came by.
// Without it the library opens a socket of its own, and leaves it open.
func (a *Agent) keepWay(req *sipmsg.Request, at *listener) {
	src, pool := req.Source(), a.tp.Pool("udp")
	if a.byKey[src] != nil {
		return // from one of our own, which stay
	}
	c := pool.Get(at.self.String())
	if c == nil {
		return
	}
	defer c.TryClose()
	if way := pool.Get(src); way != (steady{c}) {
		pool.Add(src, steady{c})
	}
	for _, gone := range a.ways.used(src, time.Now()) {
		pool.Delete(gone)
	}
}

// ways are the sources of the requests of the last two periods: as long as
// responses to them may be due. Two sets take the place of a time for each.
type ways struct {
	mu          sync.Mutex
	now, before map[string]struct{} // guarded by mu
	since       time.Time           // guarded by mu; of now
}

// used notes a source, and returns those that were not used for a whole period.
func (w *ways) used(src string, at time.Time) (gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.Sub(w.since) > 2*txTimeout {
		for old := range w.before {
			if _, again := w.now[old]; !again {
				gone = append(gone, old)
			}
		}
		w.before, w.now, w.since = w.now, make(map[string]struct{}), at
	}
	w.now[src] = struct{}{}
	return slices.DeleteFunc(gone, func(old string) bool { return old == src })
}

// received is RFC 3261 18.2.1: a Via that names another host than the packet
// came from gets the true one. What its sender wrote there, or as the value of
// rport (RFC 3581 4), would send our responses to whom it likes.
func received(req *sipmsg.Request) {
	v := req.Via()
	if v == nil {
		return
	}
	v.Params.Remove("received")
	if v.Params.Has("rport") {
		v.Params.Remove("rport")
		v.Params.Add("rport", "") // the library sets it
	}
	src := sourceOf(req)
	if !src.IsValid() {
		return
	}
	if host, err := netip.ParseAddr(v.Host); err == nil && host.Unmap() == src.Addr() {
		return
	}
	v.Params.Add("received", src.Addr().String())
}

// astrayCancel is the method of a CANCEL that ends no INVITE of its sender's.
// The transaction layer would find one by the branch alone; this it hands on.
const astrayCancel sipmsg.RequestMethod = "CANCEL-ASTRAY"

// observeInvite gives a first INVITE, and its CANCEL, our tag: every response
// to them carries it, those that the transaction layer writes itself too.
func (a *Agent) observeInvite(req *sipmsg.Request) {
	key := inviteKey(req)
	if req.Method == sipmsg.CANCEL && !a.mayCancel(key, req) {
		req.Method = astrayCancel
	}
	to := req.To()
	if to == nil || req.From() == nil || toTag(req) != "" {
		return
	}
	to.Params.Add("tag", keyedTag(a.secret, key, callID(req), fromTag(req)))
	switch req.Method {
	case sipmsg.INVITE:
		a.inbox.arrive(key, mergeKey(req), a.sideOf(req))
	case sipmsg.CANCEL:
		a.inbox.cancel(key, cancelled(req))
	}
}

// cancelled is how an INVITE ends that this CANCEL belongs to.
func cancelled(req *sipmsg.Request) *Failure {
	return &Failure{Kind: Cancelled, Status: sipmsg.StatusRequestTerminated, Reasons: messageReasons(req)}
}

// mayCancel reports whether there is an INVITE that a CANCEL belongs to.
func (a *Agent) mayCancel(key string, req *sipmsg.Request) bool {
	s, ok := a.inbox.side(key)
	return ok && a.onSide(s, sourceOf(req).Addr())
}

// inviteKey names an INVITE transaction; its CANCEL has the same (RFC 3261
// 9.2, 17.2.3).
func inviteKey(req *sipmsg.Request) string {
	v := req.Via()
	if v == nil {
		return callID(req)
	}
	return branchOf(req) + "\x00" + v.Host + ":" + strconv.Itoa(v.Port) + "\x00" + callID(req)
}

// mergeKey is the same for one INVITE that comes over two ways (RFC 3261
// 8.2.2.2).
func mergeKey(req *sipmsg.Request) string {
	s := req.CSeq()
	if s == nil {
		return ""
	}
	return mergeKeyOf(callID(req), fromTag(req), s.SeqNo)
}

func mergeKeyOf(callID, fromTag string, seq uint32) string {
	return callID + "\x00" + fromTag + "\x00" + strconv.FormatUint(uint64(seq), 10)
}

// dialogOf returns the dialog that a request with a To-tag belongs to.
func (a *Agent) dialogOf(req *sipmsg.Request) *Dialog {
	d := a.calls.get(toTag(req))
	if d == nil || d.callID != callID(req) {
		return nil
	}
	if rec := d.record(); rec.State == StateConfirmed && rec.RemoteTag != fromTag(req) {
		return nil
	}
	return d
}

// inbox knows the first INVITEs of the last 64*T1 and those being handled, as
// they came off the wire, and which were cancelled: the CANCEL may be handled
// before the INVITE that it came behind.
type inbox struct {
	mu     sync.Mutex
	byKey  map[string]*arrival // guarded by mu
	merged map[string]string   // guarded by mu; mergeKey to key
	order  []*arrival          // guarded by mu; by time
}

// arrival is an INVITE off the wire. Its fields are guarded by inbox.mu.
type arrival struct {
	key, merge string
	at         time.Time
	side       side // where it came from
	invited    bool // it came; else only its CANCEL did
	twin       bool // the same request came over another way before
	claimed    bool // it was handed to a handler
	active     bool // which has not returned
	old        bool // out of order already
	cancelled  *Failure
	onCancel   func(*Failure)
}

func newInbox() *inbox {
	return &inbox{byKey: make(map[string]*arrival), merged: make(map[string]string)}
}

// arrive notes an INVITE; a retransmission changes nothing.
func (b *inbox) arrive(key, merge string, from side) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byKey[key]
	if r == nil {
		r = b.add(key, merge)
	}
	if r.invited {
		return
	}
	if r.cancelled != nil && r.side.addr != from.addr { // by somebody else's CANCEL
		r.cancelled = nil
	}
	r.merge, r.side, r.invited = merge, from, true
}

// has reports whether an INVITE that is not parsed yet was seen, over whichever
// way.
func (b *inbox) has(p []byte) bool {
	key := sniffMergeKey(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	_, there := b.merged[key]
	return there
}

// side is where an INVITE that was seen came from.
func (b *inbox) side(key string) (side, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byKey[key]
	if r == nil || !r.invited {
		return side{}, false
	}
	return r.side, true
}

// add is to be called with b.mu held.
func (b *inbox) add(key, merge string) *arrival {
	now := time.Now()
	for len(b.order) > 0 && now.Sub(b.order[0].at) > txTimeout {
		r := b.order[0]
		b.order = b.order[1:]
		if r.old = true; !r.active {
			b.drop(r)
		}
	}
	r := &arrival{key: key, merge: merge, at: now}
	if merge != "" {
		_, r.twin = b.merged[merge]
		if !r.twin {
			b.merged[merge] = key
		}
	}
	b.byKey[key] = r
	b.order = append(b.order, r)
	return r
}

func (b *inbox) drop(r *arrival) {
	delete(b.byKey, r.key)
	if b.merged[r.merge] == r.key {
		delete(b.merged, r.merge)
	}
}

// cancel marks an INVITE that was seen.
func (b *inbox) cancel(key string, f *Failure) {
	b.mu.Lock()
	r := b.byKey[key]
	if r == nil || r.cancelled != nil {
		b.mu.Unlock()
		return
	}
	r.cancelled = f
	tell := r.onCancel
	b.mu.Unlock()
	if tell != nil {
		tell(f)
	}
}

// remember marks an INVITE that was not seen yet, and reports whether it was.
func (b *inbox) remember(key string, from side, f *Failure) (seen bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.byKey[key]; r != nil {
		return r.invited
	}
	r := b.add(key, "")
	r.cancelled, r.side = f, from
	return false
}

// claim returns what is known of an INVITE that is about to be handled, nil if
// it is no first one.
func (b *inbox) claim(key string) *arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byKey[key]
	if r == nil || r.claimed {
		return nil
	}
	r.claimed, r.active = true, true
	return r
}

// watch calls f when the INVITE is cancelled, at once if it is.
func (b *inbox) watch(r *arrival, f func(*Failure)) {
	b.mu.Lock()
	done := r.cancelled
	r.onCancel = f
	b.mu.Unlock()
	if done != nil {
		f(done)
	}
}

// release ends what claim began.
func (b *inbox) release(r *arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.onCancel, r.active = nil, false
	if r.old {
		b.drop(r)
	}
}
