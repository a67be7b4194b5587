package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

// Steps are counted in the order of their names: two with one number would
// change places with those behind them when another one comes.
func TestStepsOfTheSchemaHaveTheNumberThatTheyLeadTo(t *testing.T) {
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(s.Name(), want) {
			t.Errorf("%s leads to schema %d", s.Name(), i+1)
		}
	}
}

func TestAnOlderDatabaseIsBroughtUpToDateWithItsRecords(t *testing.T) {
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version < len(steps); version++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "perezvon.db")
		for _, s := range steps[:version] {
			script, err := migrations.ReadFile("migrations/" + s.Name())
			if err != nil {
				t.Fatal(err)
			}
			edit(t, path, string(script))
		}
		edit(t, path, `INSERT INTO calls VALUES ('old', '', '', '', '', '', 0, 1, '{"id":"old"}')`)
		edit(t, path, fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, applicationID, version))
		for range 2 { // the second time there is nothing to do
			d := openIn(t, dir)
			if _, err := d.Call(t.Context(), "old"); err != nil {
				t.Errorf("from schema %d: %v", version, err)
			}
			for what, err := range map[string]error{
				"binding": d.SaveBinding(store.Binding{ID: "b", Data: []byte(`{}`)}).Wait(t.Context()),
				"trace":   d.SaveTrace(store.TracePart{CallID: "old", Data: []byte("x")}).Wait(t.Context()),
				"dnd":     d.SetDND(t.Context(), "101", true),
				"job":     d.Enqueue(store.Job{ID: "j", Kind: "k", Lane: "l"}).Wait(t.Context()),
				"pause":   d.Pause(t.Context(), "portal", time.Now()),
			} {
				if err != nil {
					t.Errorf("from schema %d: %s: %v", version, what, err)
				}
			}
			closeDB(t, d)
		}
	}
}
