package lab

import (
	"math"
	"math/cmplx"
)

const (
	window    = sampleRate / 10              // samples judged together: 100 ms
	frame     = sampleRate / 50              // samples of the finest judgement: 20 ms
	quiet     = 100.0                        // effective value below which a window is silent
	tonal     = 0.8                          // part of a window's energy that tones must explain
	distinct  = 0.15                         // part of it that one tone must have
	transform = 1024                         // points of the spectrum, the window padded
	lowest    = 200 * transform / sampleRate // of the spectrum: where tones are looked for
	highest   = 3600 * transform / sampleRate
)

// sound is what one window holds.
type sound struct {
	tones  []float64 // hertz, the loudest first
	speech bool      // energy that tones do not explain
}

// judge says what is in one window: at most two tones, or something else.
func judge(pcm []int16) sound {
	rest := make([]float64, len(pcm))
	for i, v := range pcm {
		rest[i] = float64(v)
	}
	total := energy(rest)
	if math.Sqrt(total/float64(len(rest))) < quiet {
		return sound{}
	}
	var s sound
	for range 2 {
		hz := loudest(rest)
		before := energy(rest)
		subtract(rest, hz)
		if (before-energy(rest))/total < distinct {
			break
		}
		s.tones = append(s.tones, hz)
	}
	if (total-energy(rest))/total < tonal {
		return sound{speech: true}
	}
	return s
}

// share is the part of pcm's energy that the tone of hz has.
func share(pcm []int16, hz float64) float64 {
	x := make([]float64, len(pcm))
	for i, v := range pcm {
		x[i] = float64(v)
	}
	total := energy(x)
	if len(x) == 0 || math.Sqrt(total/float64(len(x))) < quiet {
		return 0
	}
	subtract(x, hz)
	return (total - energy(x)) / total
}

func energy(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return sum
}

// subtract takes the tone of hz out of x, as it fits best.
func subtract(x []float64, hz float64) {
	var tone complex128
	turn, step := complex(1, 0), cmplx.Rect(1, 2*math.Pi*hz/sampleRate)
	for _, v := range x {
		tone += complex(v, 0) * turn
		turn *= step
	}
	tone *= complex(2/float64(len(x)), 0)
	turn = 1
	for i := range x {
		x[i] -= real(tone)*real(turn) + imag(tone)*imag(turn)
		turn *= step
	}
}

// loudest is the frequency of the highest peak of the spectrum, refined
// between its lines by a parabola through their logarithms.
func loudest(x []float64) float64 {
	var points [transform]complex128
	for i, v := range x[:min(len(x), transform)] {
		hann := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(x)))
		points[i] = complex(v*hann, 0)
	}
	fourier(points[:])
	level := func(i int) float64 { return math.Log(cmplx.Abs(points[i]) + 1e-9) }
	best := lowest
	for i := best; i < highest; i++ {
		if cmplx.Abs(points[i]) > cmplx.Abs(points[best]) {
			best = i
		}
	}
	a, b, c := level(best-1), level(best), level(best+1)
	at := float64(best)
	if d := a - 2*b + c; d != 0 {
		at += max(-0.5, min(0.5, 0.5*(a-c)/d))
	}
	return at * sampleRate / transform
}

// fourier transforms in place. The length must be a power of two.
func fourier(x []complex128) {
	n := len(x)
	if n < 2 {
		return
	}
	even, odd := make([]complex128, n/2), make([]complex128, n/2)
	for i := range even {
		even[i], odd[i] = x[2*i], x[2*i+1]
	}
	fourier(even)
	fourier(odd)
	turn, step := complex(1, 0), cmplx.Rect(1, -2*math.Pi/float64(n))
	for i := range even {
		t := turn * odd[i]
		x[i], x[i+n/2] = even[i]+t, even[i]-t
		turn *= step
	}
}
