package call

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/tts"
)

const (
	messageSilence = 5 * time.Second // silence that ends a message
	leastMessage   = time.Second     // what is spoken for less is no message
)

// takeMessage greets a caller who has been answered, and records what he says.
// That is no answer by a person, nor is it a missed call where he leaves a
// message.
func (r *reception) takeMessage(ctx context.Context, step route.Step, greeting *g711.Clip, why refusal) outcome {
	c := r.call
	_, o := unanswered(why)
	c.enter(store.StatePlaying, "the caller may leave a message")
	for _, clip := range []*g711.Clip{greeting, beep()} {
		_, _ = r.caller.media.Play(ctx, clip) // how it ended is in the contexts
	}
	if ctx.Err() == nil {
		o = r.record(ctx, step.Max, o)
	}
	switch {
	case c.ctx.Err() != nil && o.result != store.ResultVoicemail:
		return c.stopped()
	case r.broken() && o.result != store.ResultVoicemail:
		return r.abandoned(ctx)
	case ctx.Err() != nil:
		o.hangupBy = partyThatEnded(r.caller)
	default:
		o.hangupBy = store.PartyUs
	}
	return o
}

// partyThatEnded is who ended a leg.
func partyThatEnded(l *leg) store.Party {
	if why := endReason(context.Cause(l.ctx)); why != nil {
		return why.By
	}
	return l.party
}

// record keeps the message of a caller until he has done; o is the outcome
// where there is none.
func (r *reception) record(ctx context.Context, longest time.Duration, o outcome) outcome {
	c := r.call
	message, err := c.record()
	if err != nil {
		c.notRecorded(err)
		_, _ = r.caller.media.Play(ctx, c.svc.prompts.clip(ctx, tts.PhraseApology))
		o.owner, o.reason = store.PartyUs, "the message could not be recorded"
		return o
	}
	r.caller.media.FlushDigits()
	hearing := r.caller.media.Listen(message.sound())
	r.untilSaid(ctx, hearing, longest, message.cut)
	hearing.Close()
	spoken := hearing.Spoken()
	if spoken < leastMessage {
		_, _ = message.finish() // it is thrown away
		_ = os.Remove(filepath.Join(c.svc.dir, recordingFile(c.Record())))
		o.reason += "; the caller left no message"
		return o
	}
	c.publish(message)
	o.result, o.code = store.ResultVoicemail, codeMissed
	o.reason = fmt.Sprintf("%s; the caller left a message of %d s", o.reason, int(math.Round(spoken.Seconds())))
	return o
}

// untilSaid returns when the caller hangs up, presses #, is silent, or has
// spoken for long enough, and when the recording is cut short.
func (r *reception) untilSaid(ctx context.Context, hearing *media.Listening, longest time.Duration, cut <-chan struct{}) {
	limit, quiet := time.NewTimer(longest), time.NewTimer(messageSilence)
	defer limit.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-cut:
			return
		case key := <-r.caller.media.Digits():
			if key == '#' {
				return
			}
		case <-quiet.C:
			left := messageSilence - hearing.Quiet()
			if left <= 0 {
				return
			}
			quiet.Reset(left)
		}
	}
}

// beep is the sign to speak: 0.4 s of 1400 Hz.
func beep() *g711.Clip {
	const (
		hz        = 1400
		amplitude = 6000 // about -15 dB
		ramp      = 80   // samples over which it comes and goes without a click
	)
	pcm := make([]int16, g711.SampleRate*4/10)
	for i := range pcm {
		edge := min(1, float64(min(i, len(pcm)-1-i))/ramp)
		pcm[i] = int16(amplitude * edge * math.Sin(2*math.Pi*hz*float64(i)/g711.SampleRate))
	}
	return g711.NewClip(pcm)
}
