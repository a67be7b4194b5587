package call

import (
	"context"
	"errors"
	"fmt"

	"perezvon/internal/store"
	"perezvon/sip"
)

// reception is a call that comes in, until somebody talks with the caller.
type reception struct {
	call   *Call
	in     *sip.Incoming
	caller *leg
	tone   *callerTone
	up     bool // the caller is answered; touched by the flow only
}

// pickUp answers the caller, if he is not answered yet. An outcome says that
// it could not be.
func (r *reception) pickUp(ctx context.Context) *outcome {
	if r.up {
		return nil
	}
	dialog, err := r.in.Answer(ctx, r.caller.media, sip.DialogRef{Call: r.call.rec.ID, Leg: r.caller.id})
	if err != nil {
		r.caller.failed(err)
		o := outcome{result: store.ResultAbandoned, code: codeMissed, owner: store.PartyTrunk, reason: err.Error()}
		if ctx.Err() != nil {
			o = r.abandoned(ctx)
		}
		return &o
	}
	r.up = true
	r.caller.up(dialog)
	return nil
}

// turnAway ends the caller's leg when nobody accepted.
func (r *reception) turnAway(ctx context.Context, why refusal) outcome {
	if r.up {
		defer r.caller.hangup(errOver)
	}
	status, o := unanswered(why)
	switch {
	case why.spoken != nil:
		return *why.spoken
	case r.call.ctx.Err() != nil:
		o = r.call.stopped()
	case ctx.Err() != nil:
		o = r.abandoned(ctx)
	case r.up:
		o.hangupBy = store.PartyUs
	}
	if r.up {
		return o
	}
	if o.result == store.ResultAbandoned {
		r.caller.failed(context.Cause(ctx))
		return o
	}
	r.caller.failed(&sip.Failure{Kind: sip.Rejected, Status: status, Phrase: sip.Phrase(status)})
	if err := r.in.Reject(status, ""); err != nil {
		r.call.log.Warn("the refusal could not be sent", "err", err)
	}
	return o
}

// unanswered is how a call ends that nobody accepted, and what a caller is
// told who has not been answered.
func unanswered(why refusal) (status int, o outcome) {
	status = 480
	o = outcome{result: store.ResultMissed, code: codeMissed, owner: store.PartyManager, reason: why.words()}
	var f *sip.Failure
	switch {
	case why.code != 0:
		status = why.code
		o.owner, o.reason = store.PartyUs, fmt.Sprintf("the route ends with hangup %d", why.code)
	case why.target == target{}: // nobody was rung
		o.owner = store.PartyUs
	case errors.As(why.err, &f):
		status, o = missed(f, why.target)
		if status == 486 && !why.busy { // only the last one was
			status = 480
		}
	}
	if status == 486 && o.result == store.ResultMissed {
		o.result, o.code = store.ResultBusy, codeBusy
	}
	return status, o
}

// missed reads the last failed phone of an inbound call: what the caller is
// told and how the call ends.
func missed(f *sip.Failure, at target) (status int, o outcome) {
	o = outcome{result: store.ResultMissed, code: codeMissed, owner: store.PartyManager, reason: f.Error()}
	switch m := measureFailure(f); m.code {
	case codeBusy:
		return 486, o
	case codeWrong:
		return 404, o
	case codeDirection:
		return 484, o
	case codeDeclined:
		return 603, o
	case codeNoFunds, codeForbidden, codeTrunk:
		if at.extension != "" && m.owner == store.PartyTrunk { // a phone of the office that is not there
			return 480, o
		}
		o.result, o.code, o.owner = store.ResultTrunkFailed, m.code, m.owner
		return 503, o
	}
	return 480, o
}

// broken reports whether the caller's leg was lost: by no will of his.
func (r *reception) broken() bool {
	switch endReason(context.Cause(r.caller.ctx)) {
	case errNoAudio, errNoAck:
		return true
	}
	return false
}

// abandoned is the outcome when the caller has gone, or the call was ended.
func (r *reception) abandoned(ctx context.Context) outcome {
	switch {
	case r.call.ctx.Err() != nil:
		return r.call.stopped()
	case r.broken():
		return talkOutcome(endReason(context.Cause(r.caller.ctx)))
	}
	return outcome{
		result: store.ResultAbandoned, code: codeMissed, owner: store.PartyCustomer, hangupBy: store.PartyCustomer,
		reason: fmt.Sprintf("the caller gave up: %v", context.Cause(ctx)),
	}
}
