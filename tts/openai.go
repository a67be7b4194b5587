package tts

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// What the service has by default.
const (
	openAIURL   = "https://api.openai.com/v1"
	openAIModel = "tts-1"
	openAIRate  = 24000 // of its pcm, in Hz
)

// OpenAI is the engine of any server with OpenAI's /v1/audio/speech.
type OpenAI struct {
	*remote
	model string
}

var _ Engine = (*OpenAI)(nil)

// NewOpenAI returns an engine for the server at r.URL: with its path up to
// /audio/speech or without it, or the host alone, whose path is /v1 then;
// empty: OpenAI's own. The model may be empty. The error says that the URL is
// none.
func NewOpenAI(r Remote, model string) (*OpenAI, error) {
	if r.URL == "" {
		r.URL = openAIURL
	}
	c, err := newRemote(r)
	if err != nil {
		return nil, err
	}
	if c.Format == "" {
		c.Format = "wav"
	}
	if c.Rate == 0 {
		c.Rate = openAIRate
	}
	if model == "" {
		model = openAIModel
	}
	switch path := strings.TrimSuffix(c.base.Path, "/"); {
	case path == "":
		c.base = c.base.JoinPath("v1", "audio", "speech")
	case !strings.HasSuffix(path, "/audio/speech"):
		c.base = c.base.JoinPath("audio", "speech")
	}
	return &OpenAI{c, model}, nil
}

// Variant tells servers and models apart.
func (o *OpenAI) Variant() string { return o.variant(o.model) }

// Synthesize asks the server for sound. A Role is told it as instructions.
func (o *OpenAI) Synthesize(ctx context.Context, r Request) ([]int16, int, error) {
	body := map[string]any{"model": o.model, "voice": r.Voice, "input": r.Text, "response_format": o.Format}
	if r.Role != "" {
		body["instructions"] = r.Role
	}
	if r.Speed != 0 {
		body["speed"] = r.Speed
	}
	a, err := o.send(ctx, &message{
		method: http.MethodPost, url: o.base.String(), kind: "application/json", body: encode(body), headers: bearer(),
	})
	if err != nil {
		return nil, 0, err
	}
	return o.sound(a, &r, o.Format, rateOf(a.header, o.Rate))
}

// rateOf is the rate that the type of samples names, as in audio/L16;rate=16000.
func rateOf(header http.Header, otherwise int) int {
	if _, parameters, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil {
		if rate, err := strconv.Atoi(parameters["rate"]); err == nil {
			return rate
		}
	}
	return otherwise
}
