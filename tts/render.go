package tts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"perezvon/media/g711"
)

// Render speaks the text in a voice (empty: the default one) and returns
// sound that is ready to play: at least MinDuration, at most MaxDuration, not
// silent, levelled. A text that begins with <speak> is SSML: engines that take
// it get what they understand of it, for all others its breaks are silence and
// the rest of its markup goes.
//
// Each sentence is rendered and kept for itself. What was rendered before comes
// from memory or disk; callers who want the same at the same time share one
// synthesis. When an engine fails, the whole text is spoken by the next voice
// of the fall-back.
//
// The error wraps ErrUnknownVoice, ErrText, ErrEngine, ErrClosed or the cause
// of ctx.
func (s *Service) Render(ctx context.Context, text, voice string) (*g711.Clip, error) {
	v, err := s.find(voice)
	if err != nil {
		return nil, err
	}
	sc, err := readText(text, s.maxText)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, sp := range v.speakers {
		clip, err := s.speak(ctx, sp, &sc)
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
		if _, known := errors.AsType[*restingError](err); !known {
			s.log.WarnContext(ctx, "speech engine failed",
				slog.String("engine", sp.Name()), slog.String("voice", sp.voice.Voice), slog.Any("error", err))
		}
	}
	return nil, failed
}

// speak has one voice say all of a wording.
func (s *Service) speak(ctx context.Context, sp *speaker, sc *wording) (*g711.Clip, error) {
	whole := sp.keyOf(sc.id)
	s.mu.Lock()
	clip, closed := s.memory.get(whole), s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case clip != nil:
		return clip, nil
	}
	pieces := sp.pieces(sc)
	if len(pieces) == 1 && pieces[0].behind == 0 {
		return s.share(ctx, sp, pieces[0])
	}
	clip, err := s.each(ctx, sp, pieces)
	if err != nil {
		return nil, err
	}
	if clip.Duration() > MaxDuration {
		return nil, tooLong()
	}
	s.mu.Lock()
	s.memory.put(whole, clip)
	s.mu.Unlock()
	return clip, nil
}

// each renders the pieces side by side, as far as the engine has room; the
// first that fails calls the others off.
func (s *Service) each(ctx context.Context, sp *speaker, pieces []piece) (*g711.Clip, error) {
	clips, behind := make([]*g711.Clip, len(pieces)), make([]time.Duration, len(pieces))
	group, ctx := errgroup.WithContext(ctx)
	if sp.breaker.opened() {
		group.SetLimit(1) // one of them decides whether the rest is over
	}
	for i, p := range pieces {
		behind[i] = p.behind
		if p.text == "" {
			clips[i] = g711.NewClip(nil)
			continue
		}
		group.Go(func() (err error) {
			if ctx.Err() != nil {
				return context.Cause(ctx) // another one has failed
			}
			clips[i], err = s.share(ctx, sp, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return joined(clips, behind), nil
}
