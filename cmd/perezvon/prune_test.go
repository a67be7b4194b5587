package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/keep"
	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
)

// aged is a store with a recorded call that ended ten days ago, and its
// configuration.
func aged(t *testing.T) (cfg *configs.Config, file, recording string) {
	t.Helper()
	cfg = configs.Default()
	cfg.DataDir = t.TempDir()
	cfg.Recordings.Dir = filepath.Join(cfg.DataDir, "recordings")
	file = filepath.Join(cfg.DataDir, "perezvon.db")
	db, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-10 * 24 * time.Hour)
	c := store.Call{ID: fmt.Sprintf("%032x", 1), State: store.StateEnded, CreatedAt: at, EndedAt: &at}
	c.Recording = &store.Recording{File: at.UTC().Format(time.DateOnly) + "/" + c.ID + ".wav"}
	recording = filepath.Join(cfg.Recordings.Dir, c.Recording.File)
	err = errors.Join(db.SaveCall(c).Wait(t.Context()), db.Close(),
		os.MkdirAll(filepath.Dir(recording), 0o750), os.WriteFile(recording, make([]byte, 2048), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return cfg, file, recording
}

func TestPruneRemovesWhatADryRunSaid(t *testing.T) {
	cfg, file, recording := aged(t)
	for _, look := range []func() (keep.Report, error){
		func() (keep.Report, error) { return wouldGo(t.Context(), cfg, placed(t, file)) },
		func() (keep.Report, error) { return letGo(t.Context(), cfg, placed(t, file)) },
	} {
		if r, err := look(); err != nil || r != (keep.Report{}) {
			t.Errorf("%+v, error %v, though nothing was told to go", r, err)
		}
	}
	cfg.Calls.Keep = 7 * 24 * time.Hour
	want := keep.Report{Expired: store.Expired{Calls: 1}, Recordings: 1, Bytes: 2048}
	if r, err := wouldGo(t.Context(), cfg, placed(t, file)); err != nil || r != want {
		t.Errorf("would remove %+v, error %v", r, err)
	}
	if _, err := os.Stat(recording); err != nil {
		t.Errorf("after a dry run: %v", err)
	}
	if r, err := letGo(t.Context(), cfg, placed(t, file)); err != nil || r != want {
		t.Errorf("removed %+v, error %v", r, err)
	}
	if _, err := os.Stat(recording); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the recording: %v", err)
	}
	if r, err := wouldGo(t.Context(), cfg, placed(t, file)); err != nil || r != (keep.Report{}) {
		t.Errorf("afterwards %+v would go, error %v", r, err)
	}
}

func TestPruneLeavesARunningServerItsStore(t *testing.T) {
	cfg, file, _ := aged(t)
	cfg.Recordings.Keep = time.Hour
	db, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := letGo(t.Context(), cfg, placed(t, file)); err == nil || !strings.Contains(err.Error(), "--dry-run") {
		t.Errorf("error %v", err)
	}
	if r, err := wouldGo(t.Context(), cfg, placed(t, file)); err != nil || r.Recordings != 1 {
		t.Errorf("%+v, error %v", r, err)
	}
}

func TestPruneOfNoStoreMakesNone(t *testing.T) {
	cfg := configs.Default()
	cfg.DataDir = t.TempDir()
	file := filepath.Join(cfg.DataDir, "perezvon.db")
	if _, err := wouldGo(t.Context(), cfg, placed(t, file)); err == nil || !strings.Contains(err.Error(), "there is no store") {
		t.Errorf("dry run: %v", err)
	}
	if _, err := letGo(t.Context(), cfg, placed(t, file)); err == nil || !strings.Contains(err.Error(), "there is no store") {
		t.Errorf("error %v", err)
	}
	if found, err := os.ReadDir(cfg.DataDir); err != nil || len(found) > 0 {
		t.Errorf("%v, error %v", found, err)
	}
}

func TestPruneRemovesFromRedis(t *testing.T) {
	cfg, file, recording := aged(t)
	at := placed(t, redisAt(t))
	if report, err := copyStore(t.Context(), placed(t, file), at, false); err != nil || !report.Same {
		t.Fatalf("%+v, error %v", report, err)
	}
	cfg.DataDir = t.TempDir() // of another machine, which has the recordings
	cfg.Recordings.Keep, cfg.Calls.Keep = 7*24*time.Hour, 7*24*time.Hour
	want := keep.Report{Expired: store.Expired{Calls: 1}, Recordings: 1, Bytes: 2048}
	if r, err := wouldGo(t.Context(), cfg, at); err != nil || r != want {
		t.Errorf("would remove %+v, error %v", r, err)
	}
	if r, err := letGo(t.Context(), cfg, at); err != nil || r != want {
		t.Errorf("removed %+v, error %v", r, err)
	}
	if _, err := os.Stat(recording); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the recording: %v", err)
	}
	if r, err := wouldGo(t.Context(), cfg, at); err != nil || r != (keep.Report{}) {
		t.Errorf("afterwards %+v would go, error %v", r, err)
	}
}

func TestWhatHasGoneIsCountedInWords(t *testing.T) {
	r := keep.Report{Expired: store.Expired{Calls: 1, Events: 2}, Recordings: 3, Bytes: 5 << 30}
	if got := goneWords(&r); got != "1 call, 3 recordings (5.0 GiB), 2 events of no call" {
		t.Errorf("%q", got)
	}
	r = keep.Report{Expired: store.Expired{Traces: 1}, Bytes: 12}
	if got := goneWords(&r); got != "0 calls, 0 recordings (12 bytes), 0 events of no call, 1 trace" {
		t.Errorf("%q", got)
	}
}
