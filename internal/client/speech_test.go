package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestSpeechIsTheSoundThatCame(t *testing.T) {
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(body)
		answer(200, "audio/wav", "RIFF…")(w, r)
	})
	file, err := c.Speech(t.Context(), "Hello", "tom")
	if err != nil || string(file) != "RIFF…" {
		t.Errorf("%q, %v", file, err)
	}
	if want := `POST /api/v1/speech Bearer sekret {"text":"Hello","voice":"tom"}`; asked != want {
		t.Errorf("asked %s", asked)
	}
}

func TestSpeechThatIsRefusedSaysWhy(t *testing.T) {
	c := serve(t, answer(422, "application/problem+json", `{"status":422,"code":"unknown_voice","detail":"there is no voice tom"}`))
	_, err := c.Speech(t.Context(), "Hello", "tom")
	var refused *Error
	if !errors.As(err, &refused) || refused.Problem.Code != "unknown_voice" {
		t.Errorf("%v", err)
	}
	for _, h := range []http.HandlerFunc{answer(200, "application/json", "{}"), answer(200, "text/html", "<h1>")} {
		if file, err := serve(t, h).Speech(t.Context(), "Hello", ""); err == nil || file != nil || !strings.Contains(err.Error(), "the server at") && !strings.Contains(err.Error(), "is not Perezvon") {
			t.Errorf("%q, %v", file, err)
		}
	}
}
