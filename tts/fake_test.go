package tts

import (
	"context"
	"math"
	"sync"
	"testing"

	"perezvon/media/g711"
)

// fakeEngine answers every request with speak, and counts.
type fakeEngine struct {
	name  string
	speak func(context.Context, Request) ([]int16, int, error)

	mu       sync.Mutex
	requests []Request // guarded by mu
	running  int       // guarded by mu
	most     int       // running at the same time; guarded by mu
}

func (e *fakeEngine) Name() string { return e.name }

func (e *fakeEngine) Synthesize(ctx context.Context, r Request) ([]int16, int, error) {
	e.mu.Lock()
	e.requests = append(e.requests, r)
	e.running++
	e.most = max(e.most, e.running)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.running--
		e.mu.Unlock()
	}()
	if e.speak == nil {
		return tone(16000, 1, 0.3), 16000, nil
	}
	return e.speak(ctx, r)
}

func (e *fakeEngine) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.requests)
}

// tone is a 500 Hz sine of so many seconds and so much of full scale.
func tone(rate int, seconds, amplitude float64) []int16 {
	pcm := make([]int16, int(seconds*float64(rate)))
	for i := range pcm {
		pcm[i] = int16(amplitude * math.MaxInt16 * math.Sin(2*math.Pi*500*float64(i)/float64(rate)))
	}
	return pcm
}

// newService is a Service with one fake engine and a Russian and an English
// voice, changed by edit.
func newService(t *testing.T, e *fakeEngine, edit func(*Config)) *Service {
	t.Helper()
	if e.name == "" {
		e.name = "fake"
	}
	c := Config{
		Engines: []Engine{e},
		Voices: map[string]Voice{
			"anna": {Engine: e.name, Voice: "ru-anna", Language: "ru", Name: "Анна"},
			"bob":  {Engine: e.name, Voice: "en-bob", Language: "en"},
		},
		DefaultVoice: "anna",
	}
	if edit != nil {
		edit(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func render(t *testing.T, s *Service, text, voice string) *g711.Clip {
	t.Helper()
	clip, err := s.Render(t.Context(), text, voice)
	if err != nil {
		t.Fatalf("render %q: %v", text, err)
	}
	return clip
}

// pcmOf decodes a clip.
func pcmOf(c *g711.Clip, law g711.Law) []int16 {
	pcm := make([]int16, c.Samples())
	for i, b := range c.Bytes(law) {
		pcm[i] = law.Decode(b)
	}
	return pcm
}
