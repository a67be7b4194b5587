package sip

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// askAgain is how soon a trunk is asked again that has missed once: whether it
// is down is to be known soon.
const askAgain = 5 * time.Second

// askMin is the least time between two questions, where all addresses of a
// trunk are silent and that takes longer than its Options.
const askMin = time.Second

// asking asks one trunk with OPTIONS whether it is there, again and again. For
// a trunk behind NAT that is also what keeps the way to us open. Its fields
// belong to the goroutine that runs keep.
type asking struct {
	a      *Agent
	t      *trunk
	heard  netip.AddrPort   // answered last
	misses int              // in a row
	last   *sipmsg.Response // to the last question that had one
}

func (q *asking) keep() {
	ctx, cancel := context.WithCancel(q.a.base)
	defer cancel()
	defer context.AfterFunc(q.t.life, cancel)()
	if q.t.Register { // one that knows us by that alone would not answer before
		select {
		case <-ctx.Done():
			return
		case <-q.t.introduced:
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		pause := q.round(ctx)
		timer.Reset(max(askMin, time.Until(began.Add(pause))))
	}
}

// round asks once and says when to ask next, counted from its beginning. It is
// never later than Options says: a NAT may forget us then.
func (q *asking) round(ctx context.Context) time.Duration {
	began := time.Now()
	dests, f := q.a.addresses(ctx, q.t, q.t.preferred())
	if f != nil {
		return q.t.Options
	}
	why := ""
	for _, dest := range dests {
		took, miss := q.ask(ctx, dest)
		if miss == "" {
			q.answered(dest, took)
			// Not all trunks in the same moment.
			return q.t.Options - upTo(q.t.Options/10)
		}
		q.t.hop().rest(dest, 0) // calls try the others first
		if why == "" {
			why = miss
		}
	}
	if ctx.Err() != nil {
		return q.t.Options
	}
	q.misses++
	q.a.learn(q.t, func(c *condition) { c.misses, c.unheard = q.misses, why })
	if q.misses < maxMisses {
		return min(time.Since(began)+askAgain, q.t.Options)
	}
	return q.t.Options
}

// answered notes a sign of life. A trunk that was away, or whose last address
// has fallen silent, may have forgotten that we are registered.
func (q *asking) answered(dest netip.AddrPort, took time.Duration) {
	if q.misses > 0 || q.heard.IsValid() && q.heard != dest {
		q.t.disturb()
	}
	q.misses, q.heard = 0, dest
	q.t.hop().answers(dest)
	q.a.learn(q.t, func(c *condition) {
		c.misses, c.unheard, c.heard = 0, "", true
		if unrepeated(q.t.hop().transport, took) {
			c.roundTrip = &took
		}
		if !time.Now().Before(c.bound) {
			c.address = dest
		}
	})
}

// ask sends one OPTIONS (RFC 3261 11.1) and returns how long the response
// took, or why there was none. Every response is one, a refusal as well, but
// 503 and 408: those say that nobody is there who could take a call.
func (q *asking) ask(ctx context.Context, dest netip.AddrPort) (took time.Duration, miss string) {
	rec := q.a.outside(q.t, dest)
	rec.CallID, rec.LocalTag = newTag(), newTag()
	rec.RemoteURI = "<" + rec.Target + ">"
	req, err := q.a.request(&rec, sipmsg.OPTIONS, newCSeq(), newBranch())
	if err != nil {
		return 0, fmt.Sprintf("cannot make an OPTIONS request: %v; check trunks[].domain", err)
	}
	req.AppendHeader(sipmsg.NewHeader("Contact", rec.Contact))
	req.AppendHeader(sipmsg.NewHeader("Accept", sdpType))
	began := time.Now()
	res, f := q.a.exchange(ctx, req, q.t.patience())
	if f == nil {
		q.last = res
		q.a.sawUs(q.t, dest, res)
	}
	switch {
	case f != nil && f.Kind == NoResponse:
		return 0, q.t.silence(f, sipmsg.OPTIONS) + "; where the provider never answers OPTIONS, set trunks[].options to off"
	case f != nil:
		return 0, q.t.silence(f, sipmsg.OPTIONS)
	case res.StatusCode == sipmsg.StatusServiceUnavailable, res.StatusCode == sipmsg.StatusRequestTimeout:
		return 0, fmt.Sprintf("%s answers OPTIONS with %s; it is overloaded, in maintenance or cut off: ask the provider if it lasts",
			q.t.where(dest.String()), statusLine(res))
	}
	return time.Since(began), ""
}

// unrepeated reports whether a request was answered before it was sent again,
// after T1 over UDP (RFC 3261 section 17.1.2.2). After that nobody can tell to
// which of the two the response is: it says nothing of the round trip (Karn).
func unrepeated(transport string, took time.Duration) bool {
	return transport != transportUDP || took < sipmsg.T1
}

// preferred is the address that answered last, where we are registered if we
// are.
func (t *trunk) preferred() netip.AddrPort {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	return t.health.address
}
