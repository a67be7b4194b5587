package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestABackupIsOfOneMomentWhileTheStoreIsInUse(t *testing.T) {
	dir := t.TempDir()
	d := spoolIn(t, dir)
	defer closeDB(t, d)
	stored(t, d.SaveCall(call("1", store.StateTalking), store.Event{Type: "first"}))
	if _, err := d.NodeID(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			c := call("1", store.StateTalking)
			c.TalkMS = i
			if err := d.SaveCall(c, store.Event{Type: fmt.Sprint(i)}).Wait(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	file := filepath.Join(t.TempDir(), "copy")
	if err := Backup(t.Context(), d.path, file); err != nil {
		t.Error(err)
	}
	close(stop)
	<-done
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, error %v", info, err)
	}
	for path, want := range map[string]bool{d.path: true, file: false} {
		if shares, err := Shares(t.Context(), path); err != nil || shares != want {
			t.Errorf("%s is a part of a shared store: %v, error %v", path, shares, err)
		}
	}
	restored := filepath.Join(t.TempDir(), "new", "perezvon.db")
	if err := Restore(t.Context(), file, restored); err != nil {
		t.Fatal(err)
	}
	copied := spoolIn(t, filepath.Dir(restored))
	defer closeDB(t, copied)
	c, err := copied.Call(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	last, err := copied.LastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := store.EventID(c.TalkMS + 2); last != want && c.TalkMS > 0 {
		t.Errorf("the record is of %d, the last event %s", c.TalkMS, last)
	}
	own, err := d.NodeID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if node, err := copied.NodeID(t.Context()); err != nil || node == own || !copied.Fresh() || len(changes(t, copied, 0, 0)) > 0 {
		t.Errorf("the copy goes on as node %s, fresh %v, error %v", node, copied.Fresh(), err)
	}
}

func TestABackupDoesNotReplaceAFile(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	closeDB(t, d)
	file := filepath.Join(dir, "copy")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), d.path, file); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "mine" {
		t.Errorf("the file holds %q, error %v", data, err)
	}
}

func TestWhatIsNoStoreIsNotBackedUpAndNotRestored(t *testing.T) {
	dir := t.TempDir()
	other, text := filepath.Join(dir, "other.db"), filepath.Join(dir, "text")
	edit(t, other, `CREATE TABLE other (x)`)
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, text, filepath.Join(dir, "empty"), filepath.Join(dir, "missing")} {
		file := filepath.Join(t.TempDir(), "copy")
		if err := Backup(t.Context(), path, file); err == nil {
			t.Errorf("%s was backed up", path)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("of %s something is left: %v", path, err)
		}
		target := filepath.Join(t.TempDir(), "perezvon.db")
		if err := Restore(t.Context(), path, target); err == nil {
			t.Errorf("%s was restored", path)
		}
		if info, err := os.Stat(target); err == nil && info.Size() > 0 {
			t.Errorf("of %s something is in place", path)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was missing is there: %v", err)
	}
}

func TestRestoringReplacesNoStoreAndNoneThatIsInUse(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	file := filepath.Join(dir, "copy")
	if err := Backup(t.Context(), d.path, file); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), file, d.path); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("in use: error %v", err)
	}
	closeDB(t, d)
	if err := Restore(t.Context(), file, d.path); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("where there is one: error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "moved.db-wal"), []byte("left behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), file, filepath.Join(dir, "moved.db")); !errors.Is(err, store.ErrNotEmpty) || !strings.Contains(err.Error(), "moved.db-wal") {
		t.Errorf("beside another's log: error %v", err)
	}
	lock, err := acquireLock(filepath.Join(dir, "new.db.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), file, filepath.Join(dir, "new.db")); !errors.Is(err, ErrInUse) {
		t.Errorf("where a server begins: error %v", err)
	}
	if err := lock.release(); err != nil {
		t.Fatal(err)
	}
}

func TestABackupOfAnOlderStoreIsOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "old.db")
	script, err := migrations.ReadFile("migrations/0001_records.sql")
	if err != nil {
		t.Fatal(err)
	}
	edit(t, path, string(script))
	edit(t, path, fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = 1`, applicationID))
	file := filepath.Join(dir, "copy")
	if err := Backup(t.Context(), path, file); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), file, filepath.Join(dir, "perezvon.db")); err != nil {
		t.Fatal(err)
	}
	d := openIn(t, dir)
	defer closeDB(t, d)
	if _, err := d.AcquireLease(t.Context(), "n", "a", time.Minute); err != nil {
		t.Error(err)
	}
}
