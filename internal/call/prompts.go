package call

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/tts"
)

// prompts are the stock sentences that flows speak. They are the same for
// every call, so each is rendered once and kept.
type prompts struct {
	speech   Speech
	language string
	log      *slog.Logger

	mu    sync.Mutex
	clips map[tts.PhraseID]*g711.Clip // guarded by mu
	files map[string]*g711.Clip       // guarded by mu; sounds by their paths
}

func newPrompts(speech Speech, language string, log *slog.Logger) *prompts {
	return &prompts{speech: speech, language: language, log: log, clips: make(map[tts.PhraseID]*g711.Clip)}
}

// renderLimit bounds the rendering of a stock sentence while somebody listens.
const renderLimit = 3 * time.Second

// clip returns a stock sentence. When no engine can speak it, two beeps say at
// least that something happened.
func (p *prompts) clip(ctx context.Context, id tts.PhraseID) *g711.Clip {
	c, err := p.render(ctx, id)
	if err != nil {
		p.log.Warn("a stock sentence could not be spoken; beeps stand in", "sentence", id, "err", err)
		return tts.FallbackClip()
	}
	return c
}

func (p *prompts) render(ctx context.Context, id tts.PhraseID) (*g711.Clip, error) {
	p.mu.Lock()
	c := p.clips[id]
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, renderLimit)
	defer cancel()
	c, err := p.speech.Render(ctx, tts.Phrase(p.language, id), "")
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.clips[id] = c
	p.mu.Unlock()
	return c, nil
}

// text renders what a route says. When no engine can speak it, two beeps stand
// in. Speech keeps what it has rendered.
func (p *prompts) text(ctx context.Context, text, voice string) *g711.Clip {
	ctx, cancel := context.WithTimeout(ctx, renderLimit)
	defer cancel()
	c, err := p.speech.Render(ctx, text, voice)
	if err != nil {
		p.log.Warn("a text of a route could not be spoken; beeps stand in", "err", err)
		return tts.FallbackClip()
	}
	return c
}

// keep takes the sounds of files, by their paths.
func (p *prompts) keep(files map[string]*g711.Clip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = files
}

// sound is a file that a route plays. One that was not there at the start is
// read now; when that fails, two beeps stand in.
func (p *prompts) sound(path string) *g711.Clip {
	p.mu.Lock()
	c := p.files[path]
	p.mu.Unlock()
	if c != nil {
		return c
	}
	c, err := media.ReadClip(path)
	if err != nil {
		p.log.Error("a sound of a route cannot be played; beeps stand in", "err", err)
		return tts.FallbackClip()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[path] = c
	return c
}

// warm renders every stock sentence, so that no call waits for one. It gives
// up at the first that cannot be spoken: the others fare no better, and the
// log need not be told of each.
func (p *prompts) warm(ctx context.Context) {
	for _, id := range tts.Phrases() {
		if _, err := p.render(ctx, id); err != nil || ctx.Err() != nil {
			return
		}
	}
}
