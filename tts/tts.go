// Package tts turns text into speech that telephones can play at once: 8 kHz,
// in both laws of G.711, at one level, rendered once and kept.
package tts

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
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

// Voice is how a voice of the configuration is spoken.
type Voice struct {
	Engine   string  // the name of one of Config.Engines
	Voice    string  // the engine's own name of it
	Language string  // such as "ru"; chooses stock phrases and stand-ins
	Name     string  // for people; empty: the voice's id
	Role     string  // the manner of the voice, where the engine has one
	Speed    float64 // 1 is the voice's own; 0 is 1
	// Fallback are ids of the voices that stand in when the engine fails, in
	// their order; nil: of every other engine the first of the same language.
	Fallback []string
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
	Engines      []Engine          // in the order in which they stand in for each other
	Limits       map[string]Limits // of engines by name, where they are others than those below
	Voices       map[string]Voice  // by id
	DefaultVoice string            // an id; empty: the first by name
	CacheDir     string            // rendered clips are kept here; empty: in memory only
	CacheBytes   int64             // how much of them, oldest go first; 0: DefaultCacheBytes
	MemoryBytes  int64             // clips kept in memory; 0: DefaultMemoryBytes
	MaxText      int               // characters (runes) of one text; 0: DefaultMaxText
	Timeout      time.Duration     // for one synthesis; 0: DefaultTimeout
	Parallel     int               // syntheses of an engine at the same time; 0: number of CPUs
	Logger       *slog.Logger      // nil: nothing is logged
}

// Service renders texts. It is safe for concurrent use.
type Service struct {
	members  []*member
	voices   map[string]*choice
	fallback string // id of the default voice
	maxText  int
	disk     *diskCache // nil: none
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
		voices:   make(map[string]*choice, len(c.Voices)),
		fallback: c.DefaultVoice,
		maxText:  orDefault(c.MaxText, DefaultMaxText),
		log:      c.Logger,
		memory:   newMemoryCache(orDefault(c.MemoryBytes, DefaultMemoryBytes)),
		flights:  make(map[cacheKey]*flight),
	}
	if err := s.cast(&c); err != nil {
		return nil, fmt.Errorf("speech: %w", err)
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

// choice is a voice that can be asked for.
type choice struct {
	Voice
	speakers []*speaker // the voice itself, then those that stand in
}

// cast brings voices, engines and their stand-ins together.
func (s *Service) cast(c *Config) error {
	members := make(map[string]*member, len(c.Engines))
	for _, e := range c.Engines {
		if members[e.Name()] != nil {
			return fmt.Errorf("two engines are named %q", e.Name())
		}
		m := newMember(e, c.Limits[e.Name()], c)
		members[e.Name()] = m
		s.members = append(s.members, m)
	}
	for id, v := range c.Voices {
		m := members[v.Engine]
		if m == nil {
			return fmt.Errorf("voice %q: no engine is named %q", id, v.Engine)
		}
		s.voices[id] = &choice{v, []*speaker{newSpeaker(m, v)}}
	}
	for id, v := range s.voices {
		others := v.Fallback
		if others == nil {
			others = s.alike(v)
		}
		for _, other := range others {
			if s.voices[other] == nil {
				return fmt.Errorf("voice %q: %w", id, s.unknownVoice(other))
			}
			v.speakers = append(v.speakers, s.voices[other].speakers[0])
		}
	}
	return nil
}

// alike is of every other engine, in their order, the first voice of the same
// language.
func (s *Service) alike(v *choice) []string {
	var others []string
	for _, m := range s.members {
		if m.Name() == v.Engine || v.Language == "" {
			continue
		}
		for _, id := range s.ids() {
			if other := s.voices[id]; other.Engine == m.Name() && other.Language == v.Language {
				others = append(others, id)
				break
			}
		}
	}
	return others
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
		v, ok = s.voices[s.fallback]
	}
	if !ok {
		return ""
	}
	return v.Language
}

// Validate reports what Render would refuse without asking an engine: an
// ErrUnknownVoice (a *VoiceError) or an ErrText.
func (s *Service) Validate(text, voice string) error {
	_, err := s.find(voice)
	_, textErr := readText(text, s.maxText)
	return errors.Join(err, textErr)
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
	for _, m := range s.members {
		if e, ok := m.Engine.(closer); ok {
			e.CloseIdleConnections()
		}
	}
	return nil
}

func (s *Service) ids() []string { return slices.Sorted(maps.Keys(s.voices)) }

// find finds a voice by id; the empty id is the default voice.
func (s *Service) find(id string) (*choice, error) {
	if id == "" {
		id = s.fallback
	}
	v, ok := s.voices[id]
	if !ok {
		return nil, s.unknownVoice(id)
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
