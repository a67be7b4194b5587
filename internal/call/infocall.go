package call

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/store"
	"perezvon/media/amd"
	"perezvon/media/g711"
)

// runInfocall works an informational call through to its terminal result,
// attempt after attempt. It returns early only when the server shuts down while
// the call waits: the store keeps it for the next start.
func (s *Service) runInfocall(c *Call) {
	for c.waitUntilDue() {
		if !c.followLine() {
			c.finish(noLine(c.Record()))
			return
		}
		if c.expired() {
			c.finish(tooLate())
			return
		}
		if !c.goOn(s.attemptInfocall(c)) {
			return
		}
	}
}

// attemptInfocall is one try: the message is made ready, the number is dialled,
// and whoever picks up hears it. What can be waited for or prepared comes before
// the phone rings.
func (s *Service) attemptInfocall(c *Call) outcome {
	if problem := s.blocked(c.ctx, c.Record().Number); problem != nil { // by another call meanwhile
		return *problem
	}
	message, problem := s.renderMessage(c)
	if problem != nil {
		return *problem
	}
	c.enter(store.StateQueued, "")
	if why := s.trunksDown(c.line().Trunks); why != "" { // somebody may be waiting for the result
		c.beginAttempt(store.StateQueued)
		return outcome{result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyTrunk, reason: why, retry: retryLater}
	}
	if problem := c.waitOut(c.customerObstacle); problem != nil {
		return *problem
	}
	release, problem := s.holdCustomer(c)
	if problem != nil {
		return *problem
	}
	defer release()
	free, problem := s.holdPairs(c, 1)
	if problem != nil {
		return *problem
	}
	defer free()

	c.beginAttempt(store.StateRinging)
	listener, err := c.dialCustomer(c.ctx, 0, nil)
	switch {
	case err != nil && c.ctx.Err() != nil:
		return c.stopped()
	case err != nil:
		return c.missed(notReached(err).infocall())
	}
	defer listener.hangup(errOver)
	o := c.deliver(listener, message)
	listener.hangup(errOver) // nobody waits for the disk
	c.reached()
	return o
}

// infocall is how an informational call is told that did not reach anybody.
func (o outcome) infocall() outcome {
	switch o.result {
	case store.ResultCustomerBusy:
		o.result = store.ResultBusy
	case store.ResultCustomerNoAnswer:
		o.result = store.ResultNoAnswer
	case store.ResultCustomerDeclined:
		o.result = store.ResultDeclined
	case store.ResultCustomerUnavailable:
		o.result = store.ResultUnavailable
	}
	return o
}

// renderMessage makes the sound of the message. Without it nobody is rung:
// beeps inform nobody.
func (s *Service) renderMessage(c *Call) (*g711.Clip, *outcome) {
	req := c.Record().Request
	c.enter(store.StateRendering, "")
	clip, err := s.render(c.ctx, req)
	switch {
	case c.ctx.Err() != nil:
		o := c.stopped()
		return nil, &o
	case err != nil:
		c.log.Error("the message of an informational call cannot be played; nobody is called", "err", err)
		return nil, &outcome{result: store.ResultSpeechFailed, code: codeOther, owner: store.PartyUs, reason: err.Error()}
	}
	return clip, nil
}

// render speaks the text of a request, or gets its sound.
func (s *Service) render(ctx context.Context, req store.Request) (*g711.Clip, error) {
	switch {
	case req.Sound == "":
		return s.speech.Render(ctx, req.Text, req.Voice)
	case s.sounds == nil:
		return nil, errNoSounds
	}
	return s.sounds.Clip(ctx, req.Sound)
}

const (
	// betweenTimes is the silence before a message is repeated.
	betweenTimes = time.Second
	// lastWords is what a phone has in hand of the sound when its last packet
	// has been sent.
	lastWords = 300 * time.Millisecond
)

// deliver plays the message to who has picked up, as often as was asked for,
// and tells how much of it was heard.
func (c *Call) deliver(listener *leg, message *g711.Clip) outcome {
	ctx, done := context.WithTimeoutCause(listener.ctx, c.svc.set().Limits.MaxCall, errMaxCall)
	defer done()
	answered := time.Now()
	c.change(store.EventCallState, func(r *store.Call) any {
		return stateData{State: r.State, Attempt: len(r.Attempts)}
	}, func(r *store.Call) { r.State, r.AnsweredAt, r.Info = store.StatePlaying, &answered, &store.Info{} })

	by := c.answeredBy(ctx, listener.media)
	if by == amd.Machine && c.machineMode() == MachineHangUp && ctx.Err() == nil {
		return outcome{
			result: store.ResultMachine, code: codeMissed, owner: store.PartyCustomer, hangupBy: store.PartyUs,
			reason: "a machine answered", retry: retryLater,
		}
	}

	p := program{message: message, times: max(1, c.Record().Request.Repeat), must: message.Duration()}
	need := message.Duration() * time.Duration(c.svc.set().Infocall.MinHeard) / 100
	var heard time.Duration
	var keys string
	if most := c.Record().Request.Gather; most > 0 {
		p.must = need
		heard, keys = gather(ctx, listener.media, p, most)
	} else {
		heard = p.play(ctx, ctx, listener.media)
	}
	rest(ctx, lastWords)
	c.note(func(r *store.Call) {
		r.Info = &store.Info{HeardMS: heard.Milliseconds(), Digits: keys, AnsweredBy: string(by)}
	})
	o := c.deliveredOutcome(endReason(context.Cause(ctx)), heard >= need)
	if o.result == store.ResultHungUpEarly {
		o.reason = fmt.Sprintf("%.1f s of a message of %.1f s were heard; %s", heard.Seconds(), message.Duration().Seconds(), o.reason)
	}
	return o
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// deliveredOutcome is how an informational call ended that was answered; why is
// nil where the listener has stayed to the end. Who has heard enough has heard
// enough, whatever came then.
func (c *Call) deliveredOutcome(why *EndReason, enough bool) outcome {
	o := outcome{result: store.ResultDelivered, code: codeOK, hangupBy: store.PartyUs, reason: "the message was played"}
	if why != nil {
		o.hangupBy = why.By
	}
	switch {
	case enough:
		return o
	case c.ctx.Err() != nil:
		return c.stopped()
	case why == errNoAudio:
		return outcome{result: store.ResultNoAudio, code: codeOther, owner: store.PartyCustomer, reason: why.Text, hangupBy: store.PartyUs}
	case why == nil: // another sound has taken the message's place, which none does
		why = errOver
	}
	return outcome{result: store.ResultHungUpEarly, code: codeOK, owner: why.By, hangupBy: why.By, reason: why.Text}
}
