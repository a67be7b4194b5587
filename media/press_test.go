package media

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"
)

func TestKeysArePressedAsEventsWithTheTimeOfTheirBeginning(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:4000", PCMA)
		a.event = 96
		sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(sa)
		b.call(sb)
		defer w.e.Connect(sa, sb, PathConfig{DTMF: true}).Close()
		b.hum(1000)
		time.Sleep(time.Second)
		begun := time.Now()
		if err := sa.Press(context.Background(), "1#"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 350*time.Millisecond || took > 450*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Second)
		got := a.heard()
		smooth(t, got)
		var events []uint32 // time stamps of the keys
		var ends int
		for _, pkt := range got {
			if pkt.PayloadType != 96 {
				continue
			}
			if len(events) == 0 || pkt.Timestamp != events[len(events)-1] {
				events = append(events, pkt.Timestamp)
				if !pkt.Marker {
					t.Error("a key begins without a marker")
				}
			}
			if want := []byte{1, 11}[len(events)-1]; pkt.Payload[0] != want {
				t.Errorf("event %d, want %d", pkt.Payload[0], want)
			}
			if pkt.Payload[1]&0x80 != 0 {
				ends++
				if d := binary.BigEndian.Uint16(pkt.Payload[2:]); d != 800 {
					t.Errorf("a key of %d samples", d)
				}
			}
		}
		if len(events) != 2 || ends != 6 {
			t.Errorf("%d keys, %d ends", len(events), ends)
		}
		if last := got[len(got)-1]; last.PayloadType != 8 {
			t.Error("the sound does not go on")
		}
	})
}

func TestKeysAreTonesWhereTheOtherSideKnowsNoEvents(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMU)
		a.event = 0
		s := w.open(SessionConfig{})
		a.call(s)
		if err := s.Press(context.Background(), "5"); err != nil {
			t.Fatal(err)
		}
		pcm := a.pcm(a.heard())
		for _, hz := range []float64{770, 1336} {
			if power(pcm[:800], hz) < 10*power(pcm[:800], 941) {
				t.Errorf("no %v Hz in the tones of the key 5", hz)
			}
		}
	})
}

// power is how much of one tone is in sound.
func power(pcm []int16, hz float64) float64 {
	var re, im float64
	for i, v := range pcm {
		angle := 2 * math.Pi * hz * float64(i) / sampleRate
		re += float64(v) * math.Cos(angle)
		im += float64(v) * math.Sin(angle)
	}
	return re*re + im*im
}

func TestKeysThatThereAreNotAreNotPressed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		if err := s.Press(context.Background(), "1x"); err == nil || len(a.heard()) != 0 {
			t.Errorf("pressed: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := s.Press(ctx, "123"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Press(context.Background(), "1"); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestKeyThatAHoldInterruptsIsPressedAfterIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		done := make(chan error, 1)
		go func() { done <- s.Press(context.Background(), "1") }()
		time.Sleep(50 * time.Millisecond)
		a.call(s, "a=sendonly")
		time.Sleep(time.Second)
		a.heard()
		a.call(s)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := a.heard()
		if len(got) != 7 || !got[0].Marker || got[0].Timestamp != got[6].Timestamp {
			t.Errorf("%d packets after the hold", len(got))
		}
	})
}

func TestKeysThatANewAgreementLeavesUnpressedAreAnError(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		done := make(chan error, 1)
		go func() { done <- s.Press(context.Background(), "123") }()
		time.Sleep(250 * time.Millisecond)
		a.event = 0
		a.call(s)
		if err := <-done; err == nil || errors.Is(err, ErrInterrupted) {
			t.Errorf("with two keys not pressed: %v", err)
		}
	})
}
