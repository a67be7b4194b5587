package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hidden = "correct-horse-battery"

func TestSecretNeverShowsItself(t *testing.T) {
	cfg := Default()
	cfg.HTTP.Keys = []APIKey{{Name: "site", Key: NewSecret(hidden)}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%10s"} {
		fmt.Fprintf(&out, verb+"\n", cfg)
		fmt.Fprintf(&out, verb+"\n", cfg.HTTP.Keys)
		fmt.Fprintf(&out, verb+"\n", cfg.HTTP.Keys[0].Key)
		fmt.Fprintf(&out, verb+"\n", &cfg.HTTP.Keys[0].Key)
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", cfg.HTTP.Keys[0].Key, "cfg", cfg)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", cfg.HTTP.Keys[0].Key, "cfg", cfg)
	hex := fmt.Sprintf("%x", hidden)
	if s := out.String(); strings.Contains(s, hidden) || strings.Contains(strings.ToLower(s), hex) || !strings.Contains(s, "***") {
		t.Errorf("shown: %s", s)
	}
	if cfg.HTTP.Keys[0].Key.Reveal() != hidden {
		t.Error("Reveal does not return the value")
	}
}

func TestSecretsComeFromEnvironmentFilesOrTheText(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("unix", hidden+"\n")
	write("dos", hidden+"\r\n")
	write("two", hidden+"\n\n")
	write("empty", "\n")
	write("large", strings.Repeat("x", maxSecret+1))
	t.Setenv("PEREZVON_TEST_KEY", hidden)
	for text, want := range map[string]string{
		"env:PEREZVON_TEST_KEY":              "",
		"file:unix":                          "",
		"file:dos":                           "",
		"file:" + filepath.Join(dir, "unix"): "",
		hidden:                               "",
		"file:two":                           "line break",
		"file:empty":                         "is empty",
		"file:large":                         "larger than",
		"file:":                              "needs a path",
		"file:.":                             "is a directory",
		"env:":                               "not set",
	} {
		yaml := fmt.Sprintf("http: {keys: [{name: site, scopes: [read], key: %q}]}\n", text)
		cfg, err := Parse(filepath.Join(dir, "perezvon.yaml"), []byte(yaml), Sources{})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want == "" && cfg.HTTP.Keys[0].Key.Reveal() != hidden:
			t.Errorf("%s: another value", text)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v; want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), hidden):
			t.Errorf("%s: shown: %v", text, err)
		}
	}
}

func TestSourcesReplaceEnvironmentAndDisk(t *testing.T) {
	var asked string
	src := Sources{
		Env:  func(string) (string, bool) { return "", false },
		File: func(path string) ([]byte, error) { asked = path; return nil, fs.ErrPermission },
	}
	const yaml = "http: {keys: [{name: a, scopes: [read], key: 'file:k'}, {name: b, scopes: [read], key: 'env:HOME'}]}\n"
	_, err := Parse("/etc/perezvon/perezvon.yaml", []byte(yaml), src)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 2 || asked != "/etc/perezvon/k" {
		t.Errorf("asked %q, got %v", asked, err)
	}
}
