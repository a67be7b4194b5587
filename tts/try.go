package tts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Check asks every engine that is in use and can tell without speaking whether
// it is there and knows its voices. The error says what to install.
func (s *Service) Check(ctx context.Context) error {
	var errs []error
	for _, m := range s.members {
		if err := s.check(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("%w %s: %w", ErrEngine, m.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) check(ctx context.Context, m *member) error {
	voices := names(s.of(m))
	c, ok := m.Engine.(checker)
	if !ok || len(voices) == 0 {
		return nil
	}
	return c.Check(ctx, voices)
}

// names are the engine's own of some voices, once each.
func names(speakers []*speaker) []string {
	voices := make([]string, 0, len(speakers))
	for _, sp := range speakers {
		voices = append(voices, sp.voice.Voice)
	}
	return slices.Compact(voices)
}

// of lists what an engine speaks, by voice.
func (s *Service) of(m *member) []*speaker {
	var list []*speaker
	for _, id := range s.ids() {
		if v := s.voices[id]; v.Engine == m.Name() {
			list = append(list, v.speakers[0])
		}
	}
	slices.SortStableFunc(list, func(a, b *speaker) int { return cmp.Compare(a.voice.Voice, b.voice.Voice) })
	return list
}

// Tried is what came of trying an engine.
type Tried struct {
	Engine string
	Voices int           // that it has
	Took   time.Duration // until the last of the first words was spoken
	Rate   int           // of its sound, in Hz
	Err    error         // nil: it works
}

// Try has every engine that is in use say a word in each of its voices, whether
// or not it is left alone: what that costs is paid.
func (s *Service) Try(ctx context.Context) []Tried {
	var list []Tried
	for _, m := range s.members {
		if speakers := s.of(m); len(speakers) > 0 {
			list = append(list, s.try(ctx, m, speakers))
		}
	}
	return list
}

func (s *Service) try(ctx context.Context, m *member, speakers []*speaker) Tried {
	t := Tried{Engine: m.Name(), Voices: len(speakers)}
	if t.Err = s.check(ctx, m); t.Err != nil {
		return t
	}
	if p, ok := m.Engine.(prober); ok {
		limited, stop := context.WithTimeout(ctx, m.timeout)
		defer stop()
		if t.Err = p.Probe(limited, names(speakers)); t.Err != nil {
			return t
		}
	}
	speakers = slices.CompactFunc(speakers, func(a, b *speaker) bool { return a.request("", "") == b.request("", "") })
	began := time.Now()
	errs, rates := make([]error, len(speakers)), make([]int, len(speakers))
	var group errgroup.Group
	group.SetLimit(cap(m.slots))
	for i, sp := range speakers {
		group.Go(func() error {
			limited, stop := context.WithTimeout(ctx, m.timeout)
			defer stop()
			r := sp.request(Phrase(sp.voice.Language, phraseTrial), "")
			pcm, rate, err := m.Synthesize(limited, r)
			if err == nil {
				err = checkLength(pcm, rate, &r)
			}
			if err == nil {
				_, err = prepare(pcm, rate)
			}
			switch {
			case err != nil && ctx.Err() == nil && limited.Err() != nil:
				errs[i] = fmt.Errorf("voice %q: no sound within %v", r.Voice, m.timeout)
			case err != nil:
				errs[i] = fmt.Errorf("voice %q: %w", r.Voice, err)
			}
			rates[i] = rate
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	t.Took, t.Rate, t.Err = time.Since(began), rates[0], once(errs)
	return t
}

// once joins errors; of those that say the same but for the voice the first
// stands for all.
func once(errs []error) error {
	var list []error
	seen := make(map[string]bool)
	for _, err := range errs {
		if err == nil {
			continue
		}
		if cause := errors.Unwrap(err); cause != nil {
			if seen[cause.Error()] {
				continue
			}
			seen[cause.Error()] = true
		}
		list = append(list, err)
	}
	return errors.Join(list...)
}
