package lab

import "time"

// ToneIn is how long the tone of hz sounds in pcm, which has 8000 samples a
// second: for recordings that nobody of the lab made.
func ToneIn(pcm []int16, hz float64) time.Duration {
	var heard time.Duration
	for at := 0; at+window <= len(pcm); at += window {
		if share(pcm[at:at+window], hz) >= tonal {
			heard += window * time.Second / sampleRate
		}
	}
	return heard
}
