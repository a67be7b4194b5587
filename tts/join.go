package tts

import (
	"time"

	"perezvon/media/g711"
)

// How pieces of speech are put together. Engines leave between nothing and a
// second of silence around what they say; all of it is brought to one measure,
// so that sentences follow each other evenly, and their edges are faded, so
// that nothing clicks.
const (
	sentenceGap = 250 * time.Millisecond // between pieces, besides what is left below
	keptBefore  = 20 * time.Millisecond
	keptBehind  = 100 * time.Millisecond
	edge        = 5 * time.Millisecond
	edgeLevel   = -55.0 // dB below full scale: what is quieter is silence
)

// samples is how many samples of 8 kHz a time is.
func samples(d time.Duration) int { return int(d * g711.SampleRate / time.Second) }

// trimmed shortens the silence around levelled speech, and fades its edges. It
// changes what it is given.
func trimmed(pcm []int16) []int16 {
	const frame = g711.SampleRate / 100
	begin, end := 0, len(pcm)
	for begin+frame <= end && rms(pcm[begin:begin+frame]) < edgeLevel {
		begin += frame
	}
	for end-frame >= begin && rms(pcm[end-frame:end]) < edgeLevel {
		end -= frame
	}
	pcm = pcm[max(0, begin-samples(keptBefore)):min(len(pcm), end+samples(keptBehind))]
	n := min(samples(edge), len(pcm)/2)
	for i := range n {
		pcm[i] = int16(int(pcm[i]) * i / n)
		pcm[len(pcm)-1-i] = int16(int(pcm[len(pcm)-1-i]) * i / n)
	}
	return pcm
}

// joined is a clip of several, each with silence behind it. One that is shorter
// than MinDuration gets silence at its end.
func joined(clips []*g711.Clip, behind []time.Duration) *g711.Clip {
	total := 0
	for i, c := range clips {
		total += c.Samples() + samples(behind[i])
	}
	total = max(total, samples(MinDuration))
	law := func(l g711.Law, silence byte) []byte {
		out := make([]byte, 0, total)
		for i, c := range clips {
			out = append(out, c.Bytes(l)...)
			for range samples(behind[i]) {
				out = append(out, silence)
			}
		}
		for len(out) < total {
			out = append(out, silence)
		}
		return out
	}
	clip, err := g711.NewClipEncoded(law(g711.ALaw, g711.EncodeA(0)), law(g711.ULaw, g711.EncodeU(0)))
	if err != nil {
		panic(err) // both laws were given the same lengths
	}
	return clip
}
