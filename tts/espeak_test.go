package tts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"perezvon/media/g711"
)

// script is a stand-in for espeak-ng.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "espeak")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// installed fails the test where espeak-ng is missing: speech that was never
// heard is not tested.
func installed(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(espeakProgram); err != nil {
		t.Fatalf("this test speaks with the real %s: apt-get install espeak-ng (%v)", espeakProgram, err)
	}
}

func TestRealRussianSpeechIsReadyToPlay(t *testing.T) {
	installed(t)
	s, err := New(Config{
		Engines:  []Engine{NewESpeak("local", "")},
		Voices:   map[string]Voice{"ruinternalfemale": {Engine: "local", Voice: "ru+f3", Language: "ru"}},
		CacheDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	clip := render(t, s, "Перезвоните клиенту Ивану по поводу заказа 1532.", "ruinternalfemale")
	t.Logf("%v of speech", clip.Duration())
	if clip.Duration() < time.Second || clip.Duration() > 20*time.Second {
		t.Errorf("duration %v", clip.Duration())
	}
	for _, law := range []g711.Law{g711.ALaw, g711.ULaw} {
		pcm := pcmOf(clip, law)
		level, top := activeLevel(pcm), peak(pcm)
		t.Logf("%v: %.1f dB, peak %.1f dB", law, level, top)
		if level < targetLevel-6 || level > targetLevel+0.5 || top > peakLevel+0.5 {
			t.Errorf("%v: level %.1f dB, peak %.1f dB", law, level, top)
		}
		if lead := activeLevel(pcm[:g711.SampleRate/2]); lead < silentLevel {
			t.Errorf("%v: dead air at the beginning, %.1f dB", law, lead)
		}
	}
	for _, id := range Phrases() {
		for _, language := range []string{"ru", "en"} {
			clip := render(t, s, Phrase(language, id), "")
			if clip.Duration() > 8*time.Second {
				t.Errorf("%s %s takes %v", language, id, clip.Duration())
			}
		}
	}
}

func TestRealEngineNamesAVoiceItDoesNotHave(t *testing.T) {
	installed(t)
	e := NewESpeak("local", "")
	_, _, err := e.Synthesize(t.Context(), Request{Text: "Привет", Voice: "xx-nowhere"})
	if err == nil || !strings.Contains(err.Error(), "voice does not exist") {
		t.Errorf("got %v", err)
	}
	if err := e.Check(t.Context(), []string{"ru", "xx-nowhere"}); err == nil || !strings.Contains(err.Error(), `"xx-nowhere"`) {
		t.Errorf("Check says %v", err)
	}
}

func TestRealEngineSpeaksHostileTextAsText(t *testing.T) {
	installed(t)
	e := NewESpeak("local", "")
	for _, text := range []string{
		"$(touch pwned) `id` ; rm -rf x", "-f /etc/passwd", `<break time="9999s"/> слово`, "[[[[h'EloU]]]] слово", "'\"\\ слово",
	} {
		pcm, rate, err := e.Synthesize(t.Context(), Request{Text: text, Voice: "ru"})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if d := time.Duration(len(pcm)) * time.Second / time.Duration(rate); d > 30*time.Second {
			t.Errorf("%q takes %v", text, d)
		}
	}
	if _, err := os.Stat("pwned"); err == nil {
		t.Error("the text reached a shell")
	}
}

func TestTooMuchSpeechIsRefusedNotCollected(t *testing.T) {
	installed(t)
	s := newService(t, &fakeEngine{}, func(c *Config) {
		c.Engines = []Engine{NewESpeak("local", "")}
		c.Voices = map[string]Voice{"anna": {Engine: "local", Voice: "ru", Language: "ru"}}
		c.MaxText = 4000
	})
	_, err := s.Render(t.Context(), strings.Repeat("7777 ", 800), "")
	if !errors.Is(err, ErrText) || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func TestMissingEngineSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", "/nonexistent/bin")
	s := newService(t, &fakeEngine{}, func(c *Config) {
		c.Engines = []Engine{NewESpeak("local", "")}
		c.Voices = map[string]Voice{"anna": {Engine: "local", Voice: "ru+f3", Language: "ru"}}
	})
	_, renderErr := s.Render(t.Context(), "Привет", "")
	for _, err := range []error{renderErr, s.Check(t.Context())} {
		if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "apt-get install espeak-ng") ||
			!strings.Contains(err.Error(), "/nonexistent/bin") {
			t.Errorf("got %v", err)
		}
	}
	e := NewESpeak("local", "/opt/none/espeak-ng")
	if err := e.Check(t.Context(), []string{"ru"}); err == nil || !strings.Contains(err.Error(), "/opt/none/espeak-ng") {
		t.Errorf("got %v", err)
	}
}

func TestEngineTroubleIsToldWithItsOwnWords(t *testing.T) {
	for say, body := range map[string]string{
		"exit status 3: no data folder, see manual": `printf 'no data\nfolder, see  manual\n' >&2; exit 3`,
		"does not begin with RIFF":                  `echo hello`,
		"signal: killed":                            `kill -9 $$`,
		"exit status 4: xxxxxxxx":                   `head -c 100000 /dev/zero | tr '\0' x >&2; exit 4`,
	} {
		_, _, err := NewESpeak("local", script(t, body)).Synthesize(t.Context(), Request{Text: "Привет", Voice: "ru"})
		if err == nil || !strings.Contains(err.Error(), say) || len(err.Error()) > 5000 {
			t.Errorf("got %.200v, want it to say %q", err, say)
		}
	}
}

func TestEndlessOutputIsCutOff(t *testing.T) {
	e := NewESpeak("local", script(t, `exec cat /dev/zero`))
	if _, _, err := e.Synthesize(t.Context(), Request{Text: "Привет", Voice: "ru"}); err == nil || errors.Is(err, ErrText) || !strings.Contains(err.Error(), "more than 32 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestTextVoiceAndEnvironmentReachTheProgram(t *testing.T) {
	t.Setenv("PEREZVON_SECRET", "hidden")
	e := NewESpeak("local", script(t, `echo "args: $*" >&2; cat >&2; env >&2; exit 1`))
	_, _, err := e.Synthesize(t.Context(), Request{Text: "Привет, Анна", Voice: "ru+f3"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"args: -v ru+f3 -b 1 --stdin --stdout", "Привет, Анна", "PATH="} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Error("the program saw a secret")
	}
}

func TestCancellingKillsTheProgramAndItsChildren(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	// The child holds the pipes open, so waiting for the parent alone hangs.
	e := NewESpeak("local", script(t, fmt.Sprintf("sleep 300 &\necho $! > %[1]s.new && mv %[1]s.new %[1]s\nwait", pidFile)))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("manager hung up")
	result := make(chan error, 1)
	go func() {
		_, _, err := e.Synthesize(ctx, Request{Text: "Привет", Voice: "ru"})
		result <- err
	}()
	pid := waitForPID(t, pidFile)
	cancel(gone)
	select {
	case err := <-result:
		if !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the engine did not return")
	}
	until(t, "the child is gone", func() bool { return !alive(pid) })
}

func waitForPID(t *testing.T, file string) int {
	t.Helper()
	var pid int
	until(t, "the program has begun", func() bool {
		b, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

// alive is false for a process that is dead but not yet collected, too.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestRealEngineSpeaksMarkup(t *testing.T) {
	installed(t)
	s := newService(t, &fakeEngine{}, func(c *Config) {
		c.Engines = []Engine{NewESpeak("local", "")}
		c.Voices = map[string]Voice{"anna": {Engine: "local", Voice: "ru", Language: "ru"}, "fast": {Engine: "local", Voice: "ru", Language: "ru", Speed: 2}}
	})
	const words = "Ваш заказ готов & ждёт вас."
	plain := render(t, s, words, "").Duration()
	marked := render(t, s, `<speak>Ваш заказ <break time="2s"/> готов &amp; ждёт вас.</speak>`, "").Duration()
	if marked < plain+1500*time.Millisecond || marked > plain+4*time.Second {
		t.Errorf("two seconds of pause made %v of %v", marked, plain)
	}
	if fast := render(t, s, words, "fast").Duration(); fast > plain*3/4 {
		t.Errorf("twice as fast is %v instead of %v", fast, plain)
	}
}
