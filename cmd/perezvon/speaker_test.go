package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"perezvon/internal/call"
	"perezvon/media/wav"
	"perezvon/tts"
)

// hum is a speech engine that hums, or fails.
type hum struct{ err error }

func (hum) Name() string { return "hum" }

func (h hum) Synthesize(context.Context, tts.Request) ([]int16, int, error) {
	pcm := make([]int16, 8000)
	for i := range pcm {
		pcm[i] = int16(8000 * (i % 16 / 8))
	}
	return pcm, 8000, h.err
}

func newSpeaker(t *testing.T, err error) speaker {
	t.Helper()
	s, newErr := tts.New(tts.Config{Engines: []tts.Engine{hum{err}}, Voices: map[string]tts.Voice{"a": {Engine: "hum"}}})
	if newErr != nil {
		t.Fatal(newErr)
	}
	t.Cleanup(func() { _ = s.Close() })
	return speaker{s}
}

func TestSpeakerGivesPCMThatPlayersKnow(t *testing.T) {
	file, err := newSpeaker(t, nil).Speak(t.Context(), "Hello", "")
	if err != nil {
		t.Fatal(err)
	}
	sound, err := wav.Read(bytes.NewReader(file), wav.Limits{})
	if err != nil || sound.Rate != 8000 || sound.Samples() < 8000 {
		t.Errorf("%d samples at %d Hz, %v", sound.Samples(), sound.Rate, err)
	}
	if file[20] != 1 || file[22] != 1 || file[34] != 16 { // PCM, channels, bits
		t.Errorf("header % x", file[:44])
	}
}

func TestSpeakerRefusesWhatCannotBeSpoken(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		text, voice string
		engine      error
		want        string
	}{
		{"", "", nil, "422 invalid_text text"},
		{"x", "b", nil, "422 unknown_voice voice"},
		{"", "b", nil, "422 invalid_request text voice"},
		{"x", "", broken, "503 not_ready "},
		{"x", "", fmt.Errorf("%w: no such letter", tts.ErrText), "422 invalid_text text"},
	} {
		_, err := newSpeaker(t, tc.engine).Speak(t.Context(), tc.text, tc.voice)
		r, ok := errors.AsType[*call.RefusedError](err)
		if !ok {
			t.Errorf("%q in %q: %v", tc.text, tc.voice, err)
			continue
		}
		got := fmt.Sprint(r.Status, " ", r.Code)
		for _, p := range r.Problems {
			got += " " + p.Field
		}
		if got != tc.want {
			t.Errorf("%q in %q: %s, want %s", tc.text, tc.voice, got, tc.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newSpeaker(t, broken).Speak(ctx, "x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone is told %v", err)
	}
}
