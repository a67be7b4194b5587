package call

import (
	"context"
	"errors"

	"perezvon/internal/store"
	"perezvon/sip"
)

// outbound is how a call ends whose called side was not reached: the office
// called, so that nobody tries again by himself.
func (o outcome) outbound() outcome {
	switch o.result {
	case store.ResultCustomerBusy:
		o.result = store.ResultBusy
	case store.ResultCustomerNoAnswer, store.ResultCustomerDeclined, store.ResultCustomerUnavailable:
		o.result = store.ResultMissed
	}
	o.retry = retryNever
	return o
}

// turnPhoneAway tells the phone that dialled why it reached nobody, in the words
// of the far side.
func (c *Call) turnPhoneAway(ctx context.Context, in *sip.Incoming, phone *leg, to wanted, why refusal) outcome {
	if ctx.Err() != nil && c.ctx.Err() == nil {
		phone.failed(context.Cause(ctx))
		return c.hungUpEarly(ctx)
	}
	o, answer := c.notReached(to, why)
	phone.failed(&sip.Failure{Kind: sip.Rejected, Status: answer.status, Phrase: sip.Phrase(answer.status)})
	if err := in.Reject(answer.status, answer.phrase, answer.reasons...); err != nil {
		c.log.Warn("the refusal could not be sent", "err", err)
	}
	return o
}

// refusing is a final response to the phone that dialled.
type refusing struct {
	status  int
	phrase  string // empty: the usual one
	reasons []sip.Reason
}

// notReached reads why who was dialled did not answer.
func (c *Call) notReached(to wanted, why refusal) (outcome, refusing) {
	var f *sip.Failure
	switch {
	case c.ctx.Err() != nil:
		o, status := c.stopped(), 480
		if o.result == store.ResultInterrupted {
			status = 503
		}
		return o, refusing{status: status}
	case errors.Is(why.err, errDisturb):
		return outcome{
			result: store.ResultMissed, code: codeUnavailable, owner: store.PartyCustomer, reason: why.words(),
		}, refusing{status: 480, phrase: "Do Not Disturb"}
	case !errors.As(why.err, &f):
		return outcome{result: store.ResultMissed, code: codeMissed, owner: store.PartyCustomer, reason: why.words()}, refusing{status: 480}
	}
	o := customerOutcome(f).outbound()
	answer := refusing{status: mirrored(f)}
	for _, r := range f.Reasons {
		if r.Protocol == "Q.850" {
			answer.reasons = append(answer.reasons, r)
		}
	}
	if to.kind == store.KindInternal && o.owner == store.PartyTrunk { // a phone of the office that is not there
		o.result, o.code, o.owner = store.ResultMissed, codeUnavailable, store.PartyCustomer
		answer.status = 480
	}
	return o, answer
}

// mirrored is the status for a phone whose call came to nothing. What only the
// two ends of one hop can make use of is not passed on.
func mirrored(f *sip.Failure) int {
	switch f.Kind {
	case sip.Rejected:
	case sip.RingTimeout, sip.NotRegistered:
		return 480
	case sip.BadMedia:
		return 488
	default:
		return 503
	}
	switch status := f.Status; status {
	case 402, 403, 404, 410, 480, 484, 486, 488, 500, 503, 600, 603, 604, 606, 607, 608:
		return status
	case 401, 407, 408, 483:
		return 503
	default:
		if status >= 500 && status < 600 {
			return 503
		}
		return 480
	}
}
