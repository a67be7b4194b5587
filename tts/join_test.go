package tts

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/media/g711"
)

// padded is speech with silence around it, as engines give it.
func padded(before, behind time.Duration) func(context.Context, Request) ([]int16, int, error) {
	return func(context.Context, Request) ([]int16, int, error) {
		const rate = 8000
		silence := func(d time.Duration) []int16 { return make([]int16, int(d*rate/time.Second)) }
		return slices.Concat(silence(before), tone(rate, 1, 0.3), silence(behind)), rate, nil
	}
}

func TestSentencesAreRenderedAndKeptApart(t *testing.T) {
	dir := t.TempDir()
	e := &fakeEngine{}
	s := newService(t, e, func(c *Config) { c.CacheDir = dir })
	first := render(t, s, "Здравствуйте! Ваш заказ готов.", "")
	if e.count() != 2 {
		t.Errorf("%d syntheses", e.count())
	}
	render(t, s, "Здравствуйте! Ваш заказ в пути.", "")
	if e.count() != 3 {
		t.Errorf("%d syntheses: the greeting was there", e.count())
	}
	if render(t, s, "Здравствуйте! Ваш заказ готов.", "") != first {
		t.Error("the whole text should come from memory")
	}
	if d := first.Duration(); d != 2*time.Second+sentenceGap {
		t.Errorf("two seconds of speech became %v", d)
	}
	_ = s.Close() // what is being written is written
	if files := cached(t, dir); len(files) != 3 {
		t.Errorf("kept: %q", files)
	}
}

func TestSentencesFollowEachOtherEvenlyAndWithoutClicks(t *testing.T) {
	s := newService(t, &fakeEngine{speak: padded(time.Second, 2*time.Second)}, nil)
	clip := render(t, s, "Здравствуйте! Ваш заказ готов.", "")
	if d, most := clip.Duration(), 2*time.Second+sentenceGap+2*(keptBefore+keptBehind)+40*time.Millisecond; d > most {
		t.Errorf("%v, at most %v is wanted", d, most)
	}
	loud := newService(t, &fakeEngine{speak: func(context.Context, Request) ([]int16, int, error) {
		pcm := make([]int16, 8000) // begins and ends at its peak
		for i := range pcm {
			pcm[i] = int16(8000 * math.Cos(2*math.Pi*500*float64(i)/8000))
		}
		return pcm, 8000, nil
	}}, nil)
	clip = render(t, loud, "Здравствуйте! Ваш заказ готов.", "")
	for _, law := range []g711.Law{g711.ALaw, g711.ULaw} {
		pcm := pcmOf(clip, law)
		top := 0
		for i := range pcm {
			before := int16(0)
			if i > 0 {
				before = pcm[i-1]
			}
			if step := int(pcm[i]) - int(before); step > top || -step > top {
				top = max(step, -step)
			}
		}
		// A sine of 500 Hz at this level rises by no more in a sample.
		if most := math.Pow(10, targetLevel/20) * math.Sqrt2 * 32768 * 2 * math.Pi * 500 / 8000 * 1.2; float64(top) > most {
			t.Errorf("%v: a step of %d, speech has %.0f", law, top, most)
		}
		if last := pcm[len(pcm)-1]; last > 100 || last < -100 {
			t.Errorf("%v: it ends at %d", law, last)
		}
	}
}

func TestBreaksAreSilenceForEnginesWithoutMarkup(t *testing.T) {
	e := &fakeEngine{}
	s := newService(t, e, nil)
	clip := render(t, s, `<speak>Ваш код<break time="2s"/>один два три</speak>`, "")
	if d := clip.Duration(); d != 4*time.Second {
		t.Errorf("two words and two seconds of silence became %v", d)
	}
	for _, r := range e.requests {
		if strings.ContainsAny(r.Text, "<>") || r.Markup != "" {
			t.Errorf("the engine was asked for %+v", r)
		}
	}
	pcm := pcmOf(clip, g711.ALaw)
	if level := rms(pcm[9000:23000]); level > edgeLevel {
		t.Errorf("the pause has %.1f dB", level)
	}
}

// talker is an engine that takes markup.
type talker struct{ fakeEngine }

func (*talker) Elements() []string { return []string{"break", "prosody"} }

func TestEnginesThatTakeMarkupGetWhatTheyUnderstand(t *testing.T) {
	e := &talker{fakeEngine{name: "fake"}}
	s := newService(t, &e.fakeEngine, func(c *Config) { c.Engines = []Engine{e} })
	render(t, s, `<speak>Код<break time="2s"/><prosody rate="slow"><emphasis>раз</emphasis></prosody></speak>`, "")
	want := Request{
		Text: "Код раз", Voice: "ru-anna", Language: "ru",
		Markup: `<speak> Код<break time="2000ms"/><prosody rate="slow">раз</prosody> </speak>`,
	}
	if len(e.requests) != 1 || e.requests[0] != want {
		t.Errorf("asked for %+v", e.requests)
	}
	render(t, s, "Код раз", "")
	if e.count() != 2 {
		t.Error("a text with markup was taken for one without")
	}
}

func TestOneVoiceSpeaksTheWholeText(t *testing.T) {
	first := &fakeEngine{name: "first", speak: func(_ context.Context, r Request) ([]int16, int, error) {
		if strings.Contains(r.Text, "готов") {
			return nil, 0, errors.New("gone in the middle")
		}
		return tone(16000, 1, 0.3), 16000, nil
	}}
	second := &fakeEngine{name: "second"}
	s := newService(t, first, func(c *Config) {
		c.Engines = append(c.Engines, second)
		c.Voices["carla"] = Voice{Engine: "second", Voice: "ru-carla", Language: "ru"}
	})
	render(t, s, "Здравствуйте! Ваш заказ готов.", "anna")
	if second.count() != 2 {
		t.Errorf("the stand-in said %+v", second.requests)
	}
}

func TestAFailureCallsTheOtherSentencesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: func(ctx context.Context, r Request) ([]int16, int, error) {
			if strings.Contains(r.Text, "готов") {
				return nil, 0, errors.New("no voice")
			}
			return slow(15*time.Second)(ctx, r)
		}}
		s := newService(t, e, func(c *Config) { c.Parallel = 2 })
		began := time.Now()
		if _, err := s.Render(t.Context(), "Здравствуйте! Ваш заказ готов.", ""); err == nil || !strings.Contains(err.Error(), "no voice") {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if e.running != 0 || time.Since(began) != 0 {
			t.Errorf("%d still at work after %v", e.running, time.Since(began))
		}
	})
}

func TestTextsThatTakeTooLongTogetherAreRefused(t *testing.T) {
	s := newService(t, &fakeEngine{speak: func(context.Context, Request) ([]int16, int, error) {
		return tone(8000, 100, 0.3), 8000, nil
	}}, nil)
	_, err := s.Render(t.Context(), "Первое дело. Второе дело. Третье дело.", "")
	if !errors.Is(err, ErrText) || errors.Is(err, ErrEngine) {
		t.Errorf("got %v", err)
	}
}

func TestStandInsAreThoseOfTheVoice(t *testing.T) {
	broken := func(context.Context, Request) ([]int16, int, error) { return nil, 0, errors.New("broken") }
	first := &fakeEngine{name: "first", speak: broken}
	second, third := &fakeEngine{name: "second", speak: broken}, &fakeEngine{name: "third"}
	s := newService(t, first, func(c *Config) {
		c.Engines = append(c.Engines, second, third)
		c.Voices["carla"] = Voice{Engine: "second", Voice: "c", Language: "ru"}
		c.Voices["dora"] = Voice{Engine: "third", Voice: "d", Language: "ru"}
		c.Voices["emma"] = Voice{Engine: "first", Voice: "e", Language: "ru", Fallback: []string{"dora", "carla"}}
		c.Voices["fay"] = Voice{Engine: "first", Voice: "f", Language: "ru", Fallback: []string{}}
	})
	render(t, s, "Привет", "emma")
	if first.count() != 1 || second.count() != 0 || third.count() != 1 {
		t.Errorf("asked %d, %d and %d times", first.count(), second.count(), third.count())
	}
	if _, err := s.Render(t.Context(), "Привет", "fay"); err == nil {
		t.Error("a voice without stand-ins has some")
	}
	_, err := New(Config{Engines: []Engine{first}, Voices: map[string]Voice{"a": {Engine: "first", Fallback: []string{"b"}}}})
	if err == nil || !strings.Contains(err.Error(), `voice "a": unknown voice "b"`) {
		t.Errorf("got %v", err)
	}
}
