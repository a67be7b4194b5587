package tts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/media/wav"
)

// speaking writes a WAV file and returns a script's line that prints it.
func speaking(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "speech.wav")
	if err := os.WriteFile(path, wav.Mono(tone(16000, 1, 0.3), 16000), 0o600); err != nil {
		t.Fatal(err)
	}
	return "cat '" + path + "'"
}

func command(t *testing.T, argv ...string) *Command {
	t.Helper()
	c, err := NewCommand("own", argv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACommandGetsTheTextAndGivesSound(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	c := command(t, script(t, fmt.Sprintf(`{ for a in "$@"; do echo "<$a>"; done; cat; } > '%s'; %s`, seen, speaking(t))),
		"--voice={voice}", "{language}", "{role}", "{speed}", "$(id) `id` {other}")
	text := "Привет; rm -rf $HOME `id`"
	pcm, rate, err := c.Synthesize(t.Context(), Request{Text: text, Voice: "an na", Language: "ru", Speed: 1.25})
	if err != nil || rate != 16000 || len(pcm) != 16000 {
		t.Fatalf("%d samples of %d Hz, %v", len(pcm), rate, err)
	}
	got, err := os.ReadFile(seen)
	if want := "<--voice=an na>\n<ru>\n<>\n<1.25>\n<$(id) `id` {other}>\n" + text; err != nil || string(got) != want {
		t.Errorf("it saw %q, want %q (%v)", got, want, err)
	}
	_, _, err = c.Synthesize(t.Context(), Request{Text: "x"})
	if got, _ := os.ReadFile(seen); err != nil || !strings.Contains(string(got), "<1>") {
		t.Errorf("without a speed it saw %q, %v", got, err)
	}
}

func TestACommandThatFailsSaysWhy(t *testing.T) {
	t.Setenv("PEREZVON_SECRET", "hidden")
	for say, body := range map[string]string{
		"exit status 3: no model":   `echo "no model" >&2; exit 3`,
		"does not begin with RIFF":  `echo hello`,
		"ends too early":            speaking(t) + ` | head -c 5000`,
		"more than 32 MiB":          `exec cat /dev/zero`,
		"exit status 1: PWD= PATH=": `echo PWD= $(env | grep -v -e PWD -e SHLVL -e _= | grep -o '^[A-Z_]*=' | grep -e PATH -e SECRET) >&2; exit 1`,
	} {
		_, _, err := command(t, script(t, body)).Synthesize(t.Context(), Request{Text: "Привет"})
		if err == nil || !strings.Contains(err.Error(), say) || errors.Is(err, ErrText) {
			t.Errorf("got %.300v, want it to say %q", err, say)
		}
	}
}

func TestACommandIsKilledWithItsChildrenWhenItsTimeIsOver(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := newService(t, &fakeEngine{}, func(c *Config) {
		c.Engines = append(c.Engines, command(t, script(t, fmt.Sprintf("sleep 300 &\necho $! > %[1]s.new && mv %[1]s.new %[1]s\nwait", pidFile))))
		c.Voices["carla"] = Voice{Engine: "own", Voice: "c", Language: "de"}
		c.Limits = map[string]Limits{"own": {Timeout: time.Second}}
	})
	_, err := s.Render(t.Context(), "Hallo", "carla")
	if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "no sound within 1s") {
		t.Errorf("got %v", err)
	}
	pid := waitForPID(t, pidFile)
	until(t, "the child is gone", func() bool { return !alive(pid) })
}

func TestAMissingCommandIsNamed(t *testing.T) {
	c := command(t, "/opt/none/speak", "-x")
	_, _, err := c.Synthesize(t.Context(), Request{Text: "x"})
	for _, err := range []error{err, c.Check(context.Background(), nil)} {
		if err == nil || !strings.Contains(err.Error(), "/opt/none/speak cannot be started") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := NewCommand("own", nil); err == nil {
		t.Error("no command was taken")
	}
}

func TestTryingTellsHowEachEngineIs(t *testing.T) {
	good := command(t, script(t, speaking(t)))
	bad := &fakeEngine{name: "bad", speak: func(context.Context, Request) ([]int16, int, error) { return nil, 0, errors.New("no voice today") }}
	idle := &fakeEngine{name: "idle"}
	s := newService(t, bad, func(c *Config) {
		c.Engines = []Engine{good, bad, idle}
		c.Voices["carla"] = Voice{Engine: "own", Voice: "c", Language: "ru"}
	})
	got := s.Try(t.Context())
	if len(got) != 2 || got[0].Engine != "own" || got[0].Err != nil || got[0].Rate != 16000 || got[0].Voices != 1 {
		t.Errorf("%+v", got)
	}
	if got[1].Err == nil || got[1].Err.Error() != `voice "en-bob": no voice today` {
		t.Errorf("%+v", got[1])
	}
	if bad.requests[0].Text != Phrase(bad.requests[0].Language, phraseTrial) {
		t.Errorf("asked for %+v", bad.requests)
	}
}
