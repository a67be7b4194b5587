// Package resample brings sound of any rate to the 8 kHz of telephones.
package resample

import (
	"fmt"
	"math"
)

// Rate is the rate of everything that comes out, in samples per second.
const Rate = 8000

// The input rates that are understood, in samples per second.
const (
	MinRate = 2000
	MaxRate = 384000
)

// The low-pass filter leaves what a telephone carries (to 3.4 kHz) untouched
// and removes from 4 kHz on what would fold back into it.
const (
	passHz      = 3400
	stopHz      = 4000
	attenuation = 80 // dB
)

// To8k returns mono sound of the given rate at 8 kHz, in place in time: no
// delay, nothing added at the ends. Sound of 8 kHz is returned as it is, not
// copied. The error says that the rate is out of range.
func To8k(pcm []int16, rate int) ([]int16, error) {
	if rate < MinRate || rate > MaxRate {
		return nil, fmt.Errorf("resample: a rate of %d Hz, %d to %d are understood", rate, MinRate, MaxRate)
	}
	if rate == Rate {
		return pcm, nil
	}
	b := newBank(rate)
	out := make([]int16, (len(pcm)*Rate+rate/2)/rate)
	for n := range out {
		// Output n stands at input n·down/up: a whole sample and a phase.
		at, phase := n*b.down/b.up, n*b.down%b.up
		slot := (phase*len(b.phases) + b.up/2) / b.up
		if slot == len(b.phases) {
			at, slot = at+1, 0
		}
		out[n] = clamp(b.apply(pcm, at, slot))
	}
	return out, nil
}

// bank is a low-pass filter, sampled once for every position that an output
// sample can have between two input samples.
type bank struct {
	up, down int // Rate/rate in lowest terms
	half     int // taps on each side
	phases   [][]float32
}

func newBank(rate int) *bank {
	g := gcd(Rate, rate)
	b := &bank{up: Rate / g, down: rate / g}
	// Odd rates have thousands of positions; the nearest one of this many
	// is still true to about 70 dB.
	b.phases = make([][]float32, min(b.up, 22_500_000/rate))

	pass, stop := float64(passHz), float64(stopHz)
	if rate < Rate { // nothing folds; what is removed is the input's image
		pass, stop = pass*float64(rate)/Rate, stop*float64(rate)/Rate
	}
	// Kaiser's formulas for the length and the shape of the window.
	width := 2 * math.Pi * (stop - pass) / float64(rate)
	b.half = int(math.Ceil((attenuation - 8) / (2.285 * width) / 2))
	const beta = 0.1102 * (attenuation - 8.7)
	cut := (pass + stop) / float64(rate) // of the sampling rate, both sides

	for p := range b.phases {
		shift := float64(p) / float64(len(b.phases))
		b.phases[p] = taps(b.half, shift, cut, beta)
	}
	return b
}

// taps samples the windowed sinc for one position and scales it to gain one.
func taps(half int, shift, cut, beta float64) []float32 {
	weights := make([]float64, 2*half)
	var sum float64
	for k := range weights {
		x := float64(k-half+1) - shift
		edge := x / float64(half)
		weights[k] = sinc(cut*x) * bessel(beta*math.Sqrt(max(0, 1-edge*edge)))
		sum += weights[k]
	}
	out := make([]float32, len(weights))
	for k, w := range weights {
		out[k] = float32(w / sum)
	}
	return out
}

// apply weighs the samples around input position at; beyond the ends there is
// silence.
func (b *bank) apply(pcm []int16, at, slot int) float32 {
	weights := b.phases[slot]
	first := at - b.half + 1
	if first < 0 {
		weights = weights[min(-first, len(weights)):]
		first = 0
	}
	if first >= len(pcm) {
		return 0
	}
	in := pcm[first:]
	n := min(len(in), len(weights))
	in, weights = in[:n], weights[:n]
	var sum float32
	for i, s := range in {
		sum += float32(s) * weights[i]
	}
	return sum
}

func clamp(f float32) int16 {
	return int16(math.Round(float64(max(math.MinInt16, min(math.MaxInt16, f)))))
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel is the modified Bessel function of the first kind, order nought.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= (x / 2 / k) * (x / 2 / k)
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
