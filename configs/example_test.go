package configs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perezvon/internal/certtest"
)

// exampleSources has every environment variable and every file that the example
// names.
func exampleSources() Sources {
	pair := certtest.NewCA("Test").Issue("pbx.example.net")
	files := map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key, "provider-ca.pem": pair.Cert}
	return Sources{
		Env: func(name string) (string, bool) { return "value-of-" + name, true },
		File: func(path string) ([]byte, error) {
			if data, ok := files[filepath.Base(path)]; ok {
				return data, nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

// commented matches a key that the example shows as a comment.
var commented = regexp.MustCompile(`(?m)^(\s*)# ((?:- )?[a-z_]+: \S.*)$`)

func TestExampleIsValidAndItsCommentedKeysToo(t *testing.T) {
	shown, err := Parse("perezvon.yaml", []byte(Example), exampleSources())
	if err != nil {
		t.Fatal(err)
	}
	if w := shown.Warnings(); len(w) > 0 {
		t.Errorf("the example is warned of: %q", w)
	}
	if _, err := Parse("perezvon.yaml", []byte(uncommented()), exampleSources()); err != nil {
		t.Errorf("with all keys:\n%v", err)
	}
}

func TestConfigurationInTheReadmeIsValid(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n```yaml\n")
	text, _, ok := strings.Cut(text, "\n```\n")
	if !ok {
		t.Fatal("there is none")
	}
	cfg, err := Parse("perezvon.yaml", []byte(text), exampleSources())
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.Warnings(); len(w) > 0 {
		t.Errorf("it is warned of: %q", w)
	}
}

func TestConfigurationsOfThePagesAreValid(t *testing.T) {
	for _, page := range []string{"../README.md", "../docs/speech.md"} {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(data), "\n```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has none", page)
		}
		for _, block := range blocks {
			text, _, _ := strings.Cut(block, "\n```\n")
			if _, err := Parse("perezvon.yaml", []byte(text), exampleSources()); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

func TestUnitInTheReadmeHasNoCommentBehindAValue(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n```ini\n")
	text, _, ok := strings.Cut(text, "\n```\n")
	if !ok {
		t.Fatal("there is no unit")
	}
	for line := range strings.Lines(text) { // systemd.syntax(7): it would be a part of the value
		if strings.Contains(line, "=") && strings.Contains(line, "#") && !strings.HasPrefix(line, "#") {
			t.Errorf("%s", line)
		}
	}
}

// uncommented is the example with every key in use.
func uncommented() string { return commented.ReplaceAllString(Example, "$1$2") }

func TestExampleShowsEveryKey(t *testing.T) {
	d := &decoder{src: exampleSources(), places: map[string]place{}, failed: map[string]bool{}}
	root, derr := d.document([]byte(uncommented()))
	if derr != nil {
		t.Fatal(derr)
	}
	d.decode(root, Default())
	seen := map[string]bool{}
	index := regexp.MustCompile(`\[\d+\]`)
	voice := regexp.MustCompile(`^tts\.voices\.[a-z]+`)
	for path := range d.places {
		seen[voice.ReplaceAllString(index.ReplaceAllString(path, ""), "tts.voices")] = true
	}
	// A line's timers are those of the file, its other steps those of a route,
	// shown there.
	for _, key := range append(allKeys(reflect.TypeFor[Config](), ""), "lines.otherwise") {
		if !seen[key] && !strings.HasPrefix(key, "lines.callback.") && !strings.HasPrefix(key, "lines.otherwise.") {
			t.Errorf("key %s is not in the example", key)
		}
	}
}

// allKeys returns the path of every key of the configuration without indexes.
func allKeys(t reflect.Type, path string) []string {
	if _, leaf := leaves[t]; leaf {
		return []string{path}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return allKeys(t.Elem(), path)
	case reflect.Struct:
		var keys []string
		for f := range t.Fields() {
			keys = append(keys, allKeys(f.Type, join(path, f.Tag.Get("yaml")))...)
		}
		return keys
	}
	panic(fmt.Sprintf("no leaf for %s at %s", t, path))
}

func TestDefaultsOfTheExampleAreTheDefaults(t *testing.T) {
	shown, err := Parse("perezvon.yaml", []byte(Example), exampleSources())
	if err != nil {
		t.Fatal(err)
	}
	def := Default()
	if diff := cmp.Diff(def.Callback, shown.Callback); diff != "" {
		t.Errorf("callback (-default +example):\n%s", diff)
	}
	if diff := cmp.Diff(def.TTS, shown.TTS); diff != "" {
		t.Errorf("tts (-default +example):\n%s", diff)
	}
	if def.Media.Ports != shown.Media.Ports || def.Drain != shown.Drain || def.Limits.MaxCall != shown.Limits.MaxCall ||
		def.Limits.PerNumber != shown.Limits.PerNumber || def.HTTP.Listen != shown.HTTP.Listen || def.Recordings != shown.Recordings || def.Store != shown.Store {
		t.Errorf("defaults differ: %+v\n%+v", def, shown)
	}
}

func TestSummaryTellsWhatEachLineDoesAndNoSecret(t *testing.T) {
	cfg, err := Parse(filepath.Join("etc", "perezvon.yaml"), []byte(Example), exampleSources())
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Summary()
	want := `data       ./data (sqlite), recordings in data/recordings
kept       all calls and recordings
api        http://127.0.0.1:8080, keys of site, ops
sip        udp://0.0.0.0:5060, public address auto
media      ports 20000-39999, 10000 pairs, enough for 5000 calls of two pairs each; PCMA, PCMU
numbers    read as in RU; dialled: RU, !+7840, !+7940
speech     ruinternalfemale, one of 48; engines local (espeak)
trunk      provider: sip.example.net, registers as 74950000000, numbers as plus; calls come from whatever sip.example.net resolves to
trunk      pbx: 192.0.2.10:5060, numbers as raw; calls come from 192.0.2.10
extension  201 Anna: phones that register
extension  202 Boris: sip:202@192.0.2.22:5060
line       main: +74950000000 through provider; rings 201 for 15s, then rings 201 and 202 together for 25s, then rings +79160000000 for 25s and asks for a key, then passes 300 to pbx, then refuses with 480
hours      main: Mon-Fri 09:00-18:00, Sat 10:00-14:00 in Europe/Moscow but for 2 holidays; else rings +79160000002 for 25s and asks for a key, then refuses with 480
line       through: 9* through pbx; passes the dialled number to provider
outgoing   phones may dial numbers that begin with 9, 1 taken off, through the phone's line
outgoing   201, 202 may dial numbers that begin with 3 through line through
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(got, "value-of") {
		t.Error("shows a secret")
	}
}

func TestSummaryTellsWhatIsSetForAnExtension(t *testing.T) {
	cfg, err := Parse("perezvon.yaml", []byte(`extensions: [{number: "201", password: a-long-password, srtp: mandatory, dnd: true}, {number: "202", contact: "sip:202@192.0.2.22:5060"}]`), Sources{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"201: phones that register, srtp mandatory, do not disturb\n", "202: sip:202@192.0.2.22:5060\n"} {
		if got := cfg.Summary(); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
