package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/internal/call"
)

// Speech speaks texts.
type Speech interface {
	// Speak renders a text in a voice (empty: the default one) as a WAV file.
	// What the client has done wrong, and an engine that does not work, is a
	// *call.RefusedError.
	Speak(ctx context.Context, text, voice string) (wav []byte, err error)
}

const (
	maxSpeeches = 2                // rendered for clients at once, so that calls do not wait for speech
	speechQueue = 10 * time.Second // how long a client waits for its turn
)

// SpeechBody is what is to be spoken.
type SpeechBody struct {
	Text  string `json:"text" doc:"What is said, up to 2000 characters" example:"You have a call from the site"`
	Voice string `json:"voice,omitempty" nullable:"true" doc:"In which voice; left out: the default voice" example:"ruinternalfemale"`
}

type speechInput struct {
	IdempotencyHeader
	Body SpeechBody
	strictQuery
}

// Resolve says what is wrong with the form of the request.
func (in *speechInput) Resolve(ctx huma.Context) []error {
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

func (a *API) routeSpeech(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "speak", Method: http.MethodPost, Path: "/api/v1/speech", Summary: "Render a text as speech",
		Description:  "A WAV file, 16-bit PCM, 8 kHz, mono: what phones would be played. The same text in the same voice is rendered once and kept.",
		Tags:         []string{tagSpeech},
		MaxBodyBytes: maxBody + 1,
		Responses:    map[string]*huma.Response{"200": {Description: "The audio", Content: wavBody()}},
		Metadata:     failsWithBody(call.CodeInvalidText, call.CodeUnknownVoice, CodeTooManySpeeches, CodeNotReady),
		Middlewares:  huma.Middlewares{a.oneIdempotencyKey},
	}, ScopeCallback, ScopeInfocall, ScopeCalls), a.speak)
}

func (a *API) speak(ctx context.Context, in *speechInput) (*huma.StreamResponse, error) {
	if p := a.pure.check(clientOf(ctx).name, in.Key, in.Body); p != nil {
		return nil, p
	}
	if a.Speech == nil {
		return nil, newProblem(http.StatusServiceUnavailable, CodeNotReady, "the server has no speech").retryAfter(comeBack)
	}
	turn := time.NewTimer(speechQueue)
	defer turn.Stop()
	select {
	case a.speaking <- struct{}{}:
		defer func() { <-a.speaking }()
	case <-turn.C:
		return nil, newProblem(http.StatusTooManyRequests, CodeTooManySpeeches, "other texts are being rendered; try again").retryAfter(comeBack)
	case <-ctx.Done():
		return nil, a.problemOf(ctx, "speak", ctx.Err())
	}
	wav, err := a.Speech.Speak(ctx, in.Body.Text, in.Body.Voice)
	if err != nil {
		return nil, a.problemOf(ctx, "speak", err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", wavType)
		w.Header().Set("Content-Length", strconv.Itoa(len(wav)))
		w.Header().Set("Content-Disposition", `inline; filename="speech.wav"`)
		if _, err := w.Write(wav); err != nil {
			a.Logger.Debug("speech not delivered", "error", err)
		}
	}}, nil
}
