package amd

import "slices"

// Levels are mean amplitudes of a frame, of 32767.
const (
	faintest = 60  // -55 dB of full scale: below it nothing is speech
	begins   = 2.2 // speech begins at so many times the noise, whose own level varies by a tenth
	goesOn   = 1.6 // and goes on down to this, so that soft ends of words are not lost
)

// floorFrames is how long the noise of a line is looked back for: no speech is
// without a gap for 1.2 s.
const floorFrames = 60

// noiseFloor follows the noise of a line: the least that was heard of late.
type noiseFloor struct {
	recent [floorFrames]float64
	heard  int  // frames
	speaks bool // the frame before was speech
}

// speech says whether a frame of this level is speech, and learns from it.
func (f *noiseFloor) speech(level float64) bool {
	f.recent[f.heard%floorFrames] = level
	f.heard++
	floor := slices.Min(f.recent[:min(f.heard, floorFrames)])
	over := begins * floor
	if f.speaks {
		over = goesOn * floor
	}
	f.speaks = level >= max(faintest, over)
	return f.speaks
}

// amplitude is the mean distance from zero.
func amplitude(pcm []int16) float64 {
	sum := 0
	for _, s := range pcm {
		v := int(s)
		sum += max(v, -v)
	}
	return float64(sum) / float64(len(pcm))
}
