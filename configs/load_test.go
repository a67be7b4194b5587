package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

func TestFileThatIsNotThereIsToldWithOneThatIs(t *testing.T) {
	for _, load := range []func(string) (*Config, error){
		func(path string) (*Config, error) { return Load(path, Sources{}) }, LoadWithoutSecrets,
	} {
		_, err := load(filepath.Join(t.TempDir(), "no.yaml"))
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "configs/perezvon.example.yaml") {
			t.Errorf("%v", err)
		}
	}
}

func TestAddressesAreReadWithoutTheSecrets(t *testing.T) {
	const text = `
http:
  listen: 0.0.0.0:9090
  keys:
    - {name: a, key: "env:PEREZVON_TEST_NOT_SET", scopes: [admin]}
    - {name: b, key: "file:not/there", scopes: [admin]}
`
	file := filepath.Join(t.TempDir(), "perezvon.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := LoadWithoutSecrets(file); err != nil || cfg.HTTP.Listen.Port() != 9090 {
		t.Errorf("%v", err)
	}
	if _, err := Load(file, Sources{}); err == nil {
		t.Error("loaded without its secrets")
	}
}

func TestValidFilesLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		if _, err := Load(f, Sources{}); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestMissingFileIsNotAMistakeInIt(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), Sources{})
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

func TestTrunkIsAskedEvery30SecondsUnlessToldOtherwise(t *testing.T) {
	const text = `
trunks:
  - {name: a, host: sip.example.net}
  - {name: b, host: sip.example.net, options: 2m, expires: 90s}
  - {name: c, host: sip.example.net, options: off}
`
	cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ options, expires time.Duration }{{30 * time.Second, time.Hour}, {2 * time.Minute, 90 * time.Second}, {0, time.Hour}}
	for i, w := range want {
		if got := &cfg.Trunks[i]; got.OptionsEvery() != w.options || got.Expires != w.expires {
			t.Errorf("%s: options %s, expires %s", got.Name, got.OptionsEvery(), got.Expires)
		}
	}
	if every := new(Trunk).OptionsEvery(); every != 0 {
		t.Errorf("a trunk that says nothing is asked every %s", every)
	}
}

func TestAddressOfTheAPIIsFoundInAFileWithMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"http: {listen: 127.0.0.1:8099, keys: 5}\nhtp: {}\n":       "127.0.0.1:8099",
		"http: {listen: 0.0.0.0:80}\n":                             "0.0.0.0:80", // without keys
		"http: {listen: here}\n":                                   "",
		"http: {}\nhtp: {}\n":                                      "",
		"http: {listen: 127.0.0.1:8099}\nlines: [\n":               "",
		"http: {listen: 127.0.0.1:8099, listen: 127.0.0.1:8098}\n": "",
		"": "",
	} {
		path := filepath.Join(t.TempDir(), "perezvon.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at, ok := Address(path)
		if ok != (want != "") || ok && at.String() != want {
			t.Errorf("%q: %v, %t", text, at, ok)
		}
	}
	if _, ok := Address(filepath.Join(t.TempDir(), "none.yaml")); ok {
		t.Error("there is no file")
	}
}

func TestMusicIsInTheFolderOfTheConfiguration(t *testing.T) {
	for given, want := range map[string]string{"music.wav": filepath.Join("etc", "music.wav"), "/srv/music.wav": "/srv/music.wav", `""`: ""} {
		cfg, err := Parse(filepath.Join("etc", "perezvon.yaml"), []byte("music: "+given+"\n"), Sources{})
		if err != nil || cfg.Music != want {
			t.Errorf("%s: %q, %v", given, cfg.Music, err)
		}
	}
}

func TestSoundsThatCannotBePlayedAreMistakesOfTheFile(t *testing.T) {
	const text = `
music: none.wav
trunks: [{name: a, host: 192.0.2.1}]
lines:
  - id: main
    number: "+74950000000"
    trunks: [a]
    route:
      - announce: {sound: noise.wav}
      - announce: {sound: fine.wav}
`
	_, err := Parse("etc/perezvon.yaml", []byte(text), Sources{Sound: func(path string) error {
		switch path {
		case "etc/none.wav":
			return fmt.Errorf("read sound: %w", &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist})
		case "etc/noise.wav":
			return fmt.Errorf("read sound %s: it is no WAV file", path)
		}
		return nil
	}})
	want := "etc/perezvon.yaml:2:8: music: sound file etc/none.wav: file does not exist; write the path of one that is there\n" +
		"etc/perezvon.yaml:9:27: lines[0].route[0].announce.sound: read sound etc/noise.wav: it is no WAV file; give a WAV file of PCM or G.711, from 0.1 s to 5 minutes"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
