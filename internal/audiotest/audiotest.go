// Package audiotest lets tests listen: every party of a call sends a tone of
// its own, and the test asks who hears whom.
//
// All sound is 16 bit linear, one channel, 8000 samples a second.
package audiotest

import (
	"math"
	"time"
)

// Rate is the sampling rate of all sound here, in samples per second.
const Rate = 8000

const (
	amplitude = 8000      // of Tone; about -12 dB of full scale
	block     = Rate / 10 // samples judged together: 100 ms, 10 Hz wide
	minLevel  = 150.0     // amplitude below which a tone counts as not there
	minShare  = 0.15      // part of a block's energy a tone must have
	minHeard  = 150 * time.Millisecond
)

// Tone is a sine of freq hertz that lasts dur. Frequencies that are to be told
// apart should be at least 100 Hz from each other and below 3400 Hz.
func Tone(freq float64, dur time.Duration) []int16 {
	return ToneAt(freq, dur, 0)
}

// ToneAt is Tone as it sounds from sample number offset of an endless sine,
// so that pieces made one after another join without a click.
func ToneAt(freq float64, dur time.Duration, offset int) []int16 {
	pcm := make([]int16, int(dur*Rate/time.Second))
	for i := range pcm {
		pcm[i] = int16(amplitude * math.Sin(2*math.Pi*freq*float64(i+offset)/Rate))
	}
	return pcm
}

// Silence is dur of nothing.
func Silence(dur time.Duration) []int16 { return make([]int16, int(dur*Rate/time.Second)) }

// Hears says for each frequency whether its tone is in pcm for at least
// 150 ms in all, or throughout when pcm is shorter than that.
func Hears(pcm []int16, freqs ...float64) map[float64]bool {
	heard := make(map[float64]bool, len(freqs))
	need := min(minHeard, duration(len(pcm)))
	for _, f := range freqs {
		heard[f] = need > 0 && Heard(pcm, f) >= need
	}
	return heard
}

// Heard is how long the tone of freq hertz sounds in pcm, in steps of 100 ms.
func Heard(pcm []int16, freq float64) time.Duration {
	var n int
	for b := range blocks(pcm) {
		if holds(b, freq) {
			n += len(b)
		}
	}
	return duration(n)
}

// First is the time at which the tone of freq hertz is first heard in pcm, to
// 100 ms, and whether it is heard at all.
func First(pcm []int16, freq float64) (at time.Duration, ok bool) {
	var n int
	for b := range blocks(pcm) {
		if holds(b, freq) {
			return duration(n), true
		}
		n += len(b)
	}
	return 0, false
}

// Silent reports whether nothing louder than line noise is in pcm.
func Silent(pcm []int16) bool {
	for b := range blocks(pcm) {
		if math.Sqrt(energy(b)/float64(len(b))) > minLevel {
			return false
		}
	}
	return true
}

// Level is the amplitude of the tone of freq hertz in pcm as a whole, by
// Goertzel's algorithm. Tone has 8000.
func Level(pcm []int16, freq float64) float64 {
	if len(pcm) == 0 {
		return 0
	}
	coeff := 2 * math.Cos(2*math.Pi*freq/Rate)
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)+coeff*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - coeff*s1*s2
	return 2 * math.Sqrt(max(power, 0)) / float64(len(pcm))
}

func holds(b []int16, freq float64) bool {
	level := Level(b, freq)
	if level < minLevel {
		return false
	}
	total := energy(b)
	return total > 0 && level*level*float64(len(b))/2 >= minShare*total
}

func energy(b []int16) float64 {
	var sum float64
	for _, v := range b {
		sum += float64(v) * float64(v)
	}
	return sum
}

// blocks yields pcm in pieces of 100 ms. A rest shorter than half of that is
// judged with the piece before it.
func blocks(pcm []int16) func(yield func([]int16) bool) {
	return func(yield func([]int16) bool) {
		for len(pcm) > 0 {
			n := block
			if len(pcm) < block+block/2 {
				n = len(pcm)
			}
			if !yield(pcm[:n]) {
				return
			}
			pcm = pcm[n:]
		}
	}
}

func duration(samples int) time.Duration { return time.Duration(samples) * time.Second / Rate }
