package resample

import (
	"fmt"
	"math"
	"testing"
)

var rates = []int{6000, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 44101, 11027}

// tone is one second of a sine with the given amplitude.
func tone(rate int, hz, amplitude float64) []int16 {
	pcm := make([]int16, rate)
	for i := range pcm {
		pcm[i] = int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// level is the RMS of the middle, away from the ends, in dB below amplitude.
func level(pcm []int16, amplitude float64) float64 {
	mid := pcm[len(pcm)/4 : len(pcm)*3/4]
	var sum float64
	for _, s := range mid {
		sum += float64(s) * float64(s)
	}
	rms := math.Sqrt(sum / float64(len(mid)))
	return 20 * math.Log10(max(rms, 1e-6)/(amplitude/math.Sqrt2))
}

func convert(t testing.TB, pcm []int16, rate int) []int16 {
	t.Helper()
	out, err := To8k(pcm, rate)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatATelephoneCarriesKeepsItsLevel(t *testing.T) {
	const amplitude = 20000
	for _, rate := range rates {
		for _, hz := range []float64{100, 300, 1000, 2000, 3000, 3400} {
			if hz > float64(rate)*0.42 {
				continue
			}
			got := level(convert(t, tone(rate, hz, amplitude), rate), amplitude)
			if math.Abs(got) > 0.5 {
				t.Errorf("%d Hz: a tone of %g Hz changes by %.2f dB", rate, hz, got)
			}
		}
	}
}

func TestWhatWouldFoldBackIsRemoved(t *testing.T) {
	const amplitude = 30000
	for _, rate := range rates {
		for hz := 4050.0; hz < float64(rate)/2; hz *= 1.35 {
			got := level(convert(t, tone(rate, hz, amplitude), rate), amplitude)
			if got > -60 {
				t.Errorf("%d Hz: a tone of %g Hz is left at %.1f dB", rate, hz, got)
			}
		}
	}
}

func TestFiveKilohertzIsGoneFromSpeechEngineSound(t *testing.T) {
	got := level(convert(t, tone(22050, 5000, 30000), 22050), 30000)
	t.Logf("5 kHz in 22.05 kHz: %.1f dB", got)
	if got > -60 {
		t.Errorf("left at %.1f dB", got)
	}
}

func TestSoundStaysWhereItWasInTime(t *testing.T) {
	const hz, amplitude = 700, 20000
	for _, rate := range rates {
		got := convert(t, tone(rate, hz, amplitude), rate)
		want := tone(Rate, hz, amplitude)
		if len(got) != len(want) {
			t.Fatalf("%d Hz: one second becomes %d samples", rate, len(got))
		}
		for i := 1000; i < 7000; i++ {
			if d := math.Abs(float64(got[i]) - float64(want[i])); d > amplitude/100 {
				t.Fatalf("%d Hz: sample %d is %d, want %d", rate, i, got[i], want[i])
			}
		}
	}
}

func TestShortAndEmptySoundIsNoTrouble(t *testing.T) {
	for _, rate := range rates {
		for n := range 12 {
			out := convert(t, make([]int16, n), rate)
			if want := (n*Rate + rate/2) / rate; len(out) != want {
				t.Errorf("%d samples of %d Hz become %d, want %d", n, rate, len(out), want)
			}
		}
	}
}

func TestFullScaleDoesNotWrapAround(t *testing.T) {
	pcm := make([]int16, 22050)
	for i := range pcm {
		pcm[i] = math.MaxInt16
		if i%44 < 22 {
			pcm[i] = math.MinInt16
		}
	}
	out := convert(t, pcm, 22050)
	for i := 1; i < len(out); i++ {
		if out[i-1] > 32000 && out[i] < -32000 {
			t.Fatalf("sample %d jumps from %d to %d", i, out[i-1], out[i])
		}
	}
}

func TestImpossibleRatesAreRefused(t *testing.T) {
	for _, rate := range []int{-1, 0, 1999, 384001} {
		if _, err := To8k(make([]int16, 10), rate); err == nil {
			t.Errorf("%d Hz was accepted", rate)
		}
	}
}

// BenchmarkTo8k converts ten seconds of sound.
func BenchmarkTo8k(b *testing.B) {
	for _, rate := range []int{16000, 22050, 44100, 48000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			pcm := make([]int16, 10*rate)
			b.ReportAllocs()
			for b.Loop() {
				convert(b, pcm, rate)
			}
		})
	}
}
