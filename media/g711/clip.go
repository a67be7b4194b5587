package g711

import (
	"fmt"
	"slices"
	"time"
)

// Clip is a piece of sound, 8 kHz mono, kept encoded in both laws so that any
// number of calls can send it without converting anything. It never changes.
type Clip struct {
	a, u []byte // same length, one byte per sample
}

// NewClip encodes linear sound of 8 kHz, mono, in both laws.
func NewClip(pcm []int16) *Clip {
	c := &Clip{a: make([]byte, len(pcm)), u: make([]byte, len(pcm))}
	for i, s := range pcm {
		c.a[i], c.u[i] = EncodeA(s), EncodeU(s)
	}
	return c
}

// NewClipEncoded makes a clip of sound that is already encoded in both laws;
// the bytes are copied. It is an error when the two differ in length.
func NewClipEncoded(a, u []byte) (*Clip, error) {
	if len(a) != len(u) {
		return nil, fmt.Errorf("clip: %d samples in A-law but %d in µ-law", len(a), len(u))
	}
	return &Clip{a: slices.Clone(a), u: slices.Clone(u)}, nil
}

// Bytes returns the sound in the given law, one byte per sample. It is shared
// by everybody who plays the clip and must not be written to.
func (c *Clip) Bytes(l Law) []byte {
	if l == ULaw {
		return slices.Clip(c.u)
	}
	return slices.Clip(c.a)
}

// Part returns the samples from one to before another; the bytes are shared.
// Both must lie within the clip.
func (c *Clip) Part(from, to int) *Clip { return &Clip{a: c.a[from:to], u: c.u[from:to]} }

// Samples returns the length in samples of 1/8000 s.
func (c *Clip) Samples() int { return len(c.a) }

// Duration returns the length in time.
func (c *Clip) Duration() time.Duration {
	return time.Duration(len(c.a)) * (time.Second / SampleRate)
}
