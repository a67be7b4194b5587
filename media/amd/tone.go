package amd

import "math"

// What makes a beep.
const (
	toneLevel    = 300  // mean amplitude: -41 dB of full scale
	tonePure     = 0.02 // share of the energy that a single tone does not explain
	toneSteady   = 0.02 // by how much its frequency may move from frame to frame
	toneLow      = 300  // Hz
	toneHigh     = 2300 // Hz
	toneShortest = 5    // frames: 100 ms
	toneLongest  = 100  // frames: 2 s; what is longer is no beep
)

// toneWatch looks for a single steady tone.
type toneWatch struct {
	length int     // frames of the tone that is on; 0: none is
	hertz  float64 // of the last frame
}

// on reports whether a tone that may be a beep is being heard.
func (w *toneWatch) on() bool { return w.length >= toneShortest }

// long reports a tone that is longer than any beep.
func (w *toneWatch) long() bool { return w.length > toneLongest }

// hear takes a frame and reports whether a beep has just ended.
func (w *toneWatch) hear(pcm []int16, level float64) (beeped bool) {
	hertz, pure := single(pcm)
	switch {
	case level < toneLevel || !pure || hertz < toneLow || hertz > toneHigh:
		beeped = w.on() && !w.long()
		w.length = 0
	case w.length > 0 && math.Abs(hertz-w.hertz) > toneSteady*w.hertz:
		w.length = 1 // another tone: speech that sings
	default:
		w.length++
	}
	w.hertz = hertz
	return beeped
}

// single fits x[n] = c·x[n-1] - x[n-2], which holds for a single tone of the
// frequency arccos(c/2), and says how well it does.
func single(pcm []int16) (hertz float64, pure bool) {
	var cross, square, energy float64
	for n := 2; n < len(pcm); n++ {
		middle, sum := float64(pcm[n-1]), float64(pcm[n])+float64(pcm[n-2])
		cross += middle * sum
		square += middle * middle
		energy += sum * sum
	}
	if square == 0 {
		return 0, false
	}
	c := cross / square
	if c <= -2 || c >= 2 {
		return 0, false
	}
	// What is left of sum after c·middle, against the tone's own energy.
	left := energy - c*cross
	return math.Acos(c/2) / (2 * math.Pi) * SampleRate, left < tonePure*square
}
