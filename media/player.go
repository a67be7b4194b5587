package media

import (
	"context"
	"fmt"
	"math"
	"time"

	"perezvon/media/g711"
)

// Russian ringback: 425 Hz, one second of every five.
const (
	ringbackHz     = 425
	ringbackOn     = time.Second
	ringbackPeriod = 5 * time.Second
	ringbackLevel  = 6000 // amplitude, about -15 dB
	ringbackRamp   = 40   // samples over which the tone comes and goes without a click
)

// player feeds a clip into a leg, frame by frame.
type player struct {
	tx     *sender
	id     uint64
	clip   *g711.Clip
	repeat bool   // goes on without end
	yields bool   // ringback: gives way to relayed sound
	keys   []byte // pressed in place of a clip; pos counts packets then

	pos  int           // guarded by tx.mu; sample to send next
	sent int           // guarded by tx.mu; samples of the clip sent
	err  error         // guarded by tx.mu until done is closed
	done chan struct{} // closed once, under tx.mu
}

// Play sends a clip and returns at its end, or when ctx is done or another
// sound takes its place, then with ctx's error or ErrInterrupted. played is
// how much of the clip was sent. While the other side holds us, the clip
// waits. What a path relays to the leg is dropped meanwhile.
func (s *Session) Play(ctx context.Context, clip *g711.Clip) (played time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("play: %w", err)
	}
	p := s.start(&player{clip: clip})
	select {
	case <-p.done:
	case <-ctx.Done():
		s.tx.stop(p, ctx.Err())
	}
	if p.err != nil {
		err = fmt.Errorf("play: %w", p.err)
	}
	return length(p.sent), err
}

// Ringback sends the ringing tone until stop is called, another sound is
// played, the session ends, or a path brings the first sound of the other
// party. Thus early media takes its place, but early media that was promised
// and never comes leaves nobody in silence (RFC 3960, section 3.2). stop may
// be called more than once.
func (s *Session) Ringback() (stop func()) {
	p := s.start(&player{clip: s.engine.ringback(), repeat: true, yields: true})
	return func() { s.tx.stop(p, nil) }
}

// Music sends a clip again and again until stop is called, another sound is
// played, or the session ends. What a path relays to the leg is dropped
// meanwhile, so that nobody hears the room of those who put him on hold. An
// empty clip ends at once. stop may be called more than once.
func (s *Session) Music(clip *g711.Clip) (stop func()) {
	p := s.start(&player{clip: clip, repeat: true})
	return func() { s.tx.stop(p, nil) }
}

// Filler is Music that gives way, as ringback does, to the first sound that a
// path brings: for somebody who waits for a side that may have music of its own.
// over is closed when it has given way, or was stopped.
func (s *Session) Filler(clip *g711.Clip) (stop func(), over <-chan struct{}) {
	p := s.start(&player{clip: clip, repeat: true, yields: true})
	return func() { s.tx.stop(p, nil) }, p.done
}

// start lets p feed the leg.
func (s *Session) start(p *player) *player {
	p.tx, p.id, p.done = &s.tx, s.engine.sources.Add(1), make(chan struct{})
	if s.tx.play(p) {
		s.engine.pacer.add(p)
	}
	return p
}

// play makes p the leg's sound; the one before it ends with ErrInterrupted.
func (t *sender) play(p *player) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		p.err = ErrClosed
		close(p.done)
		return false
	}
	t.replace(p, ErrInterrupted)
	return true
}

// stop ends p, if it still plays.
func (t *sender) stop(p *player, reason error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.player == p {
		t.replace(nil, reason)
	}
}

// replace ends the present player for a reason. t.mu is held.
func (t *sender) replace(p *player, reason error) {
	if old := t.player; old != nil {
		old.err = reason
		close(old.done)
	}
	t.player = p
}

// step sends the next frame from buf, which is scratch space. It returns the
// milliseconds until the one after it, 0 when there is none.
func (p *player) step(buf []byte, now time.Duration) int {
	t := p.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.player != p {
		return 0
	}
	rem := t.rem
	if rem == nil || !rem.sends || !t.dest.IsValid() {
		t.source = 0
		return 20
	}
	if t.source != p.id {
		if early := t.early(now); early > 0 {
			return early
		}
	}
	if p.keys != nil {
		return t.press(p, buf, now)
	}
	sound := p.clip.Bytes(rem.law)
	if len(sound) == 0 || p.pos >= len(sound) && !p.repeat {
		t.replace(nil, nil)
		return 0
	}
	data := buf[:headerLen+rem.frame]
	p.fill(data[headerLen:], sound, rem.law.Silence())
	seq, ts, marker := t.seq+1, t.ts+t.lastLen, false
	if t.source != p.id {
		ts, marker = t.nextTS(now), true
		t.source = p.id
	}
	t.write(data, rem.payload, marker, seq, ts, now)
	return rem.frame * 1000 / sampleRate
}

// fill puts the next samples of sound into frame, silence after its end.
func (p *player) fill(frame, sound []byte, silence byte) {
	n := copy(frame, sound[p.pos:])
	p.pos += n
	for p.repeat && n < len(frame) {
		p.pos = copy(frame[n:], sound)
		n += p.pos
	}
	p.sent += n
	for i := n; i < len(frame); i++ {
		frame[i] = silence
	}
}

// early is how many milliseconds are left of the packet sent last: a sound that
// takes over from another one keeps the stream's pace. t.mu is held.
func (t *sender) early(now time.Duration) int {
	if !t.started {
		return 0
	}
	return int((t.tsAt + length(int(t.lastLen)) - now) / time.Millisecond)
}

// ringbackTone is one period of the tone.
func ringbackTone() *g711.Clip {
	on := int(samples(ringbackOn))
	pcm := make([]int16, samples(ringbackPeriod))
	for i := range on {
		ramp := min(1, float64(min(i, on-1-i))/ringbackRamp)
		pcm[i] = int16(ringbackLevel * ramp * math.Sin(2*math.Pi*ringbackHz*float64(i)/sampleRate))
	}
	return g711.NewClip(pcm)
}
