package tts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// failing is an engine whose error can be changed; nil: it works.
type failing struct {
	fakeEngine
	err error
}

func newFailing(name string) *failing {
	e := &failing{fakeEngine: fakeEngine{name: name}, err: errors.New("connection refused")}
	e.speak = func(context.Context, Request) ([]int16, int, error) { return tone(8000, 1, 0.3), 8000, e.err }
	return e
}

// tryText renders a text that was never rendered before.
func tryText(t *testing.T, s *Service) error {
	t.Helper()
	_, err := s.Render(t.Context(), fmt.Sprint("Заказ ", time.Now().UnixNano()), "")
	return err
}

func TestAnEngineThatFailsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFailing("fake")
		var log bytes.Buffer
		s := newService(t, &e.fakeEngine, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for range 5 {
			time.Sleep(time.Millisecond)
			if err := tryText(t, s); !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("got %v", err)
			}
		}
		if e.count() != failuresToRest {
			t.Errorf("asked %d times", e.count())
		}
		state := s.Engines()[0]
		if state.Since.IsZero() || state.Until.Sub(state.Since) != firstRest || state.LastError != "connection refused" || state.LastAt.IsZero() || state.Voices != 2 {
			t.Errorf("state %+v", state)
		}
		time.Sleep(firstRest)
		_ = tryText(t, s) // the one that is let through
		_ = tryText(t, s)
		if again := s.Engines()[0]; e.count() != failuresToRest+1 || again.Since != state.Since || time.Until(again.Until) != 2*firstRest {
			t.Errorf("asked %d times, state %+v", e.count(), again)
		}
		for range 10 {
			time.Sleep(time.Until(s.Engines()[0].Until))
			_ = tryText(t, s)
		}
		if rest := time.Until(s.Engines()[0].Until); rest != longestRest {
			t.Errorf("the longest rest is %v", rest)
		}
		e.err = nil
		time.Sleep(longestRest)
		if err := tryText(t, s); err != nil {
			t.Error(err)
		}
		if state := s.Engines()[0]; !state.Since.IsZero() || state.LastError == "" {
			t.Errorf("state %+v", state)
		}
		if n := strings.Count(log.String(), "left alone"); n != 1 || !strings.Contains(log.String(), "works again") {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
	})
}

func TestOneRequestTriesARestedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFailing("fake")
		s := newService(t, &e.fakeEngine, func(c *Config) { c.Parallel = 8 })
		for range failuresToRest {
			time.Sleep(time.Millisecond)
			_ = tryText(t, s)
		}
		time.Sleep(firstRest)
		e.speak = func(ctx context.Context, r Request) ([]int16, int, error) { return slow(time.Second)(ctx, r) }
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() { _, _ = s.Render(ctx, "Первый", "") })
		synctest.Wait()
		if _, err := s.Render(t.Context(), "Второй", ""); err == nil || e.count() != failuresToRest+1 {
			t.Errorf("got %v, asked %d times", err, e.count())
		}
		cancel() // a trial that is called off decides nothing
		callers.Wait()
		synctest.Wait()
		render(t, s, "Третий", "")
		if !s.Engines()[0].Since.IsZero() {
			t.Error("it works and is left alone")
		}
	})
}

func TestATextOfSeveralSentencesTriesARestedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFailing("fake")
		s := newService(t, &e.fakeEngine, func(c *Config) { c.Parallel = 8 })
		for range failuresToRest {
			time.Sleep(time.Millisecond)
			_ = tryText(t, s)
		}
		time.Sleep(firstRest)
		e.speak = slow(time.Second)
		render(t, s, "Первое предложение. Второе предложение. Третье предложение.", "")
		if !s.Engines()[0].Since.IsZero() {
			t.Error("it works and is left alone")
		}
	})
}

func TestWhatAFailureMeansDecidesWhetherAnEngineIsLeftAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		asked int           // of six requests
		rest  time.Duration // after them
	}{
		"broken":                     {errors.New("no route"), failuresToRest, firstRest},
		"the text is at fault":       {fmt.Errorf("%w: no such letter", ErrText), 6, 0},
		"the request is at fault":    {&troubleError{kind: refused, err: errors.New("no such voice")}, 6, 0},
		"the program is missing":     {&troubleError{kind: absent, err: errors.New("not found")}, 6, 0},
		"the key is wrong":           {&troubleError{kind: denied, err: errors.New("401")}, 1, firstRest},
		"too many requests":          {&troubleError{kind: busy, after: 7 * time.Second, err: errors.New("429")}, 1, 7 * time.Second},
		"too many, without a time":   {&troubleError{kind: busy, err: errors.New("429")}, 1, firstRest},
		"too many, a day":            {&troubleError{kind: busy, after: 24 * time.Hour, err: errors.New("429")}, 1, longestAsked},
		"wrapped":                    {fmt.Errorf("x: %w", &troubleError{kind: denied, err: errors.New("401")}), 1, firstRest},
		"a request cannot be served": {&troubleError{kind: broken, err: errors.New("500")}, failuresToRest, firstRest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFailing("fake")
				e.err = tt.err
				s := newService(t, &e.fakeEngine, nil)
				for i := range 6 {
					_, _ = s.Render(t.Context(), fmt.Sprint("Заказ ", i), "")
				}
				state := s.Engines()[0]
				if e.count() != tt.asked || state.Until.Sub(state.Since) != tt.rest {
					t.Errorf("asked %d times, then left alone for %v", e.count(), state.Until.Sub(state.Since))
				}
			})
		})
	}
}

func TestFailuresAtTheSameTimeOpenABreakerOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{speak: slow(time.Hour)}
		s := newService(t, e, func(c *Config) { c.Parallel, c.Timeout = 20, time.Second })
		var callers sync.WaitGroup
		for i := range 20 {
			callers.Go(func() { _, _ = s.Render(t.Context(), fmt.Sprint("Заказ ", i), "") })
		}
		callers.Wait()
		if state := s.Engines()[0]; e.count() != 20 || state.Until.Sub(state.Since) != firstRest {
			t.Errorf("asked %d times, left alone for %v", e.count(), state.Until.Sub(state.Since))
		}
	})
}

func TestARestingEngineCostsItsStandInNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &fakeEngine{name: "first", speak: slow(time.Hour)}, &fakeEngine{name: "second"}
		s := newService(t, first, func(c *Config) {
			c.Limits = map[string]Limits{"first": {Timeout: 2 * time.Second, Parallel: 1}}
			c.Engines = append(c.Engines, second)
			c.Voices["carla"] = Voice{Engine: "second", Voice: "c", Language: "ru"}
		})
		began := time.Now()
		var callers sync.WaitGroup
		for i := range 20 { // they wait in line for the first engine
			callers.Go(func() { render(t, s, fmt.Sprint("Заказ ", i), "anna") })
		}
		callers.Wait()
		if took := time.Since(began); took != failuresToRest*2*time.Second || first.count() != failuresToRest {
			t.Errorf("took %v, asked %d times", took, first.count())
		}
		began = time.Now()
		render(t, s, "Следующий", "anna")
		if time.Since(began) != 0 {
			t.Errorf("took %v", time.Since(began))
		}
	})
}
