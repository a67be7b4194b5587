package media

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"perezvon/media/g711"
)

// A key is held for keyHeld packets of keyStep, its end is repeated, so that it
// is not lost, and a pause follows (RFC 4733, section 2.5.1).
const (
	keyStep    = 20 * time.Millisecond
	keyHeld    = 5
	keyRepeats = 2
	keyPause   = 3
	keyVolume  = 10 // dBm0 below zero
)

var errNoKeys = errors.New("the other side takes no telephone events any more")

// Press presses keys on this leg, 0-9, *, # and A-D: as telephone events where
// the other side knows them (RFC 4733), else as tones in the sound. It returns
// when they are out, or as Play does: ctx is done, or another sound takes their
// place. What a path relays to the leg is dropped meanwhile. The error names a
// key that there is not, or says that the other side has stopped to take any.
func (s *Session) Press(ctx context.Context, pressed string) error {
	for _, key := range pressed {
		if !strings.ContainsRune(keys, key) {
			return fmt.Errorf("press: there is no key %q", key)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("press: %w", err)
	}
	if r := s.remote.Load(); r == nil || r.event == 0 {
		_, err := s.Play(ctx, keyTones(pressed))
		return err
	}
	p := s.start(&player{keys: []byte(pressed)})
	select {
	case <-p.done:
	case <-ctx.Done():
		s.tx.stop(p, ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("press: %w", p.err)
	}
	return nil
}

// press sends the next packet of the keys from buf. It returns the milliseconds
// until the one after it, 0 when there is none. t.mu is held.
func (t *sender) press(p *player, buf []byte, now time.Duration) int {
	const (
		ms  = int(keyStep / time.Millisecond)
		all = keyHeld + keyRepeats + keyPause
	)
	key, step := p.pos/all, p.pos%all
	switch {
	case key >= len(p.keys):
		t.replace(nil, nil)
		return 0
	case t.rem.event == 0: // by a new agreement
		t.replace(nil, errNoKeys)
		return 0
	}
	ts := t.ts
	if step == 0 || t.source != p.id { // all packets of a key bear the time of its beginning
		step, ts = 0, t.nextTS(now)
		t.source = p.id
	}
	p.pos = key*all + step + 1
	if step >= keyHeld+keyRepeats {
		return ms
	}
	held := min(step+1, keyHeld)
	data := buf[:headerLen+eventLen]
	body := data[headerLen:]
	body[0] = byte(strings.IndexByte(keys, p.keys[key]))
	body[1] = keyVolume
	if step >= keyHeld-1 {
		body[1] |= 0x80
	}
	binary.BigEndian.PutUint16(body[2:], uint16(samples(time.Duration(held)*keyStep)))
	t.write(data, t.rem.event, step == 0, t.seq+1, ts, now)
	return ms
}

// keyTones are keys as those hear them who know no events (ITU-T Q.23).
func keyTones(pressed string) *g711.Clip {
	const (
		layout = "123A456B789C*0#D"
		level  = 8000 // amplitude of each of the two tones
	)
	low, high := [4]float64{697, 770, 852, 941}, [4]float64{1209, 1336, 1477, 1633}
	held := int(samples(keyHeld * keyStep))
	var pcm []int16
	for _, key := range pressed {
		at := strings.IndexRune(layout, key)
		for i := range held {
			angle := 2 * math.Pi * float64(i) / sampleRate
			pcm = append(pcm, int16(level*(math.Sin(low[at/4]*angle)+math.Sin(high[at%4]*angle))))
		}
		pcm = append(pcm, make([]int16, samples(keyPause*keyStep))...)
	}
	return g711.NewClip(pcm)
}
