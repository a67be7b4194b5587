package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/store/transfer"
)

// used is the folder of a store that holds a call with a trace and more.
func used(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	db := openStore(t, dir)
	c := store.Call{ID: fmt.Sprintf("%032x", 1), State: store.StateTalking, CreatedAt: time.Now()}
	err := errors.Join(
		db.SaveCall(c, store.Event{Type: "a"}, store.Event{Type: "b"}).Wait(t.Context()),
		db.SaveTrace(store.TracePart{CallID: c.ID, At: time.Now(), Data: []byte{0, 255}}).Wait(t.Context()),
		db.SaveBinding(store.Binding{ID: "101", Data: json.RawMessage(`{"a":1}`)}).Wait(t.Context()),
		db.SetDND(t.Context(), "101", true), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func openStore(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, storeFile), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func placed(t *testing.T, text string) place {
	t.Helper()
	p, err := placeOf(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAStoreIsNamedByItsFileOrItsFolder(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, storeFile)
	for text, want := range map[string]string{
		dir: file, "sqlite:" + dir: file, file: file, "sqlite:" + file: file, odd: odd,
		filepath.Join(dir, "new"): filepath.Join(dir, "new", storeFile), filepath.Join(dir, "new.db"): filepath.Join(dir, "new.db"),
	} {
		if p, err := placeOf(text); err != nil || p.file != want {
			t.Errorf("%s is %s, error %v", text, p.file, err)
		}
	}
	for _, text := range []string{"", "sqlite:", "postgres://host/db"} {
		if p, err := placeOf(text); err == nil {
			t.Errorf("%q is %s", text, p.file)
		}
	}
}

func TestAStoreIsCopiedAndCompared(t *testing.T) {
	from, to := placed(t, used(t)), placed(t, filepath.Join(t.TempDir(), "new"))
	if _, err := copyStore(t.Context(), from, to, true); err == nil || !strings.Contains(err.Error(), "there is no store at "+to.file) {
		t.Errorf("compared with nothing: error %v", err)
	}
	for i, verifyOnly := range []bool{false, true} {
		report, err := copyStore(t.Context(), from, to, verifyOnly)
		if err != nil || !report.Same {
			t.Fatalf("run %d: %+v, error %v", i, report, err)
		}
		var rows []string
		for _, row := range copiedRows(report.Kinds) {
			rows = append(rows, strings.Join(row, " "))
		}
		want := "calls 1 1 yes, events 2 2 yes, parts of traces 1 1 yes, registrations 1 1 yes, do not disturb 1 1 yes, counters 2 2 yes"
		if got := strings.Join(rows, ", "); got != want {
			t.Errorf("run %d: %s", i, got)
		}
	}
	db := openStore(t, filepath.Dir(to.file))
	err := errors.Join(db.SetDND(t.Context(), "101", false), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	report, err := copyStore(t.Context(), from, to, true)
	if err != nil || report.Same {
		t.Errorf("after a change: %+v, error %v", report, err)
	}
	if err := tellCopied(&CLI{JSON: true}, report); !errors.Is(err, errTold) {
		t.Errorf("what is not the same ends with %v", err)
	}
}

func TestACopyRefusesWhatItWouldSpoilOrNotGetWhole(t *testing.T) {
	dir := used(t)
	from := placed(t, dir)
	full := placed(t, used(t))
	if _, err := copyStore(t.Context(), from, full, false); err == nil || !strings.Contains(err.Error(), full.file+" is not empty, and nothing was changed") {
		t.Errorf("into a store that is used: error %v", err)
	}
	missing := placed(t, filepath.Join(t.TempDir(), "missing"))
	if _, err := copyStore(t.Context(), missing, from, false); err == nil || !strings.Contains(err.Error(), "there is no store at") {
		t.Errorf("of nothing: error %v", err)
	}
	if _, err := os.Stat(filepath.Dir(missing.file)); !errors.Is(err, os.ErrNotExist) {
		t.Error("a store that was asked for was made")
	}
	db := openStore(t, dir)
	empty := placed(t, filepath.Join(t.TempDir(), "new"))
	_, err := copyStore(t.Context(), from, empty, false)
	if err == nil || !errors.Is(err, sqlite.ErrInUse) || !strings.Contains(err.Error(), "store backup FILE") {
		t.Errorf("of one in use: error %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"store", "copy", "--from", dir, "--to", "redis:/127.0.0.1:6379"},
		{"store", "copy", "--from", dir, "--to", "Rediss-cluster:host"},
		{"store", "copy", "--from", dir, "--to", "localhost:6379"},
		{"store", "copy", "--from", dir, "--to", "redis"},
		{"store", "copy", "--from", dir, "--to", "sqlite:" + filepath.Join(dir, storeFile)},
		{"store", "copy", "--from", dir, "--to", "ftp://host"},
	} {
		if status := run(args); status != exitUsage {
			t.Errorf("%v ends with %d", args, status)
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("made are %v, error %v", made, err)
	}
	for _, text := range []string{"sqlite:a:b", "./redis:/x", "/tmp/a:b", "redis2"} {
		if _, err := placeOf(text); err != nil {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestAStoreIsBackedUpWhileItIsInUseAndRestored(t *testing.T) {
	dir := used(t)
	db := openStore(t, dir)
	from, file := placed(t, dir), filepath.Join(t.TempDir(), "backup")
	size, err := backUp(t.Context(), from, file)
	if err != nil || size == 0 {
		t.Fatalf("%d bytes, error %v", size, err)
	}
	if _, err := backUp(t.Context(), from, file); err == nil || !strings.Contains(err.Error(), "a backup replaces no file") {
		t.Errorf("a second time: error %v", err)
	}
	if _, err := restoreStore(t.Context(), file, from); err == nil || !strings.Contains(err.Error(), "is not empty, and nothing was changed") {
		t.Errorf("restored into one in use: error %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := placed(t, filepath.Join(t.TempDir(), "new"))
	report, err := restoreStore(t.Context(), file, to)
	if err != nil || !report.Same || report.Kinds[0].To != 1 {
		t.Fatalf("%+v, error %v", report, err)
	}
	if report, err := copyStore(t.Context(), from, to, true); err != nil || !report.Same {
		t.Errorf("compared: %+v, error %v", report, err)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the backup has changed, error %v", err)
	}
	if names, err := filepath.Glob(file + "?*"); err != nil || len(names) > 0 {
		t.Errorf("left beside it are %v, error %v", names, err)
	}
}

func TestAStoreIsRestoredFromAFileOfChanges(t *testing.T) {
	dir := used(t)
	db := openStore(t, dir)
	file := filepath.Join(t.TempDir(), "changes")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(transfer.Write(t.Context(), db, f, time.Now()), f.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	to := placed(t, filepath.Join(t.TempDir(), "new"))
	if report, err := restoreStore(t.Context(), file, to); err != nil || !report.Same {
		t.Fatalf("%+v, error %v", report, err)
	}
	if report, err := copyStore(t.Context(), placed(t, dir), to, true); err != nil || !report.Same {
		t.Errorf("compared: %+v, error %v", report, err)
	}
	if err := os.WriteFile(file, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restoreStore(t.Context(), file, placed(t, t.TempDir())); err == nil || !strings.Contains(err.Error(), "is no backup of a store") {
		t.Errorf("error %v", err)
	}
}

func TestTheStoreOfTheConfigurationIsTheOneThatIsMeant(t *testing.T) {
	dir := used(t)
	cfg := filepath.Join(t.TempDir(), "perezvon.yaml")
	if err := os.WriteFile(cfg, []byte("data_dir: "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if status := run([]string{"--config", cfg, "store", "backup", file}); status != exitOK {
		t.Errorf("backup ends with %d", status)
	}
	if status := run([]string{"--config", cfg, "store", "restore", file}); status != exitFailure {
		t.Errorf("restore into what is there ends with %d", status)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if status := run([]string{"--config", cfg, "store", "restore", file}); status != exitOK {
		t.Errorf("restore ends with %d", status)
	}
	if report, err := copyStore(t.Context(), placed(t, dir+".away"), placed(t, dir), true); err != nil || !report.Same {
		t.Errorf("compared: %+v, error %v", report, err)
	}
}
