package sip

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	defaultExpires = time.Hour

	// A try that fails is repeated after retryFirst, doubling to retryMost, each
	// time a quarter more or less. A registrar that has refused our password
	// has to be asked less often, or it locks us out.
	retryFirst   = 5 * time.Second
	retryRefused = 30 * time.Second
	retryMost    = 5 * time.Minute

	// A registration is refreshed when half of its time has passed, a quarter
	// later at most: there is time for many tries before it ends.
	refreshMin = time.Second

	unregisterLimit = 2 * time.Second
	maxTooBrief     = 2 // how often a registrar may ask for a longer time in one try
)

// registration keeps the agent registered at one trunk (RFC 3261 10.2). Its
// fields belong to the goroutine that runs keep.
type registration struct {
	a     *Agent
	t     *trunk
	login login
	// Of all REGISTERs of this registration.
	callID, tag string
	seq         uint32

	asked     time.Duration    // what to ask for: as configured, or more after a 423
	bound     time.Time        // when the binding ends; zero: there is none
	contact   string           // that is bound, as rec.Contact has it
	dest      netip.AddrPort   // that the last binding was made at
	last      netip.AddrPort   // that was tried last
	tried     []netip.AddrPort // all that were tried last, in order of their numbers
	fails     int              // tries in a row
	notBefore time.Time        // the registrar has sent us away until then
	query     bool             // only ask what is registered, with no Contact (RFC 3261 10.2.3)
	answer    *sipmsg.Response // the last final one
	loose     bool             // a REGISTER was broken off: nobody knows what became of it
	done      chan struct{}    // closed when keep has returned
}

func (a *Agent) newRegistration(t *trunk) *registration {
	r := &registration{
		a: a, t: t, login: a.login(t.Name), callID: newTag(), tag: newTag(), seq: newCSeq(),
		done: make(chan struct{}),
	}
	r.asked = r.configured()
	return r
}

// configured is for how long to register unless the registrar wants more.
func (r *registration) configured() time.Duration {
	if r.t.Expires > 0 {
		return r.t.Expires
	}
	return defaultExpires
}

// keep registers and refreshes until the agent closes or the trunk is configured
// no more, whatever happens in between; then it takes our own Contact back,
// unless another trunk has taken it over.
func (r *registration) keep() {
	defer close(r.done)
	ctx, cancel := context.WithCancel(r.a.base)
	defer cancel()
	defer context.AfterFunc(r.t.life, cancel)()
	introduce := sync.OnceFunc(func() { close(r.t.introduced) })
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wake := due
		if !r.bound.IsZero() && r.bound.Before(due) {
			wake = r.bound
		}
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
		case <-timer.C:
			if now := time.Now(); !r.bound.IsZero() && !now.Before(r.bound) { // ended unrefreshed
				r.bound, r.contact = time.Time{}, ""
				r.a.learn(r.t, func(*condition) {})
			}
			if time.Now().Before(due) {
				continue
			}
		case <-r.t.moved:
			if !r.elsewhere() {
				continue
			}
		case <-r.t.disturbed:
			if time.Now().Before(r.notBefore) {
				continue
			}
		case <-r.t.renumbered:
			if time.Now().Before(r.notBefore) || !r.astray() {
				continue
			}
		}
		if ctx.Err() != nil {
			if !r.t.heir.Load() {
				r.remove()
			}
			return
		}
		pause := r.round(ctx)
		due = time.Now().Add(pause) // from its end: silence takes longer than the first pause
		introduce()
	}
}

// elsewhere reports whether the host has other addresses now than those that
// matter: the one we are registered at, or those that have failed.
func (r *registration) elsewhere() bool {
	if r.t.hop().missing() != nil {
		return false
	}
	dests, f := r.a.addresses(r.a.base, r.t, r.dest)
	if f != nil {
		return false
	}
	if !r.bound.IsZero() {
		return !r.t.hop().at(r.dest)
	}
	return !slices.Equal(sorted(dests), r.tried)
}

// astray reports whether calls are directed to where we are no longer seen.
func (r *registration) astray() bool {
	return !r.bound.IsZero() && r.contact != r.a.outside(r.t, r.dest).Contact
}

func sorted(addrs []netip.AddrPort) []netip.AddrPort {
	return slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare)
}

// round tries the addresses of the host, the last good one first, and returns
// when to come again.
func (r *registration) round(ctx context.Context) time.Duration {
	why := &refusal{}
	dests, f := r.a.addresses(ctx, r.t, r.dest)
	if f != nil {
		why.reason = cmp.Or(r.t.nameless(), f.Error())
	}
	r.tried = sorted(dests)
	for _, dest := range dests {
		r.last = dest
		held, refused := r.try(ctx, dest, r.asked)
		if refused == nil {
			r.dest = dest
			return r.succeeded(held)
		}
		refused.after = max(refused.after, why.after)
		if why = refused; !why.next {
			break
		}
	}
	if ctx.Err() != nil {
		return retryMost // the agent closes
	}
	return r.failed(why)
}

func (r *registration) succeeded(held time.Duration) time.Duration {
	now := time.Now()
	switch {
	case r.bound.IsZero():
		r.a.log.Info("sip: trunk is registered", "trunk", r.t.Name, "address", r.dest, "for", held)
	case r.fails > 0:
		r.a.log.Info("sip: registration refreshed again", "trunk", r.t.Name, "tries", r.fails+1)
	}
	r.a.registered.Add(1)
	r.fails, r.notBefore, r.bound, r.loose = 0, time.Time{}, now.Add(held), false
	bound, dest := r.bound, r.dest
	r.a.learn(r.t, func(c *condition) { c.bound, c.refused, c.address = bound, "", dest })
	return max(refreshMin, held/2+upTo(held/4))
}

// failed says when to try again: never before the registrar wants it, and
// never not at all.
func (r *registration) failed(why *refusal) time.Duration {
	r.a.unregistered.Add(1)
	r.fails++
	if r.fails == 1 && time.Now().Before(r.bound) {
		r.a.log.Warn("sip: registration not refreshed; it is tried again until it ends", "trunk", r.t.Name, "ends", r.bound, "why", why.reason)
	}
	r.a.learn(r.t, func(c *condition) { c.refused = why.reason })
	wait := backOff(r.fails, why.final)
	if why.after > 0 {
		r.notBefore = time.Now().Add(why.after)
		wait = max(wait, why.after+upTo(why.after/10))
	}
	return wait
}

// backOff is how long to wait after so many failures in a row.
func backOff(fails int, refused bool) time.Duration {
	wait := retryFirst
	if refused {
		wait = retryRefused
	}
	for range min(fails, 16) - 1 {
		wait = min(2*wait, retryMost)
	}
	return wait*3/4 + upTo(wait/2)
}

// upTo is some time from nothing to most.
func upTo(most time.Duration) time.Duration {
	return rand.N(most + 1) //nolint:gosec // only keeps many from coming at the same time
}

// try registers at one address, or takes our Contact back where expires is 0.
// It answers challenges, and asks for a longer time where the registrar wants
// one.
func (r *registration) try(ctx context.Context, dest netip.AddrPort, expires time.Duration) (held time.Duration, no *refusal) {
	r.login.renew()
	for brief := 0; ; {
		res, own, no := r.send(ctx, dest, expires)
		if no != nil {
			return 0, no
		}
		r.answer = res
		switch {
		case isChallenge(res) && r.login.challenged(res):
			continue
		case res.StatusCode == statusIntervalTooBrief && brief < maxTooBrief && expires > 0:
			if least, ok := seconds(header(res, "min-expires")); ok && least > expires {
				brief++
				r.asked, expires = least, least
				r.login.renew()
				continue
			}
		case res.IsSuccess():
			r.login.follow(res)
			if r.query {
				return 0, nil
			}
			own.seen = seenAt(res)
			held, ok := granted(res, own, expires)
			if !ok && expires > 0 {
				return 0, r.t.unlisted(res, dest.String())
			}
			r.contact = own.contact
			return held, nil
		}
		no = r.t.refused(res, dest.String(), expires, &r.login)
		switch {
		case isChallenge(res):
			r.login.forget()
		case res.StatusCode == statusIntervalTooBrief:
			r.asked = r.configured()
		}
		return 0, no
	}
}

// send sends one REGISTER, a new request in a new transaction each, and waits
// for the final response.
func (r *registration) send(ctx context.Context, dest netip.AddrPort, expires time.Duration) (*sipmsg.Response, ownership, *refusal) {
	rec := r.a.outside(r.t, dest)
	rec.CallID, rec.LocalTag = r.callID, r.tag
	r.seq++
	own := ownership{token: r.t.token, user: r.t.Username, contact: rec.Contact}
	own.sentBy, _ = netip.ParseAddrPort(rec.ViaSentBy)
	req, err := r.a.request(&rec, sipmsg.REGISTER, r.seq, newBranch())
	if err == nil {
		if !r.query {
			r.wish(req, rec.Contact, expires)
		}
		req.AppendHeader(sipmsg.NewHeader("Allow", allowed))
		err = r.login.sign(req)
	}
	if err != nil {
		return nil, own, &refusal{final: true, reason: fmt.Sprintf("cannot make a REGISTER request: %v; check trunks[].username and domain", err)}
	}
	// A registrar may have to ask others: it gets more time than an INVITE does
	// for its first response.
	res, f := r.a.exchange(ctx, req, 2*r.t.patience())
	if f == nil {
		r.a.sawUs(r.t, dest, res)
		return res, own, nil
	}
	r.loose = r.loose || f.Kind == Cancelled
	reason := r.t.silence(f, sipmsg.REGISTER)
	if f.Kind == NoResponse { // its doing; whatever else it is, is ours
		reason = "registrar " + reason
	}
	return nil, own, &refusal{next: true, reason: reason}
}

// wish adds what is to be registered.
func (r *registration) wish(req *sipmsg.Request, contact string, expires time.Duration) {
	life := strconv.Itoa(int(expires / time.Second))
	req.AppendHeader(sipmsg.NewHeader("Contact", r.t.named(contact)+";expires="+life))
	if r.contact != "" && r.contact != contact {
		// Where we were seen before nobody is any more (RFC 3261 10.2.2).
		req.AppendHeader(sipmsg.NewHeader("Contact", r.t.named(r.contact)+";expires=0"))
	}
	req.AppendHeader(sipmsg.NewHeader("Expires", life))
}

// remove takes our own Contact back, no other's, if there is one.
func (r *registration) remove() {
	if !r.loose && !time.Now().Before(r.bound) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), unregisterLimit)
	defer cancel()
	at := r.dest
	if r.bound.IsZero() {
		at = r.last
	}
	if _, no := r.try(ctx, at, 0); no != nil {
		r.a.log.Info("sip: registration not taken back; it ends by itself", "trunk", r.t.Name, "ends", r.bound, "why", no.reason)
	}
	r.a.learn(r.t, func(c *condition) { c.bound = time.Time{} })
}

// watchTrunks begins to register, and to ask trunks whether they are there,
// where that is configured.
func (a *Agent) watchTrunks() {
	a.spawn(a.tellNews)
	for _, t := range a.peers.trunks() {
		a.watchTrunk(t, nil)
	}
}

// watchTrunk is watchTrunks for one, that has taken the place of the one that
// before is registered as; nil: there was none.
func (a *Agent) watchTrunk(t *trunk, before *registration) {
	if t.Options > 0 {
		q := &asking{a: a, t: t}
		a.spawn(q.keep)
	}
	if !t.Register {
		return
	}
	r := a.newRegistration(t)
	a.mu.Lock()
	a.registrations = append(a.registrations, r)
	a.mu.Unlock()
	a.spawn(func() {
		if before != nil {
			<-before.done
			r.follow(before)
		}
		r.keep()
	})
}

// follow goes on where another registration has ended: with its Call-ID and
// numbers, as RFC 3261 10.2 wants it of one user agent, and where it was not
// taken back with its binding.
func (r *registration) follow(before *registration) {
	r.callID, r.tag, r.seq = before.callID, before.tag, before.seq
	if !before.t.heir.Load() {
		return
	}
	r.bound, r.contact, r.dest = before.bound, before.contact, before.dest
	r.a.learn(r.t, func(c *condition) { c.bound, c.address = r.bound, r.dest })
}

// awaitUnregistered waits until all registrations are taken back, or ctx ends.
func (a *Agent) awaitUnregistered(ctx context.Context) {
	a.mu.Lock()
	all := slices.Clone(a.registrations)
	a.mu.Unlock()
	for _, r := range all {
		select {
		case <-r.done:
		case <-ctx.Done():
			return
		}
	}
}
