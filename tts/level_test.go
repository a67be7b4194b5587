package tts

import (
	"math"
	"slices"
	"testing"
)

func TestLevelCountsOnlyTheActivePart(t *testing.T) {
	speech := tone(8000, 1, 0.05)
	sparse := slices.Concat(make([]int16, 16000), speech, make([]int16, 24000))
	out, err := prepare(sparse, 8000)
	if err != nil {
		t.Fatal(err)
	}
	if got := activeLevel(out[16000:24000]); math.Abs(got-targetLevel) > 0.3 {
		t.Errorf("speech between pauses is at %.2f dB", got)
	}
}

func TestQuietAndLoudSpeechEndAtOneLevel(t *testing.T) {
	for _, amplitude := range []float64{0.01, 0.1, 0.5, 1} {
		out, err := prepare(tone(22050, 1, amplitude), 22050)
		if err != nil {
			t.Fatal(err)
		}
		if got := activeLevel(out); math.Abs(got-targetLevel) > 0.3 {
			t.Errorf("amplitude %g ends at %.2f dB", amplitude, got)
		}
	}
}

func TestPeaksStayBelowTheirLimit(t *testing.T) {
	pcm := tone(8000, 1, 0.02)
	for i := 0; i < len(pcm); i += 400 {
		pcm[i] = math.MinInt16
	}
	out, err := prepare(pcm, 8000)
	if err != nil {
		t.Fatal(err)
	}
	if got := peak(out); got > peakLevel+0.01 {
		t.Errorf("peak at %.2f dB", got)
	}
}

func TestPrepareDoesNotChangeWhatItIsGiven(t *testing.T) {
	pcm := tone(8000, 1, 0.5)
	before := slices.Clone(pcm)
	if _, err := prepare(pcm, 8000); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(pcm, before) {
		t.Error("the engine's samples were changed")
	}
}

func TestFiveMinutesAreAllowed(t *testing.T) {
	pcm := tone(2000, 300, 0.5)
	if _, err := prepare(pcm, 2000); err != nil {
		t.Errorf("exactly five minutes: %v", err)
	}
}
