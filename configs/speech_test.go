package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := Parse("/etc/perezvon/p.yaml", []byte(text), Sources{
		Env: func(string) (string, bool) { return hidden, true }, File: func(string) ([]byte, error) { return []byte(hidden), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestBitrixVoicesAreLocalUnlessTheFileHasThem(t *testing.T) {
	cfg := parsed(t, `
tts:
  engines:
    - {name: cloud, type: yandex, token_file: iam.token}
    - {name: local, type: espeak}
    - {name: other, type: espeak}
  voices:
    ruinternalfemale: {engine: cloud, voice: marina, fallback: []}
    tom: {engine: local, voice: en-gb}
`)
	voice := func(name, engine, own, language string) {
		t.Helper()
		if v := cfg.TTS.Voices[name]; v.Engine != engine || v.Voice != own || v.Language != language {
			t.Errorf("%s is %+v", name, v)
		}
	}
	voice("ruinternalfemale", "cloud", "marina", "ru")
	voice("ruinternalmale", "local", "ru+m3", "ru")
	voice("ukenglishmale", "local", "en-gb+m3", "en")
	voice("tom", "local", "en-gb", "en")
	if cfg.TTS.Voice != "ruinternalfemale" || cfg.TTS.Engines[0].TokenFile != "/etc/perezvon/iam.token" {
		t.Errorf("%+v", cfg.TTS.Engines[0])
	}
	if f := cfg.TTS.Voices["ruinternalfemale"].Fallback; f == nil || len(f) != 0 {
		t.Errorf("no fall-back was asked for, there is %v", f)
	}
	if f := cfg.TTS.Voices["tom"].Fallback; f != nil {
		t.Errorf("a fall-back that nobody wrote: %v", f)
	}
}

func TestTheOnlyVoiceOfAFileIsTheDefaultOne(t *testing.T) {
	cfg := parsed(t, `tts: {engines: [{name: near, type: piper, url: "http://127.0.0.1:5000"}], voices: {irina: {engine: near, voice: ru_RU-irina-medium}}}`)
	if cfg.TTS.Voice != "irina" || cfg.TTS.Voices["irina"].Language != "ru" || len(cfg.TTS.Voices) != 1 {
		t.Errorf("%+v", cfg.TTS)
	}
	cfg = parsed(t, `tts: {engines: [{name: o, type: openai, key: "env:X"}], voices: {alloy: {engine: o, voice: alloy}}}`+"\nlanguage: en\n")
	if cfg.TTS.Voices["alloy"].Language != "en" {
		t.Errorf("%+v", cfg.TTS.Voices)
	}
}

func TestMarkupMayBeLongerThanWhatIsSpoken(t *testing.T) {
	long := "<speak>" + strings.Repeat(`<break time="10ms"/>а`, 200) + "</speak>"
	text := func(s string) []byte {
		return []byte(`
trunks: [{name: a, host: 192.0.2.1, options: "off"}]
lines: [{id: main, number: "+74950000000", trunks: [a], route: [{announce: {text: '` + s + `'}}]}]
`)
	}
	if _, err := Parse("p.yaml", text(long), Sources{}); err != nil {
		t.Error(err)
	}
	for _, s := range []string{strings.Repeat("а", 2001), "<speak>" + strings.Repeat("а", 8000)} {
		if _, err := Parse("p.yaml", text(s), Sources{}); err == nil || !strings.Contains(err.Error(), "are spoken") {
			t.Errorf("%d characters: %v", len([]rune(s)), err)
		}
	}
}

func TestSecretsAtHandAreUsedAndTheOthersSaySo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PEREZVON_TEST_KEY", "at-hand")
	file := filepath.Join(dir, "p.yaml")
	text := `tts: {engines: [{name: a, type: openai, key: "env:PEREZVON_TEST_KEY"}, {name: b, type: openai, key: "env:PEREZVON_TEST_NONE"},
  {name: c, type: openai, key: "file:key"}, {name: d, type: openai, key: "file:none"}], voices: {alloy: {engine: a, voice: alloy}}}`
	for name, data := range map[string]string{file: text, filepath.Join(dir, "key"): "in-a-file\n"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := LoadWithSomeSecrets(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range cfg.TTS.Engines {
		if at := e.Key.Hidden(); at != "" {
			got = append(got, "hidden "+filepath.Base(at))
		} else {
			got = append(got, e.Key.Reveal())
		}
	}
	if want := []string{"at-hand", "hidden PEREZVON_TEST_NONE", "in-a-file", "hidden none"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAKeyThatTravelsReadableIsWarnedOf(t *testing.T) {
	text := `tts: {engines: [{name: a, type: openai, url: "http://%s/v1", key: "env:X"}], voices: {alloy: {engine: a, voice: alloy}}}`
	for host, warned := range map[string]bool{"192.0.2.1:8000": true, "127.0.0.1:8000": false, "localhost": false} {
		got := slices.ContainsFunc(parsed(t, strings.Replace(text, "%s", host, 1)).Warnings(), func(w string) bool {
			return strings.Contains(w, "the key of engine a travels readable")
		})
		if got != warned {
			t.Errorf("%s: warned %v", host, got)
		}
	}
}

func TestPlaceholdersOfACommandThatThereAreNotAreNamed(t *testing.T) {
	for arg, want := range map[string]string{
		"{voice}": "", "--v={voice},{speed}": "", "{language}{role}": "", "{}": "", "${HOME}": "", "awk '{print}'": "",
		"{vioce}":          "unknown placeholder {vioce}, most likely {voice}; valid: {voice}, {language}, {role}, {speed}",
		"--v={Voice}":      "unknown placeholder {Voice}, most likely {voice}; valid:",
		"speak -v {vioce}": "unknown placeholder {vioce}, most likely {voice}; valid:",
		"{text}":           "unknown placeholder {text}; valid: {voice}",
		"{voice}{languag}": "unknown placeholder {languag}, most likely {language}; valid:",
	} {
		text := "tts: {engines: [{name: a, type: command, command: [speak, \"" + arg + "\"]}], voices: {v: {engine: a, voice: x, language: en}}}"
		_, err := Parse("p.yaml", []byte(text), Sources{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), "tts.engines[0].command[1]: "+want)) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}
