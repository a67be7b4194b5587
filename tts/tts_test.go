package tts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/media/g711"
)

func TestRenderGivesBothLawsAtEightKilohertz(t *testing.T) {
	e := &fakeEngine{}
	s := newService(t, e, nil)
	clip := render(t, s, "Привет", "")
	if clip.Duration() != time.Second {
		t.Errorf("one second of 16 kHz became %v", clip.Duration())
	}
	for _, law := range []g711.Law{g711.ALaw, g711.ULaw} {
		if got := activeLevel(pcmOf(clip, law)); got < targetLevel-0.5 || got > targetLevel+0.5 {
			t.Errorf("%v: level %.1f dB, want %.1f", law, got, targetLevel)
		}
	}
	if want := (Request{Text: "Привет", Voice: "ru-anna", Language: "ru"}); e.requests[0] != want {
		t.Errorf("the engine was asked for %+v, want %+v", e.requests[0], want)
	}
	render(t, s, "Hello", "bob")
	if e.requests[1].Voice != "en-bob" {
		t.Errorf("voice %q", e.requests[1].Voice)
	}
}

func TestTextIsCleanedBeforeItIsSpoken(t *testing.T) {
	e := &fakeEngine{}
	s := newService(t, e, nil)
	want := "Заказ 15 для Анны"
	for _, text := range []string{
		want, "  Заказ\t15\r\n для   Анны\n", "Заказ\x00 15\x1b для Ан\u200bны", "За\xffказ 15 для\u00a0Анны\u202e",
	} {
		render(t, s, text, "")
	}
	if e.count() != 1 || e.requests[0].Text != want {
		t.Errorf("%d requests, the first for %q", e.count(), e.requests[0].Text)
	}
}

func TestTextThatCannotBeSpokenIsRefused(t *testing.T) {
	e := &fakeEngine{}
	s := newService(t, e, func(c *Config) { c.MaxText = 10 })
	for text, say := range map[string]string{
		"":                          "empty",
		" \n\t":                     "empty",
		"!!! ...":                   "neither letters nor digits",
		"\x00\x01\x02":              "neither letters nor digits",
		"одиннадцать":               "11 characters, at most 10",
		strings.Repeat("я", 1<<20):  "1048576 characters",
		strings.Repeat(" ", 1<<20):  "1048576 characters",
		strings.Repeat("\xff", 100): "100 characters",
	} {
		_, err := s.Render(t.Context(), text, "")
		if !errors.Is(err, ErrText) || !strings.Contains(err.Error(), say) {
			t.Errorf("%.20q: got %v, want it to say %q", text, err, say)
		}
		if len(err.Error()) > 200 {
			t.Errorf("%.20q: the error is %d bytes long", text, len(err.Error()))
		}
		if err := s.Validate(text, "anna"); !errors.Is(err, ErrText) {
			t.Errorf("%.20q: Validate says %v", text, err)
		}
	}
	if e.count() != 0 {
		t.Error("the engine was asked")
	}
	render(t, s, "ровно10бук", "") // ten letters are twenty bytes
}

func TestUnknownVoiceNamesTheNearestOnes(t *testing.T) {
	s := newService(t, &fakeEngine{}, func(c *Config) {
		for _, id := range []string{"ruinternalfemale", "ruinternalmale", "eninternalfemale"} {
			c.Voices[id] = c.Voices["anna"]
		}
	})
	_, err := s.Render(t.Context(), "Привет", "RuInternalFemal")
	var unknown *VoiceError
	if !errors.Is(err, ErrUnknownVoice) || !errors.As(err, &unknown) {
		t.Fatalf("got %v", err)
	}
	if want := []string{"ruinternalfemale", "eninternalfemale", "ruinternalmale"}; !slices.Equal(unknown.Nearest, want) &&
		!slices.Equal(unknown.Nearest, []string{want[0], want[2], want[1]}) {
		t.Errorf("nearest %q", unknown.Nearest)
	}
	if !strings.Contains(err.Error(), "ruinternalfemale") {
		t.Errorf("the message %q names no choice", err)
	}
	if err := s.Validate("Привет", strings.Repeat("x", 1<<20)); !errors.Is(err, ErrUnknownVoice) {
		t.Errorf("a very long name: %.100v", err)
	}
	if err := s.Validate("", "nobody"); !errors.Is(err, ErrUnknownVoice) || !errors.Is(err, ErrText) {
		t.Errorf("both mistakes should be named: %v", err)
	}
	if err := s.Validate("Привет", ""); err != nil {
		t.Errorf("valid: %v", err)
	}
}

func TestServiceWithoutVoicesSaysSo(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Render(t.Context(), "Привет", ""); !errors.Is(err, ErrUnknownVoice) || !strings.Contains(err.Error(), "no voices are configured") {
		t.Errorf("got %v", err)
	}
	if len(s.Voices()) != 0 || s.Language("") != "" {
		t.Error("voices out of nothing")
	}
}

func TestVoicesAreListedByID(t *testing.T) {
	s := newService(t, &fakeEngine{}, nil)
	want := []VoiceInfo{
		{ID: "anna", Name: "Анна", Language: "ru", Engine: "fake", Default: true},
		{ID: "bob", Name: "bob", Language: "en", Engine: "fake"},
	}
	if got := s.Voices(); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	for voice, want := range map[string]string{"bob": "en", "anna": "ru", "": "ru", "nobody": "ru"} {
		if got := s.Language(voice); got != want {
			t.Errorf("language of %q is %q", voice, got)
		}
	}
}

func TestConfigurationMistakesAreNamed(t *testing.T) {
	e := &fakeEngine{name: "one"}
	for say, c := range map[string]Config{
		`two engines are named "one"`: {Engines: []Engine{e, e}},
		`no engine is named "two"`:    {Engines: []Engine{e}, Voices: map[string]Voice{"v": {Engine: "two"}}},
		`unknown voice "w"`:           {Engines: []Engine{e}, Voices: map[string]Voice{"v": {Engine: "one"}}, DefaultVoice: "w"},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("got %v, want it to say %q", err, say)
		}
	}
}

func TestUnusableSoundIsAnEngineError(t *testing.T) {
	for say, speak := range map[string]func(context.Context, Request) ([]int16, int, error){
		"silence":   func(context.Context, Request) ([]int16, int, error) { return make([]int16, 16000), 16000, nil },
		"100ms":     func(context.Context, Request) ([]int16, int, error) { return tone(16000, 0.1, 0.5), 16000, nil },
		"0 Hz":      func(context.Context, Request) ([]int16, int, error) { return tone(16000, 1, 0.5), 0, nil },
		"at least":  func(context.Context, Request) ([]int16, int, error) { return nil, 8000, nil },
		"no voice":  func(context.Context, Request) ([]int16, int, error) { return nil, 0, errors.New("no voice today") },
		"panic: oh": func(context.Context, Request) ([]int16, int, error) { panic("oh") },
	} {
		s := newService(t, &fakeEngine{speak: speak}, nil)
		_, err := s.Render(t.Context(), "Привет", "")
		if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "speech engine fake") || !strings.Contains(err.Error(), say) {
			t.Errorf("got %v, want it to say %q", err, say)
		}
	}
}

func TestTextThatTakesTooLongIsTheTextsFault(t *testing.T) {
	other := &fakeEngine{name: "other"}
	long := &fakeEngine{speak: func(context.Context, Request) ([]int16, int, error) {
		return make([]int16, 2000*301), 2000, nil
	}}
	s := newService(t, long, func(c *Config) {
		c.Engines = append(c.Engines, other)
		c.Voices["carla"] = Voice{Engine: "other", Voice: "c", Language: "ru"}
	})
	_, err := s.Render(t.Context(), "Привет", "")
	if !errors.Is(err, ErrText) || errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "longer than 5m") {
		t.Errorf("got %v", err)
	}
	if other.count() != 0 {
		t.Error("another engine was asked for a text that is too long")
	}
}

func TestOtherEnginesStandIn(t *testing.T) {
	broken := errors.New("out of order")
	first := &fakeEngine{name: "first", speak: func(context.Context, Request) ([]int16, int, error) { return nil, 0, broken }}
	second := &fakeEngine{name: "second"}
	s := newService(t, first, func(c *Config) {
		c.Engines = []Engine{second, first} // the voice's own engine comes first all the same
		c.Voices["carla"] = Voice{Engine: "second", Voice: "ru-carla", Language: "ru"}
		c.Voices["zoe"] = Voice{Engine: "second", Voice: "ru-zoe", Language: "ru"}
	})
	render(t, s, "Привет", "anna")
	if first.count() != 1 || second.count() != 1 || second.requests[0].Voice != "ru-carla" {
		t.Errorf("first %d, second %+v", first.count(), second.requests)
	}
	render(t, s, "Привет", "anna")
	if first.count() != 2 || second.count() != 1 {
		t.Error("the voice's own engine should be tried again, the stand-in's clip come from the cache")
	}
	if _, err := s.Render(t.Context(), "Hello", "bob"); !errors.Is(err, broken) || !errors.Is(err, ErrEngine) {
		t.Errorf("no engine speaks English, got %v", err)
	}
}

func TestPhrasesAreThereInBothLanguages(t *testing.T) {
	e := &fakeEngine{}
	s := newService(t, e, nil)
	for _, id := range Phrases() {
		ru, en := Phrase("ru", id), Phrase("en", id)
		if ru == "" || en == "" || ru == en {
			t.Errorf("%s: %q, %q", id, ru, en)
		}
		if Phrase("ru-RU", id) != ru || Phrase("RU_ru", id) != ru || Phrase("de", id) != en || Phrase("", id) != en {
			t.Errorf("%s: wrong choice by language", id)
		}
		render(t, s, ru, "anna")
	}
	if Phrase("ru", "nonsense") != "" {
		t.Error("a phrase for nothing")
	}
}

func TestFallbackClipIsAudible(t *testing.T) {
	c := FallbackClip()
	if c.Duration() < MinDuration || c.Duration() > 2*time.Second {
		t.Errorf("duration %v", c.Duration())
	}
	if got := activeLevel(pcmOf(c, g711.ALaw)); got < targetLevel-2 || got > targetLevel+2 {
		t.Errorf("level %.1f dB", got)
	}
}
