package tts

import (
	"context"
	"encoding/binary"
	"runtime"
	"time"
	"unicode/utf8"
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
	Text     string  // cleaned: printable, not empty, within the length limit
	Markup   string  // the same as SSML, for engines that take it; empty: the text has none
	Voice    string  // the engine's own name of the voice
	Language string  // such as "ru"; may be empty
	Role     string  // the manner of the voice; may be empty
	Speed    float64 // 1 is the voice's own; 0 is 1
}

// What an Engine may be besides.
type (
	// checker can say beforehand, without speaking, whether it will work.
	checker interface {
		Check(ctx context.Context, voices []string) error
	}
	// prober can be asked over the network, before it speaks, for its voices.
	prober interface {
		Probe(ctx context.Context, voices []string) error
	}
	// closer keeps connections that nobody uses any more.
	closer interface{ CloseIdleConnections() }
	// limited takes no more characters at once.
	limited interface{ Longest() int }
	// marked takes these elements of SSML.
	marked interface{ Elements() []string }
	// variant depends on more than the request: what that is, such as a model
	// or an address.
	variant interface{ Variant() string }
)

// Limits bound the work of one engine.
type Limits struct {
	Timeout  time.Duration // for one synthesis; 0: that of Config
	Parallel int           // syntheses at the same time; 0: that of Config
}

// member is an engine at work in a Service.
type member struct {
	Engine
	timeout  time.Duration
	slots    chan struct{} // one token for each synthesis
	breaker  breaker
	longest  int
	elements []string // of SSML
}

func newMember(e Engine, l Limits, c *Config) *member {
	m := &member{Engine: e, longest: longestPiece}
	m.timeout = orDefault(l.Timeout, orDefault(c.Timeout, DefaultTimeout))
	m.slots = make(chan struct{}, orDefault(l.Parallel, orDefault(c.Parallel, runtime.NumCPU())))
	m.breaker.log = c.Logger.With("engine", e.Name())
	if e, ok := e.(limited); ok {
		m.longest = e.Longest()
	}
	if e, ok := e.(marked); ok {
		m.elements = e.Elements()
	}
	return m
}

// speaker is a voice with its engine.
type speaker struct {
	*member
	voice Voice
	key   []byte // what of cacheKey is not the text
}

func newSpeaker(m *member, v Voice) *speaker {
	s := &speaker{member: m, voice: v}
	fields := []string{m.Name(), v.Voice, v.Language, v.Role}
	if e, ok := m.Engine.(variant); ok {
		fields = append(fields, e.Variant())
	}
	for _, field := range fields {
		s.key = binary.BigEndian.AppendUint64(s.key, uint64(len(field)))
		s.key = append(s.key, field...)
	}
	s.key = binary.BigEndian.AppendUint64(s.key, uint64(1000*v.Speed))
	s.key = binary.BigEndian.AppendUint64(s.key, formatVersion)
	return s
}

func (s *speaker) request(text, markup string) Request {
	return Request{Text: text, Markup: markup, Voice: s.voice.Voice, Language: s.voice.Language, Role: s.voice.Role, Speed: s.voice.Speed}
}

// piece is what is asked of an engine at once, and the silence behind it.
type piece struct {
	text, markup string // both empty: silence alone
	behind       time.Duration
}

func (p *piece) id() string {
	if p.markup != "" {
		return p.markup
	}
	return p.text
}

// pieces is a wording as this speaker says it.
func (s *speaker) pieces(sc *wording) []piece {
	parts := sc.parts()
	if markup := sc.markup(s.elements); markup != "" && s.elements != nil && utf8.RuneCountInString(markup) <= longestMarkup {
		return []piece{{text: printable(words(parts)), markup: markup}}
	}
	var list []piece
	for i, p := range parts {
		if p.text == "" {
			list = append(list, piece{behind: p.pause})
			continue
		}
		for _, sentence := range sentences(p.text, s.longest) {
			list = append(list, piece{text: sentence, behind: sentenceGap})
		}
		last := &list[len(list)-1]
		if last.behind = max(p.pause, sentenceGap); i == len(parts)-1 {
			last.behind = p.pause
		}
	}
	return list
}
