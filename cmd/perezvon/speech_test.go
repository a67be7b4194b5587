package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/tts"
)

func TestATokenIsReadAnewForEveryRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "iam")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := keyOf(&configs.Engine{TokenFile: file})
	for text, want := range map[string]string{"t1.first\n": "t1.first", "t1.second": "t1.second", "": "", "two words": ""} {
		write(text)
		got, err := key()
		if got != want || (err == nil) != (want != "") || err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q gives %q, %v", text, got, err)
		}
	}
	if _, err := keyOf(&configs.Engine{TokenFile: file + "x"})(); err == nil {
		t.Error("a file that is not there gives a token")
	}
	if keyOf(&configs.Engine{}) != nil {
		t.Error("an engine without a key has one")
	}
}

func TestEveryTypeOfEngineIsBuilt(t *testing.T) {
	cfg, err := configs.Parse("p.yaml", []byte(`
tts:
  voice: a
  engines:
    - {name: espeak, type: espeak}
    - {name: piper, type: piper, url: "http://127.0.0.1:1", request: text}
    - {name: openai, type: openai, key: k, timeout: 3s, parallel: 2}
    - {name: yandex, type: yandex, token_file: t, folder: f}
    - {name: command, type: command, command: [speak]}
  voices: {a: {engine: openai, voice: alloy, role: kind, speed: 1.5, fallback: [b]}, b: {engine: command, voice: x}}
`), configs.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSpeech(cfg, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names []string
	for _, e := range s.Engines() {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "espeak piper openai yandex command" {
		t.Errorf("engines %s", got)
	}
}

func TestASecretThatIsNotAtHandIsSaidSo(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := `tts: {engines: [{name: o, type: openai, url: "` + server.URL + `", key: "env:PEREZVON_NOT_SET"}], voices: {a: {engine: o, voice: alloy}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := (&SayCmd{Text: "Hello"}).local(t.Context(), &CLI{Config: file})
	if err == nil || !strings.Contains(err.Error(), "PEREZVON_NOT_SET is not there for this user") || asked != 0 {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestARestingEngineIsAProblemAndNotReadinessItself(t *testing.T) {
	since := time.Date(2027, 1, 12, 9, 0, 0, 0, time.UTC)
	states := []tts.EngineState{
		{Name: "cloud", Voices: 2, Since: since, Until: since.Add(time.Minute), LastError: "401 Unauthorized", LastAt: since},
		{Name: "local", Voices: 48, LastError: "once", LastAt: since},
	}
	list := speechEngines(states)
	if list[0].State != engineResting || !list[0].Until.Equal(since.Add(time.Minute)) || list[1].State != engineReady || list[1].Since != nil || list[1].LastError != "once" {
		t.Errorf("%+v", list)
	}
	problems := speechProblems(states)
	if len(problems) != 1 || problems[0].Part != "speech engine cloud" ||
		problems[0].Detail != "it has failed and is left alone since 09:00:00, until 09:01:00: 401 Unauthorized" {
		t.Errorf("%+v", problems)
	}
}

// A server that is there and never answers does not hold up a check for good.
func TestTryingAnEngineEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer server.Close()
	cfg := configs.Default()
	cfg.TTS = configs.TTS{
		Voice: "a", Engines: []configs.Engine{{Name: "near", Type: "openai", URL: server.URL}},
		Voices: map[string]configs.Voice{"a": {Engine: "near", Voice: "x"}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if tries := trySpeech(ctx, cfg); len(tries) != 1 || tries[0].OK || !strings.Contains(tries[0].Detail, context.DeadlineExceeded.Error()) {
		t.Errorf("%+v", tries)
	}
}
