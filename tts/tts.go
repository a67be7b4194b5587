// Package tts turns text into speech that telephones can play at once: 8 kHz,
// in both laws of G.711, at one level, rendered once and kept.
package tts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors that the errors of this package wrap. All but ErrEngine are the
// caller's mistakes, or the end of the service.
var (
	ErrUnknownVoice = errors.New("unknown voice")
	ErrText         = errors.New("text cannot be spoken")
	ErrEngine       = errors.New("speech engine")
	ErrClosed       = errors.New("speech service is closed")
)

// The bounds of usable sound.
const (
	MinDuration = 300 * time.Millisecond
	MaxDuration = 5 * time.Minute
)

// Defaults of Config.
const (
	DefaultMaxText     = 2000
	DefaultTimeout     = 20 * time.Second
	DefaultMemoryBytes = 32 << 20
	DefaultCacheBytes  = 1 << 30
)

// Engine synthesises speech. Its methods may be called concurrently.
type Engine interface {
	// Name is the engine's name in the configuration.
	Name() string
	// Synthesize speaks the text: mono samples and their rate in Hz. It
	// returns soon after ctx is done. The error wraps ErrText when the text
	// is at fault, so that no other engine is asked.
	Synthesize(ctx context.Context, r Request) (pcm []int16, rate int, err error)
}

// Request is what an engine is asked for.
type Request struct {
	Text     string // cleaned: printable, not empty, within the length limit
	Voice    string // the engine's own name of the voice
	Language string // such as "ru"; may be empty
}

// checker is an Engine that can say beforehand whether it will work.
type checker interface {
	Check(ctx context.Context, voices []string) error
}

// Voice is how a voice of the configuration is spoken.
type Voice struct {
	Engine   string // the name of one of Config.Engines
	Voice    string // the engine's own name of it
	Language string // such as "ru"; chooses stock phrases and stand-ins
	Name     string // for people; empty: the voice's id
}

// VoiceInfo describes a voice to those who choose one.
type VoiceInfo struct {
	ID       string
	Name     string
	Language string
	Engine   string
	Default  bool
}

// Config is what a Service is made of. Only Engines and Voices are needed.
type Config struct {
	Engines      []Engine         // in the order in which they stand in for each other
	Voices       map[string]Voice // by id
	DefaultVoice string           // an id; empty: the first by name
	CacheDir     string           // rendered clips are kept here; empty: in memory only
	CacheBytes   int64            // how much of them, oldest go first; 0: DefaultCacheBytes
	MemoryBytes  int64            // clips kept in memory; 0: DefaultMemoryBytes
	MaxText      int              // characters (runes) of one text; 0: DefaultMaxText
	Timeout      time.Duration    // for one synthesis; 0: DefaultTimeout
	Parallel     int              // engines at work at the same time; 0: number of CPUs
	Logger       *slog.Logger     // nil: nothing is logged
}

// Service renders texts. It is safe for concurrent use.
type Service struct {
	engines  []Engine
	voices   map[string]Voice
	fallback string // id of the default voice
	maxText  int
	timeout  time.Duration
	slots    chan struct{} // one token per engine at work
	disk     *diskCache    // nil: none
	log      *slog.Logger
	work     sync.WaitGroup // one per flight

	mu      sync.Mutex
	memory  *memoryCache         // guarded by mu
	flights map[cacheKey]*flight // guarded by mu
	closed  bool                 // guarded by mu
}

// New checks the configuration and returns a Service. A cache folder that
// cannot be used is a warning in the log, not an error: speech works without.
func New(c Config) (*Service, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		engines:  slices.Clone(c.Engines),
		voices:   maps.Clone(c.Voices),
		fallback: c.DefaultVoice,
		maxText:  orDefault(c.MaxText, DefaultMaxText),
		timeout:  orDefault(c.Timeout, DefaultTimeout),
		slots:    make(chan struct{}, orDefault(c.Parallel, runtime.NumCPU())),
		log:      c.Logger,
		memory:   newMemoryCache(orDefault(c.MemoryBytes, DefaultMemoryBytes)),
		flights:  make(map[cacheKey]*flight),
	}
	names := make(map[string]bool)
	for _, e := range s.engines {
		if names[e.Name()] {
			return nil, fmt.Errorf("speech: two engines are named %q", e.Name())
		}
		names[e.Name()] = true
	}
	for _, id := range s.ids() {
		if e := s.voices[id].Engine; !names[e] {
			return nil, fmt.Errorf("speech: voice %q: no engine is named %q", id, e)
		}
	}
	if s.fallback == "" && len(s.voices) > 0 {
		s.fallback = s.ids()[0]
	}
	if _, ok := s.voices[s.fallback]; !ok && s.fallback != "" {
		return nil, fmt.Errorf("speech: default voice: %w", s.unknownVoice(s.fallback))
	}
	if c.CacheDir != "" {
		s.disk = newDiskCache(c.CacheDir, orDefault(c.CacheBytes, DefaultCacheBytes), c.Logger)
	}
	return s, nil
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Voices lists the voices by id.
func (s *Service) Voices() []VoiceInfo {
	var list []VoiceInfo
	for _, id := range s.ids() {
		v := s.voices[id]
		info := VoiceInfo{ID: id, Name: v.Name, Language: v.Language, Engine: v.Engine, Default: id == s.fallback}
		if info.Name == "" {
			info.Name = id
		}
		list = append(list, info)
	}
	return list
}

// Language returns the language of a voice, and that of the default voice
// when the id is empty or unknown.
func (s *Service) Language(voice string) string {
	v, ok := s.voices[voice]
	if !ok {
		v = s.voices[s.fallback]
	}
	return v.Language
}

// Validate reports what Render would refuse without asking an engine: an
// ErrUnknownVoice (a *VoiceError) or an ErrText.
func (s *Service) Validate(text, voice string) error {
	_, err := s.voice(voice)
	_, textErr := cleanText(text, s.maxText)
	return errors.Join(err, textErr)
}

// Check asks every engine that is in use whether it is there and knows its
// voices. The error says what to install.
func (s *Service) Check(ctx context.Context) error {
	var errs []error
	for _, e := range s.engines {
		var voices []string
		for _, id := range s.ids() {
			if v := s.voices[id]; v.Engine == e.Name() && !slices.Contains(voices, v.Voice) {
				voices = append(voices, v.Voice)
			}
		}
		c, ok := e.(checker)
		if !ok || len(voices) == 0 {
			continue
		}
		if err := c.Check(ctx, voices); err != nil {
			errs = append(errs, fmt.Errorf("%w %s: %w", ErrEngine, e.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Close ends what is being rendered and waits for it. Further calls do
// nothing.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, f := range s.flights {
		f.cancel(ErrClosed)
	}
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

func (s *Service) ids() []string { return slices.Sorted(maps.Keys(s.voices)) }

// voice finds a voice by id; the empty id is the default voice.
func (s *Service) voice(id string) (Voice, error) {
	if id == "" {
		id = s.fallback
	}
	v, ok := s.voices[id]
	if !ok {
		return Voice{}, s.unknownVoice(id)
	}
	return v, nil
}

func (s *Service) unknownVoice(id string) error {
	return &VoiceError{Voice: id, Nearest: nearest(id, s.ids(), 3)}
}

// VoiceError says that there is no such voice. It wraps ErrUnknownVoice.
type VoiceError struct {
	Voice   string
	Nearest []string // up to three ids that exist, the most similar first
}

func (e *VoiceError) Error() string {
	if len(e.Nearest) == 0 {
		return fmt.Sprintf("unknown voice %q: no voices are configured", e.Voice)
	}
	return fmt.Sprintf("unknown voice %q: the nearest are %s", e.Voice, strings.Join(e.Nearest, ", "))
}

// Unwrap returns ErrUnknownVoice.
func (e *VoiceError) Unwrap() error { return ErrUnknownVoice }
