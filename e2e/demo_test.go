package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestDemoShowsACallbackItsRecordingAndAnInformationalCall(t *testing.T) {
	t.Parallel()
	need(t, "espeak-ng")
	dir := t.TempDir()
	p := launch(t, "perezvon demo", dir, os.Environ(), program, "demo", "--once")
	if status := p.exit(90 * time.Second); status != 0 {
		t.Errorf("the exit status is %d, want 0", status)
	}
	found := regexp.MustCompile(`(?m)^Recording: (.+\.wav)$`).FindStringSubmatch(p.out.String())
	if found == nil {
		t.Fatal("the output names no recording")
	}
	if !regexp.MustCompile(`(?m)^✓ the process got Y: Успешно \(200\), heard [0-9.]+ s, keys 1$`).MatchString(p.out.String()) {
		t.Error("the informational call was not heard, or its key did not come")
	}
	path := found[1]
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	sides := channels(t, path)
	if len(sides) != 2 || len(sides[0]) < 3*8000 {
		t.Errorf("the recording has %d channels and %d samples, want 2 and 3 s at least", len(sides), len(sides[0]))
	}
}
