package sip

import (
	"errors"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// errGlare says that a re-INVITE of ours has to wait: the peer's, or its ACK,
// is under way (RFC 3261 14.1).
var errGlare = errors.New("a re-INVITE is under way")

// backOff is how long to wait after a 491: 2.1 to 4 s where we chose the
// Call-ID, else up to 2 s, in steps of 10 ms, so that the two sides do not
// meet again (RFC 3261 14.1).
func (d *Dialog) backOff() time.Duration {
	const step = 10 * time.Millisecond
	if d.record().Role == RoleUAC {
		return 2100*time.Millisecond + upTo(1900*time.Millisecond).Truncate(step)
	}
	return upTo(2 * time.Second).Truncate(step)
}

// retrySoon is the Retry-After of what meets an offer that is not answered yet:
// up to 10 s (RFC 3261 14.2).
func retrySoon() sipmsg.Header { return retryAfter(int(upTo(10*time.Second) / time.Second)) }

// collides says how a request that carries an offer, or a re-INVITE, meets
// what is under way: nil if it meets nothing. An offer of theirs that is not
// answered yet is 500, one of ours 491 (RFC 3261 14.2, RFC 3311 5.2). d.mu is
// held.
func (d *Dialog) collides(req *sipmsg.Request, tx *sipmsg.ServerTx) (refuse func()) {
	invite := req.Method == sipmsg.INVITE
	switch {
	case d.busy, d.in != nil:
		return func() {
			d.a.respond(req, tx, sipmsg.StatusInternalServerError, "Server Internal Error", retrySoon())
		}
	case d.offering, d.pending != nil && (invite || d.pending.offered):
		return func() { d.a.respond(req, tx, sipmsg.StatusRequestPending, "Request Pending") }
	}
	return nil
}
