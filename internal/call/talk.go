package call

import (
	"context"
	"errors"
	"os"
	"time"

	"perezvon/internal/store"
)

// talk bridges the two legs until one of them goes, and tells how it ended.
func (c *Call) talk(manager, customer *leg) outcome {
	b := c.join(manager, customer)
	c.mayInterrupt(nil)
	c.change(store.EventCallState, func(r *store.Call) any {
		return stateData{State: r.State, Attempt: len(r.Attempts)}
	}, func(r *store.Call) {
		r.State, r.AnsweredAt = store.StateTalking, &b.began
		c.bridge = b // from here on the talk can be controlled
	})
	over := b.last(c.svc.set().Limits.MaxCall)
	b.seeOff()
	talked := b.talked()
	c.note(func(r *store.Call) { r.TalkMS += talked.Milliseconds() })
	b.close()
	c.publish(b.recorder)
	return talkOutcome(over)
}

// errMaxCall ends a call that has lasted as long as any may.
var errMaxCall = &EndReason{By: store.PartyUs, Q850: causeNormal, Text: "limits.max_call is reached"}

// last returns when one of the sides has gone, or the limit is reached.
func (b *bridge) last(limit time.Duration) *EndReason {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		b.settle()
		sides := b.watched()
		var gone *leg
		select {
		case <-done(sides[managerSide]):
			gone = sides[managerSide]
		case <-done(sides[customerSide]):
			gone = sides[customerSide]
		case <-timer.C:
			return errMaxCall
		case <-turned(sides[managerSide]):
			continue
		case <-turned(sides[customerSide]):
			continue
		case <-b.changed:
			continue
		case <-b.whileWaiting():
			b.listen()
			continue
		}
		if b.lost(gone) {
			return endReason(context.Cause(gone.ctx))
		}
		gone.hangup(errOver) // it has passed the other side on: its part ends here
	}
}

// talkOutcome is how a talk ended. Whoever hung up, the two had talked; only a
// leg that gave no sign of life is a failure.
func talkOutcome(why *EndReason) outcome {
	if why == nil {
		why = errOver
	}
	switch why {
	case errNoAudio:
		return outcome{result: store.ResultNoAudio, code: codeOther, owner: store.PartyTrunk, reason: why.Text, hangupBy: store.PartyUs}
	case errNoAck:
		return outcome{result: store.ResultTrunkFailed, code: codeTrunk, owner: store.PartyTrunk, reason: why.Text, hangupBy: store.PartyTrunk}
	}
	return outcome{result: store.ResultCompleted, code: codeOK, hangupBy: why.By, reason: why.Text}
}

// startRecording opens the call's recording where its line asks for one. A
// recording that cannot be written never stops the call.
func (c *Call) startRecording() *recording {
	if !c.line().Record {
		return nil
	}
	r, err := c.record()
	if err != nil {
		c.notRecorded(err)
		return nil
	}
	return r
}

// notRecorded tells the log why a recording could not be begun, where that was
// not told of all calls at once.
func (c *Call) notRecorded(err error) {
	if !errors.Is(err, errNoRoom) {
		c.log.Error("this call is not recorded; look at the recordings folder and the disk", "err", err)
	}
}

// publish finishes the recording and tells where it is.
func (c *Call) publish(r *recording) {
	if r == nil {
		return
	}
	done, err := r.finish()
	if err != nil {
		c.log.Error("the recording is not whole; look at the recordings folder and the disk", "err", err)
	}
	if _, missing := os.Stat(done.Path); missing != nil {
		return // nobody said anything, or nothing could be kept
	}
	c.change(store.EventRecordingReady, func(r *store.Call) any { return r.Recording }, func(rec *store.Call) {
		rec.Recording = &store.Recording{File: recordingFile(*rec), DurationMS: done.Duration.Milliseconds(), Bytes: done.Bytes}
	})
}

// endpointOf says who a leg is, in the record of its call.
func (c *Call) endpointOf(r *store.Call, legID string) *store.Endpoint {
	l := findLeg(r, legID)
	if l == nil {
		return nil
	}
	who := &store.Endpoint{Number: l.Number, Extension: l.Extension}
	if e := c.svc.set().Extension(l.Extension); e != nil {
		who.Name = e.Name
	}
	return who
}
