package tts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/media/g711"
)

// cached lists the files of a cache.
func cached(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameSound(a, b *g711.Clip) bool {
	return bytes.Equal(a.Bytes(g711.ALaw), b.Bytes(g711.ALaw)) && bytes.Equal(a.Bytes(g711.ULaw), b.Bytes(g711.ULaw))
}

func TestClipsOutliveTheService(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "cache")
	e := &fakeEngine{}
	inDir := func(c *Config) { c.CacheDir = dir }
	s := newService(t, e, inDir)
	before := render(t, s, "Привет", "")
	if render(t, s, "Привет", "") != before {
		t.Error("the second clip should be the very first one, from memory")
	}
	_ = s.Close()
	after := render(t, newService(t, e, inDir), "Привет", "")
	if e.count() != 1 {
		t.Errorf("%d syntheses", e.count())
	}
	if !sameSound(before, after) {
		t.Error("the sound on disk differs")
	}
}

func TestEveryPartOfTheRequestIsInTheKey(t *testing.T) {
	key := func(e Engine, text string, v Voice) cacheKey {
		return newSpeaker(newMember(e, Limits{}, &Config{Logger: slog.New(slog.DiscardHandler)}), v).keyOf(text)
	}
	a, b := &fakeEngine{name: "a"}, &fakeEngine{name: "b"}
	keys := []cacheKey{
		key(a, "text", Voice{Voice: "voice", Language: "ru"}),
		key(b, "text", Voice{Voice: "voice", Language: "ru"}),
		key(a, "texts", Voice{Voice: "voice", Language: "ru"}),
		key(a, "text", Voice{Voice: "voices", Language: "ru"}),
		key(a, "text", Voice{Voice: "voice", Language: "en"}),
		key(a, "text", Voice{Voice: "voic", Language: "eru"}),
		key(a, "", Voice{Voice: "voice", Language: "rutext"}),
		key(a, "text", Voice{Voice: "voice", Language: "ru", Role: "friendly"}),
		key(a, "text", Voice{Voice: "voice", Language: "ru", Speed: 1.2}),
		key(model{a, "small"}, "text", Voice{Voice: "voice", Language: "ru"}),
		key(model{a, "large"}, "text", Voice{Voice: "voice", Language: "ru"}),
		key(a, strings.Repeat("text", 1000), Voice{Voice: "voice", Language: "ru"}),
	}
	for i, k := range keys {
		if slices.Contains(keys[:i], k) {
			t.Errorf("key %d is that of another request", i)
		}
	}
}

// model is an engine whose sound depends on more than the request.
type model struct {
	Engine
	name string
}

func (m model) Variant() string { return m.name }

func TestDamagedCacheFilesAreRenderedAnew(t *testing.T) {
	damages := map[string]func([]byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"cut off":        func(b []byte) []byte { return b[:len(b)-1] },
		"header only":    func(b []byte) []byte { return b[:diskHeadLen] },
		"too long":       func(b []byte) []byte { return append(b, 0) },
		"flipped bit":    func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"zeros":          func(b []byte) []byte { return make([]byte, len(b)) },
		"another format": func(b []byte) []byte { b[7] = '9'; return b },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := &fakeEngine{}
			var log bytes.Buffer
			open := func(c *Config) {
				c.CacheDir = dir
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}
			s := newService(t, e, open)
			want := render(t, s, "Привет", "")
			_ = s.Close()
			files := cached(t, dir)
			if len(files) != 1 {
				t.Fatalf("files %q", files)
			}
			good, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files[0], damage(slices.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			s = newService(t, e, open)
			got := render(t, s, "Привет", "")
			_ = s.Close()
			if e.count() != 2 || !sameSound(got, want) || !strings.Contains(log.String(), "damaged") {
				t.Errorf("%d syntheses, log %q", e.count(), log.String())
			}
			if mended, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(mended, good) {
				t.Errorf("the file was not put right: %v", err)
			}
		})
	}
}

func TestUnusableCacheWarnsAndSpeechWorks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := &fakeEngine{}
	var log bytes.Buffer
	s := newService(t, e, func(c *Config) {
		c.CacheDir = filepath.Join(file, "cache")
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	render(t, s, "Привет", "")
	render(t, s, "Привет", "")
	_ = s.Close()
	if e.count() != 1 {
		t.Errorf("%d syntheses: memory should still serve", e.count())
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "a-file") {
		t.Errorf("log %q", log.String())
	}
}

func TestFailedWriteLeavesNoHalfFiles(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(target, "child"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(target, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if files := cached(t, dir); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
}

func TestCacheOnDiskStaysWithinItsLimit(t *testing.T) {
	dir := t.TempDir()
	c := newDiskCache(dir, 100_000, slog.New(slog.DiscardHandler))
	key := func(i int) cacheKey { return sha256.Sum256([]byte(fmt.Sprint(i))) }
	clip := g711.NewClip(tone(8000, 0.5, 0.3)) // 8 kB
	ctx := context.Background()
	for i := range 40 {
		c.put(ctx, key(i), clip)
		old := time.Now().Add(time.Duration(i-100) * time.Minute)
		if err := os.Chtimes(c.path(key(i)), old, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if i > 0 && c.get(ctx, key(0)) == nil { // in use all the time
			t.Fatalf("the clip used last was removed after %d", i)
		}
	}
	if c.get(ctx, key(38)) == nil {
		t.Error("a young clip was removed")
	}
	if c.get(ctx, key(1)) != nil {
		t.Error("the oldest clip is still there")
	}
	var total int64
	for _, f := range cached(t, dir) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 120_000 {
		t.Errorf("%d bytes on disk", total)
	}
}

func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{tempPrefix + "old": 2 * staleTemp, tempPrefix + "young": 0, "stranger": 2 * staleTemp} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	newDiskCache(dir, 1000, slog.New(slog.DiscardHandler))
	want := []string{filepath.Join(dir, tempPrefix+"young"), filepath.Join(dir, "stranger")}
	if got := cached(t, dir); !slices.Equal(got, want) {
		t.Errorf("left: %q, want %q", got, want)
	}
}

func TestMemoryKeepsWhatWasUsedLast(t *testing.T) {
	clip := g711.NewClip(make([]int16, 100)) // 200 bytes
	c := newMemoryCache(1000)
	for i := range byte(5) {
		c.put(cacheKey{i}, clip)
	}
	c.get(cacheKey{0})
	c.put(cacheKey{5}, clip)
	c.put(cacheKey{5}, clip)
	for i := range byte(6) {
		if got := c.get(cacheKey{i}) != nil; got != (i != 1) {
			t.Errorf("clip %d kept: %v", i, got)
		}
	}
	c.put(cacheKey{9}, g711.NewClip(make([]int16, 501)))
	if c.get(cacheKey{9}) != nil || c.used != 1000 {
		t.Errorf("a clip beyond the limit was kept, %d bytes", c.used)
	}
}
