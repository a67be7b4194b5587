package call

import (
	"context"
	"fmt"

	"perezvon/internal/store"
	"perezvon/tts"
)

// tell says in one sentence why the customer was not reached.
func (c *Call) tell(manager *leg, o outcome) {
	id, ok := sentenceFor[o.result]
	if !ok || manager.ctx.Err() != nil {
		return
	}
	_, _ = manager.media.Play(manager.ctx, c.svc.prompts.clip(manager.ctx, id))
}

// sentenceFor says what the manager is told.
var sentenceFor = map[store.Result]tts.PhraseID{
	store.ResultCustomerBusy:        tts.PhraseCustomerBusy,
	store.ResultCustomerNoAnswer:    tts.PhraseCustomerNoAnswer,
	store.ResultCustomerDeclined:    tts.PhraseCustomerDeclined,
	store.ResultCustomerUnavailable: tts.PhraseCustomerUnavailable,
	store.ResultInvalidNumber:       tts.PhraseInvalidNumber,
	store.ResultDirection:           tts.PhraseDirectionUnavailable,
	store.ResultTrunkFailed:         tts.PhraseTrunkFailed,
}

// managerLeft is the outcome when the manager's leg has gone before the talk.
func (c *Call) managerLeft(manager *leg, retry retryKind) outcome {
	if c.ctx.Err() != nil {
		return c.stopped()
	}
	why := endReason(context.Cause(manager.ctx))
	switch why {
	case errCallsIn:
		return outcome{result: store.ResultManagerUnavailable, code: codeMissed, owner: store.PartyCustomer, reason: why.Text, retry: retrySoon}
	case errNoAudio:
		return outcome{result: store.ResultNoAudio, code: codeOther, owner: store.PartyManager, reason: why.Text, hangupBy: store.PartyUs}
	}
	return outcome{
		result: store.ResultManagerHungUp, code: codeCancelled, owner: store.PartyManager,
		reason: "the manager hung up before the customer answered", hangupBy: store.PartyManager, retry: retry,
	}
}

// stopped is the outcome when the whole call was ended from outside its flow.
func (c *Call) stopped() outcome {
	why := endReason(context.Cause(c.ctx))
	if why == nil {
		why = &EndReason{By: store.PartyUs, Text: fmt.Sprint(context.Cause(c.ctx))}
	}
	if why == errCalledIn {
		return outcome{result: store.ResultCustomerCalled, code: codeOK, owner: store.PartyCustomer, reason: why.Text}
	}
	if why.Text == errShutdown {
		retry := retrySoon
		if c.Record().CustomerReached { // nobody who was reached is called again
			retry = retryNever
		}
		return outcome{
			result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs, reason: why.Text,
			hangupBy: store.PartyUs, retry: retry,
		}
	}
	return outcome{result: store.ResultCancelled, code: codeCancelled, owner: store.PartyUs, reason: why.Text, hangupBy: why.By}
}
