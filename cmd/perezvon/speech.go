package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"perezvon/configs"
	"perezvon/tts"
)

// netParallel is how many requests an engine over the network gets at one time.
const netParallel = 4

// maxToken is the largest token that is read from a file, in bytes.
const maxToken = 16 << 10

// newSpeech builds the engines of a configuration.
func newSpeech(cfg *configs.Config, cacheDir string, log *slog.Logger) (*tts.Service, error) {
	engines := make([]tts.Engine, 0, len(cfg.TTS.Engines))
	limits := make(map[string]tts.Limits, len(cfg.TTS.Engines))
	for i := range cfg.TTS.Engines {
		e := &cfg.TTS.Engines[i]
		engine, err := newEngine(e)
		if err != nil {
			return nil, err
		}
		engines = append(engines, engine)
		l := tts.Limits{Timeout: e.Timeout, Parallel: e.Parallel}
		if l.Parallel == 0 && e.Type != "espeak" && e.Type != "command" {
			l.Parallel = netParallel
		}
		limits[e.Name] = l
	}
	voices := make(map[string]tts.Voice, len(cfg.TTS.Voices))
	for id, v := range cfg.TTS.Voices {
		voices[id] = tts.Voice{
			Engine: v.Engine, Voice: v.Voice, Language: v.Language, Name: v.Name, Role: v.Role, Speed: v.Speed, Fallback: v.Fallback,
		}
	}
	return tts.New(tts.Config{
		Engines: engines, Limits: limits, Voices: voices, DefaultVoice: cfg.TTS.Voice,
		CacheDir: cacheDir, Logger: log,
	})
}

func newEngine(e *configs.Engine) (tts.Engine, error) {
	r := tts.Remote{Name: e.Name, URL: e.URL, Key: keyOf(e), Format: e.Format, Rate: e.Rate}
	switch e.Type {
	case "piper":
		return tts.NewPiper(r, e.Request == "text")
	case "openai":
		return tts.NewOpenAI(r, e.Model)
	case "yandex":
		return tts.NewYandex(r, e.TokenFile != "", e.Folder, e.Model)
	case "command":
		return tts.NewCommand(e.Name, e.Command)
	}
	return tts.NewESpeak(e.Name, e.Path), nil
}

// keyOf returns what gives an engine's secret; nil: it has none. A token is read
// anew each time, for something else renews it.
func keyOf(e *configs.Engine) func() (string, error) {
	switch at := e.Key.Hidden(); {
	case e.TokenFile != "":
		return func() (string, error) { return readToken(e.TokenFile) }
	case e.Key.IsZero():
		return nil
	case at != "":
		return func() (string, error) {
			return "", fmt.Errorf("%s is not there for this user; the server has it: --server asks it", at)
		}
	}
	return func() (string, error) { return e.Key.Reveal(), nil }
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxToken))
	token := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", fmt.Errorf("token: %w", err)
	case token == "" || strings.ContainsAny(token, " \t\r\n\x00"):
		return "", fmt.Errorf("token: %s has none in its only line", path)
	}
	return token, nil
}
