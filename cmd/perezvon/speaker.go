package main

import (
	"context"
	"errors"

	"perezvon/internal/call"
	"perezvon/tts"
)

// speaker renders speech for the API.
type speaker struct{ speech *tts.Service }

// Speak renders a text as a WAV file. Errors are *call.RefusedError, or that
// of ctx.
func (s speaker) Speak(ctx context.Context, text, voice string) ([]byte, error) {
	if err := s.refuse(text, voice); err != nil {
		return nil, err
	}
	clip, err := s.speech.Render(ctx, text, voice)
	switch {
	case err == nil:
		return clipFile(clip), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, tts.ErrText): // only the engine could see it
		return nil, refused(422, call.CodeInvalidText, call.Problem{Field: "text", Detail: err.Error()})
	default:
		return nil, refused(503, call.CodeNotReady, call.Problem{Detail: err.Error()})
	}
}

// refuse names everything that is wrong with a request.
func (s speaker) refuse(text, voice string) error {
	var (
		problems []call.Problem
		code     string
	)
	if err := s.speech.Validate(text, ""); err != nil {
		problems, code = append(problems, call.Problem{Field: "text", Detail: err.Error()}), call.CodeInvalidText
	}
	if err := s.speech.Validate("voice", voice); err != nil {
		problems, code = append(problems, call.Problem{Field: "voice", Detail: err.Error()}), call.CodeUnknownVoice
	}
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return refused(422, code, problems...)
	default:
		return refused(422, call.CodeInvalidRequest, problems...)
	}
}

func refused(status int, code string, problems ...call.Problem) error {
	return &call.RefusedError{Status: status, Code: code, Problems: problems}
}
