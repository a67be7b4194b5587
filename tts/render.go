package tts

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"perezvon/media/g711"
)

// formatVersion is raised whenever the same request would give other sound:
// what is cached then is no longer found.
const formatVersion = 1

// cacheKey is the content address of a clip.
type cacheKey [sha256.Size]byte

// job is one text in one voice of one engine.
type job struct {
	engine Engine
	req    Request
}

func (j job) key() cacheKey {
	var b []byte
	for _, field := range []string{j.engine.Name(), j.req.Voice, j.req.Language, j.req.Text} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, formatVersion))
}

// flight is one rendering that any number of callers wait for.
type flight struct {
	cancel  context.CancelCauseFunc
	waiting int // guarded by Service.mu

	done chan struct{} // closed when clip and err are set
	clip *g711.Clip
	err  error
}

// Render speaks the text in a voice (empty: the default one) and returns
// sound that is ready to play: at least MinDuration, at most MaxDuration, not
// silent, levelled. What was rendered before comes from memory or disk;
// callers who want the same at the same time share one synthesis. When an
// engine fails, the others that have a voice of the same language stand in.
//
// The error wraps ErrUnknownVoice, ErrText, ErrEngine, ErrClosed or the cause
// of ctx.
func (s *Service) Render(ctx context.Context, text, voice string) (*g711.Clip, error) {
	v, err := s.voice(voice)
	if err != nil {
		return nil, err
	}
	text, err = cleanText(text, s.maxText)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, j := range s.jobs(v, text) {
		clip, err := s.share(ctx, j)
		if err == nil {
			return clip, nil
		}
		if failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if ctx.Err() != nil || !errors.Is(err, ErrEngine) {
			break
		}
		s.log.WarnContext(ctx, "speech engine failed",
			slog.String("engine", j.engine.Name()), slog.String("voice", j.req.Voice), slog.Any("error", err))
	}
	return nil, failed
}

// jobs is the voice itself, then of every other engine, in their order, the
// first voice of the same language.
func (s *Service) jobs(v Voice, text string) []job {
	chosen := []Voice{v}
	for _, e := range s.engines {
		if e.Name() == v.Engine || v.Language == "" {
			continue
		}
		for _, id := range s.ids() {
			if other := s.voices[id]; other.Engine == e.Name() && other.Language == v.Language {
				chosen = append(chosen, other)
				break
			}
		}
	}
	list := make([]job, len(chosen))
	for i, v := range chosen {
		e := slices.IndexFunc(s.engines, func(e Engine) bool { return e.Name() == v.Engine })
		list[i] = job{s.engines[e], Request{Text: text, Voice: v.Voice, Language: v.Language}}
	}
	return list
}

// share gets a clip from memory, or from the flight that renders it, which is
// begun if need be. A caller who leaves does not disturb the others; when the
// last one has left the flight is given up.
func (s *Service) share(ctx context.Context, j job) (*g711.Clip, error) {
	key := j.key()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	if clip := s.memory.get(key); clip != nil {
		s.mu.Unlock()
		return clip, nil
	}
	f := s.flights[key]
	if f == nil {
		var flightCtx context.Context
		f = &flight{done: make(chan struct{})}
		flightCtx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		s.flights[key] = f
		s.work.Go(func() { s.fly(flightCtx, key, f, j) })
	}
	f.waiting++
	s.mu.Unlock()

	select {
	case <-f.done:
		return f.clip, f.err
	case <-ctx.Done():
		s.leave(key, f)
		return nil, fmt.Errorf("render speech: %w", context.Cause(ctx))
	}
}

func (s *Service) leave(key cacheKey, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting == 0 && s.flights[key] == f {
		delete(s.flights, key) // the next caller begins anew
		f.cancel(context.Canceled)
	}
}

// fly runs one flight: disk, else engine, and hands the result to all who
// wait before it is written to disk.
func (s *Service) fly(ctx context.Context, key cacheKey, f *flight, j job) {
	defer f.cancel(nil)
	clip := s.disk.get(ctx, key)
	fresh := clip == nil
	var err error
	if fresh {
		clip, err = s.synthesize(ctx, j)
	}
	f.clip, f.err = clip, err

	s.mu.Lock()
	if s.flights[key] == f {
		delete(s.flights, key)
	}
	if err == nil {
		s.memory.put(key, clip)
	}
	s.mu.Unlock()
	close(f.done)

	if fresh && err == nil {
		s.disk.put(ctx, key, clip)
	}
}

// synthesize waits for a free slot, asks the engine and prepares its sound.
func (s *Service) synthesize(ctx context.Context, j job) (clip *g711.Clip, err error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("render speech: %w", context.Cause(ctx))
	}
	defer func() {
		if p := recover(); p != nil {
			clip, err = nil, fmt.Errorf("%w %s: panic: %v", ErrEngine, j.engine.Name(), p)
			s.log.ErrorContext(ctx, "speech engine panicked", slog.String("engine", j.engine.Name()),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	limited, stop := context.WithTimeout(ctx, s.timeout)
	defer stop()
	pcm, rate, err := j.engine.Synthesize(limited, j.req)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("render speech: %w", context.Cause(ctx))
	case err != nil && limited.Err() != nil:
		return nil, fmt.Errorf("%w %s: no sound within %v", ErrEngine, j.engine.Name(), s.timeout)
	case errors.Is(err, ErrText):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w %s: %w", ErrEngine, j.engine.Name(), err)
	}
	pcm, err = prepare(pcm, rate)
	switch {
	case errors.Is(err, ErrText):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w %s: %w", ErrEngine, j.engine.Name(), err)
	}
	return g711.NewClip(pcm), nil
}
