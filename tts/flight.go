package tts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"perezvon/media/g711"
)

// formatVersion is raised whenever the same request would give other sound:
// what is cached then is no longer found.
const formatVersion = 2

// cacheKey is the content address of a clip.
type cacheKey [sha256.Size]byte

// keyOf is the address of a text, or of one with its markup.
func (s *speaker) keyOf(text string) cacheKey {
	b := make([]byte, 0, 512) // longer ones are copied to the heap
	b = append(b, s.key...)
	b = append(b, text...)
	return sha256.Sum256(b)
}

// flight is one rendering that any number of callers wait for.
type flight struct {
	cancel  context.CancelCauseFunc
	waiting int // guarded by Service.mu

	done chan struct{} // closed when clip and err are set
	clip *g711.Clip
	err  error
}

// share gets a clip from memory, or from the flight that renders it, which is
// begun if need be. A caller who leaves does not disturb the others; when the
// last one has left the flight is given up.
func (s *Service) share(ctx context.Context, sp *speaker, p piece) (*g711.Clip, error) {
	key := sp.keyOf(p.id())
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
		s.work.Go(func() { s.fly(flightCtx, key, f, sp, p) })
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
func (s *Service) fly(ctx context.Context, key cacheKey, f *flight, sp *speaker, p piece) {
	defer f.cancel(nil)
	clip := s.disk.get(ctx, key)
	fresh := clip == nil
	var err error
	if fresh {
		clip, err = s.synthesize(ctx, sp, p)
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

// synthesize asks the engine when it has room and is not left alone, and
// prepares its sound.
func (s *Service) synthesize(ctx context.Context, sp *speaker, p piece) (*g711.Clip, error) {
	if err := sp.breaker.resting(); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrEngine, sp.Name(), err)
	}
	select {
	case sp.slots <- struct{}{}:
		defer func() { <-sp.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("render speech: %w", context.Cause(ctx))
	}
	trial, err := sp.breaker.enter()
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrEngine, sp.Name(), err)
	}
	clip, err := s.ask(ctx, sp, p)
	sp.breaker.leave(ctx, trial, err)
	switch {
	case err == nil:
		return clip, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("render speech: %w", context.Cause(ctx))
	case errors.Is(err, ErrText):
		return nil, err
	}
	return nil, fmt.Errorf("%w %s: %w", ErrEngine, sp.Name(), err)
}

// ask has the engine speak within its time, and makes a clip of it.
func (s *Service) ask(ctx context.Context, sp *speaker, p piece) (clip *g711.Clip, err error) {
	defer func() {
		if p := recover(); p != nil {
			clip, err = nil, fmt.Errorf("panic: %v", p)
			s.log.ErrorContext(ctx, "speech engine panicked", slog.String("engine", sp.Name()),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	limited, stop := context.WithTimeout(ctx, sp.timeout)
	defer stop()
	r := sp.request(p.text, p.markup)
	pcm, rate, err := sp.Synthesize(limited, r)
	switch {
	case err != nil && limited.Err() != nil:
		return nil, fmt.Errorf("no sound within %v", sp.timeout)
	case err != nil:
		return nil, err
	}
	if err := checkLength(pcm, rate, &r); err != nil {
		return nil, err
	}
	if pcm, err = prepare(pcm, rate); err != nil {
		return nil, err
	}
	return joined([]*g711.Clip{g711.NewClip(trimmed(pcm))}, []time.Duration{0}), nil
}
