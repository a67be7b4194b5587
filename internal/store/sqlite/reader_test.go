package sqlite

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestAStoreIsReadBesideItsServer(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := store.Call{ID: "1", State: store.StateEnded, CreatedAt: at, EndedAt: &at}
	if err := d.SaveCall(c).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"while the server runs", "when it has stopped"} {
		r, err := OpenReader(t.Context(), filepath.Join(dir, "perezvon.db"))
		if err != nil {
			t.Fatal(what, err)
		}
		got, err := r.Call(t.Context(), "1")
		if err != nil || got.ID != "1" {
			t.Errorf("%s: call %v, error %v", what, got, err)
		}
		if n, err := r.Expired(t.Context(), store.Expiry{Calls: at.Add(1)}); err != nil || n.Calls != 1 {
			t.Errorf("%s: %+v, error %v", what, n, err)
		}
		if err := errors.Join(r.Close(), d.Close()); err != nil {
			t.Error(what, err)
		}
	}
}

func TestAReaderSaysWhyItCannotRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "perezvon.db")
	if _, err := OpenReader(t.Context(), path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	d := openIn(t, dir)
	if _, err := d.writer.conn.sql.ExecContext(t.Context(), `PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	closeDB(t, d)
	if _, err := OpenReader(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("old tables: %v", err)
	}
}
