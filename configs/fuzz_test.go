package configs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(Example))
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/invalid/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("a: &a [1]\nb: [*a, *a]\n"))
	f.Add([]byte(strings.Repeat("[", 2000)))
	src := Sources{
		Env:  func(string) (string, bool) { return hidden, true },
		File: func(string) ([]byte, error) { return []byte(hidden), nil },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("f.yaml", data, src)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("configuration %v and error %v", cfg, err)
		}
		if err == nil {
			_ = cfg.Warnings()
			if strings.Contains(cfg.Summary(), hidden) {
				t.Fatal("summary shows a secret")
			}
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		if strings.Contains(err.Error(), hidden) && !strings.Contains(string(data), hidden) {
			t.Fatal("error shows a secret")
		}
		ordered := slices.IsSortedFunc(errs, func(a, b Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		for _, e := range errs {
			if !ordered || e.Line < 1 || e.Column < 1 || e.Message == "" || strings.ContainsAny(e.Error(), "\n\r") {
				t.Fatalf("%q", e.Error())
			}
		}
	})
}
