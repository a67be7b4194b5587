package sqlite

import (
	"path/filepath"
	"testing"

	"perezvon/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Engine{Open: open})
}

func TestStoreWithAnOutbox(t *testing.T) {
	storetest.Run(t, storetest.Engine{Open: func(t *testing.T, dir string) storetest.Store {
		t.Helper()
		return spoolIn(t, dir)
	}})
}

func open(t *testing.T, dir string) storetest.Store {
	t.Helper()
	return openIn(t, dir)
}

// openIn opens the database in dir.
func openIn(t *testing.T, dir string) *DB {
	t.Helper()
	d, err := Open(t.Context(), filepath.Join(dir, "perezvon.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDomains(t *testing.T) {
	storetest.RunDomains(t, storetest.Engine{Open: open})
}
