package call

import (
	"context"
	"time"

	"perezvon/media"
	"perezvon/media/g711"
)

const (
	// MaxGather is how many keys an informational call may wait for.
	MaxGather = 32
	// gatherPause is how long the next key is waited for when the message has
	// been played.
	gatherPause = 5 * time.Second
)

// gather plays a message and collects the keys that the listener presses: as
// many as most, or what comes before a # where that is more than one. When they
// are there the rest of the message is left out, but not what has to be heard
// for it to count. It returns what was sent, and the keys.
func gather(ctx context.Context, to *media.Session, p program, most int) (sent time.Duration, keys string) {
	reading, complete := context.WithCancel(ctx)
	defer complete()
	over := make(chan time.Duration, 1)
	go func() { over <- p.play(ctx, reading, to) }()
	pause := time.NewTimer(gatherPause)
	defer pause.Stop()
	pad, playing := keypad{most: most}, true
	for !pad.full && ctx.Err() == nil {
		var paused <-chan time.Time
		if !playing {
			paused = pause.C
		}
		select {
		case key := <-to.Digits():
			pad.press(key)
			pause.Reset(gatherPause)
		case sent = <-over:
			playing = false
			pause.Reset(gatherPause)
		case <-paused:
			return sent, pad.keys
		case <-ctx.Done():
			pad.empty(to.Digits())
		}
	}
	complete()
	if playing {
		sent = <-over
	}
	return sent, pad.keys
}

// keypad holds what was pressed.
type keypad struct {
	most int
	keys string
	full bool // no more is waited for
}

// press takes a key. A # ends what is longer than one key; of nothing there is
// no end.
func (k *keypad) press(key rune) {
	if key == '#' && k.most > 1 {
		k.full = k.keys != ""
		return
	}
	k.keys += string(key)
	k.full = len(k.keys) >= k.most
}

// empty takes the keys that were pressed in the last moment.
func (k *keypad) empty(pressed <-chan rune) {
	for !k.full {
		select {
		case key := <-pressed:
			k.press(key)
		default:
			return
		}
	}
}

// program is a message and how it is played.
type program struct {
	message *g711.Clip
	times   int           // how often
	must    time.Duration // of the message has to be heard for it to count
}

// play plays the message as often as is asked for and returns how much was sent
// before ctx ended. When more ends, what has to be heard is the last.
func (p program) play(ctx, more context.Context, to *media.Session) (sent time.Duration) {
	head, tail := divide(p.message, p.must)
	for n := range p.times {
		if n > 0 {
			rest(more, betweenTimes)
			head, tail = nil, p.message
		}
		for _, part := range []struct {
			ctx  context.Context
			clip *g711.Clip
		}{{ctx, head}, {more, tail}} {
			if part.clip == nil {
				continue
			}
			played, err := to.Play(part.ctx, part.clip)
			sent += played
			if err != nil {
				return sent // why is in the context
			}
		}
	}
	return sent
}

// seam is where a clip can be divided so that no packet is cut: a multiple of
// all usual packet times.
const seam = 120 * time.Millisecond

// divide cuts a clip in two where at least so much of it is over; either part
// may be nil.
func divide(clip *g711.Clip, at time.Duration) (head, tail *g711.Clip) {
	n := int((at + seam - 1) / seam * seam * g711.SampleRate / time.Second)
	switch {
	case n >= clip.Samples():
		return clip, nil
	case n == 0:
		return nil, clip
	}
	return clip.Part(0, n), clip.Part(n, clip.Samples())
}
