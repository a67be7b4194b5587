package configs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEmptyFileGivesTheDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing yet\n", "lines:\ntrunks:\nhttp:\n", "\ufeff"} {
		cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(Default(), cfg, cmp.Comparer(sameAddr)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestValidFilesLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		if _, err := Load(f); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestMissingFileIsNotAMistakeInIt(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestLineTakesTimersItDoesNotSetFromTheFile(t *testing.T) {
	const text = `
lines:
  - id: main
    number: "+74950000000"
    trunks: [provider]
    route: [hangup: {code: 480}]
    callback: {attempts: 1}
trunks: [{name: provider, host: sip.example.net}]
callback: {ring: 11s, retry: [1m]}
`
	cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.CallbackOf(cfg.Line("main"))
	if got.Attempts != 1 || got.Ring != 11*time.Second || len(got.Retry) != 1 || got.CustomerRing != 40*time.Second {
		t.Errorf("line's timers: %+v", got)
	}
	if cfg.Callback.Attempts != 3 {
		t.Errorf("file's attempts: %d", cfg.Callback.Attempts)
	}
}
