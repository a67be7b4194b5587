package audiotest_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"perezvon/internal/audiotest"
)

func TestEachToneIsToldFromTheOthers(t *testing.T) {
	tones := []float64{400, 500, 700, 1000, 1500, 2500, 3300}
	for _, f := range tones {
		got := audiotest.Hears(audiotest.Tone(f, time.Second), tones...)
		for _, g := range tones {
			if got[g] != (f == g) {
				t.Errorf("tone %v: hears %v = %v", f, g, got[g])
			}
		}
	}
}

func TestTwoTonesAtOnceAreBothHeard(t *testing.T) {
	a, b := audiotest.Tone(600, time.Second), audiotest.Tone(1100, time.Second)
	for i := range a {
		a[i] += b[i]
	}
	if got := audiotest.Hears(a, 600, 1100, 1600); !got[600] || !got[1100] || got[1600] {
		t.Errorf("got %v", got)
	}
}

func TestSilenceAndNoiseHoldNoTone(t *testing.T) {
	quiet := audiotest.Silence(time.Second)
	if audiotest.Hears(quiet, 1000)[1000] || !audiotest.Silent(quiet) {
		t.Error("silence is not silent")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]int16, 8000)
	for i := range noise {
		noise[i] = int16(rnd.IntN(8000) - 4000)
	}
	if audiotest.Hears(noise, 1000)[1000] || audiotest.Silent(noise) {
		t.Error("noise taken for a tone or for silence")
	}
	if audiotest.Hears(nil, 1000)[1000] {
		t.Error("a tone in nothing")
	}
}

func TestWhenAndHowLongAToneSounds(t *testing.T) {
	pcm := slices.Concat(audiotest.Silence(500*time.Millisecond), audiotest.Tone(800, 300*time.Millisecond), audiotest.Silence(time.Second))
	if at, ok := audiotest.First(pcm, 800); !ok || at != 500*time.Millisecond {
		t.Errorf("first at %v, %v", at, ok)
	}
	if d := audiotest.Heard(pcm, 800); d != 300*time.Millisecond {
		t.Errorf("heard for %v", d)
	}
}

func TestAGapOfAFewPacketsDoesNotHideATone(t *testing.T) {
	pcm := audiotest.Tone(900, 2*time.Second)
	for i := range 160 {
		pcm[4000+i] = 0
	}
	if d := audiotest.Heard(pcm, 900); d < 1800*time.Millisecond {
		t.Errorf("heard for %v", d)
	}
}
