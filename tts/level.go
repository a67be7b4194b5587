package tts

import (
	"errors"
	"fmt"
	"math"
	"time"

	"perezvon/media/g711"
	"perezvon/media/resample"
)

// Engines and voices differ in loudness by 10 dB and more. All speech is
// brought to one level: its active part, pauses left out, has an RMS of
// targetLevel, or less where a peak would pass peakLevel. Nothing is
// compressed or clipped. Levels are in dB below full scale.
const (
	targetLevel = -20.0
	peakLevel   = -3.0
	silentLevel = -50.0 // active speech below this is none

	fastest = 20 * time.Millisecond // for a letter; nobody speaks faster

	pauseDepth = 30.0 // a frame so much below the loudest one is a pause
	frameLen   = g711.SampleRate / 50
)

// prepare turns an engine's sound into 8 kHz at the common level and checks
// that it can be used. The error wraps ErrText when it is too long.
func prepare(pcm []int16, rate int) ([]int16, error) {
	if len(pcm) > rate*int(MaxDuration/time.Second) && rate > 0 {
		return nil, tooLong()
	}
	pcm, err := resample.To8k(pcm, rate)
	if err != nil {
		return nil, err
	}
	active := activeLevel(pcm)
	if active < silentLevel {
		return nil, errors.New("it gave silence")
	}
	gain := min(targetLevel-active, peakLevel-peak(pcm))
	return amplify(pcm, gain), nil
}

func tooLong() error {
	return fmt.Errorf("%w: it takes longer than %v to speak", ErrText, MaxDuration)
}

// activeLevel is the RMS of the frames that are no pauses.
func activeLevel(pcm []int16) float64 {
	var powers []float64
	var loudest float64
	for at := 0; at < len(pcm); at += frameLen {
		power := meanSquare(pcm[at:min(at+frameLen, len(pcm))])
		powers = append(powers, power)
		loudest = max(loudest, power)
	}
	threshold := loudest * math.Pow(10, -pauseDepth/10)
	var sum float64
	var n int
	for _, p := range powers {
		if p >= threshold {
			sum += p
			n++
		}
	}
	if n == 0 {
		return math.Inf(-1)
	}
	return decibel(math.Sqrt(sum / float64(n)))
}

// meanSquare is the power of some samples, at least one.
func meanSquare(pcm []int16) float64 {
	var sum float64
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return sum / float64(len(pcm))
}

// rms is the level of some samples, at least one.
func rms(pcm []int16) float64 { return decibel(math.Sqrt(meanSquare(pcm))) }

// shortest is how short the sound of a text may be to be all of it: MinDuration,
// or less where the text is a word or two.
func shortest(text string, speed float64) time.Duration {
	return min(MinDuration, time.Duration(float64(speakable(text))*float64(fastest)/max(1, speed)))
}

// checkLength reports sound that is too short to be the text's.
func checkLength(pcm []int16, rate int, r *Request) error {
	if rate <= 0 {
		return nil // prepare says so
	}
	d := time.Duration(len(pcm)) * time.Second / time.Duration(rate)
	if least := shortest(r.Text, r.Speed); d < least {
		return fmt.Errorf("it gave %v of sound, at least %v is speech", d.Round(time.Millisecond), least.Round(time.Millisecond))
	}
	return nil
}

// checkWhole reports sound of a network that is too short for a long text: its
// end is missing.
func checkWhole(pcm []int16, rate int, r *Request) error {
	n := speakable(r.Text)
	if rate <= 0 || n < 30 {
		return nil // prepare says so, or it does not tell
	}
	d := time.Duration(len(pcm)) * time.Second / time.Duration(rate)
	if least := time.Duration(float64(n) * float64(fastest) / max(1, r.Speed)); d < least {
		return fmt.Errorf("it gave %v of sound for %d letters: its end is missing", d.Round(time.Millisecond), n)
	}
	return nil
}

// peak is the level of the largest sample.
func peak(pcm []int16) float64 {
	var top int
	for _, s := range pcm {
		top = max(top, int(s), -int(s))
	}
	return decibel(float64(top))
}

func decibel(amplitude float64) float64 {
	return 20 * math.Log10(amplitude/(math.MaxInt16+1))
}

// amplify returns a copy, gain dB louder.
func amplify(pcm []int16, gain float64) []int16 {
	factor := math.Pow(10, gain/20)
	out := make([]int16, len(pcm))
	for i, s := range pcm {
		out[i] = int16(math.Round(float64(s) * factor))
	}
	return out
}
