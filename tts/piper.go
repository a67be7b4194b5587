package tts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Piper is the engine of Piper's own HTTP server.
type Piper struct {
	*remote
	plain bool
	root  atomic.Bool // it has no /synthesize
}

var _ Engine = (*Piper)(nil)

// NewPiper returns an engine for the server at r.URL. An URL without a path
// means its usual places: /synthesize, or / for releases that have none. With
// plain the text is sent alone, as the first releases want it: they know one
// voice. The error says that the URL is none.
func NewPiper(r Remote, plain bool) (*Piper, error) {
	c, err := newRemote(r)
	if err != nil {
		return nil, err
	}
	return &Piper{remote: c, plain: plain}, nil
}

// Variant tells servers apart.
func (p *Piper) Variant() string { return p.variant() }

// Synthesize asks the server for a WAV file. A Role is the name of one of the
// voice's speakers.
func (p *Piper) Synthesize(ctx context.Context, r Request) ([]int16, int, error) {
	m := &message{method: http.MethodPost, kind: "text/plain; charset=utf-8", body: []byte(r.Text), headers: bearer()}
	if !p.plain {
		body := map[string]any{"text": r.Text}
		if r.Voice != "" {
			body["voice"] = r.Voice
		}
		if r.Role != "" {
			body["speaker"] = r.Role
		}
		if r.Speed != 0 {
			body["length_scale"] = 1 / r.Speed
		}
		m.kind, m.body = "application/json", encode(body)
	}
	a, err := p.post(ctx, m)
	if err != nil {
		return nil, 0, err
	}
	return p.sound(a, &r, "wav", 0)
}

func (p *Piper) post(ctx context.Context, m *message) (*answer, error) {
	m.url = p.base.String()
	if p.base.Path != "" && p.base.Path != "/" {
		return p.send(ctx, m)
	}
	if !p.plain && !p.root.Load() {
		m.url = p.base.JoinPath("synthesize").String()
		a, err := p.send(ctx, m)
		if !hasStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
			return a, err
		}
		m.url = p.base.String()
	}
	a, err := p.send(ctx, m)
	if err == nil {
		p.root.Store(true)
	}
	return a, err
}

// Probe asks the server for the names of its voices: it speaks in another one
// where it does not have what is asked for.
func (p *Piper) Probe(ctx context.Context, voices []string) error {
	if p.plain {
		return nil
	}
	address := *p.base
	address.Path = strings.TrimSuffix(strings.TrimSuffix(address.Path, "/"), "/synthesize")
	a, err := p.send(ctx, &message{method: http.MethodGet, url: address.JoinPath("voices").String(), headers: bearer()})
	if err != nil {
		if hasStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
			return nil // an early release, or one behind a proxy
		}
		return err
	}
	var there map[string]json.RawMessage
	if json.Unmarshal(a.body, &there) != nil {
		return nil
	}
	var errs []error
	for _, voice := range voices {
		if _, ok := there[voice]; !ok {
			errs = append(errs, fmt.Errorf("voice %q is not among those of the server, which would speak in its first one: %s",
				voice, prefix(strings.Join(slices.Sorted(maps.Keys(there)), ", "), maxWords)))
		}
	}
	return errors.Join(errs...)
}

func bearer() map[string]string { return map[string]string{"Authorization": "Bearer %s"} }

// encode is JSON of what always has one.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers
	}
	return b
}
