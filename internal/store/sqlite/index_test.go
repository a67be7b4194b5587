package sqlite

import (
	"errors"
	"strings"
	"testing"

	"perezvon/internal/store"
)

// TestSearchesUseAnIndex looks at SQLite's plans: with years of calls in the
// file a scan or a sort would be felt.
func TestSearchesUseAnIndex(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer closeDB(t, d)
	cursor := store.CallCursor{Created: 1, ID: "1"}.String()
	queries := map[string][]any{
		`SELECT data FROM calls WHERE id = ?`: {"1"},
		countCalls:                            {"1", 1},
		findOpenCallback:                      {"", "", "", ""},
		tracesOf:                              {"1"},
		deleteTraces:                          {1, 1},
		deleteKeys:                            {1, 1},
		endedCalls:                            {1, 1, "1", 1},
		oldEvents:                             {1, 1, 1},
		deleteEvents:                          {1, 1, 1},
		deleteTimeline:                        {"1", 1},
		deleteTrace:                           {"1"},
		deleteCall:                            {"1"},
		countTraces:                           {"1", 1},
		eventsBetween:                         {1, 2},
		`SELECT seq FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`:                           {1, 1},
		`SELECT id FROM events WHERE call_id = ? AND id > ? ORDER BY id LIMIT ?`:              {"1", 1, 1},
		`SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?`:                              {1, 1},
		`UPDATE calls SET state = ? WHERE id = ? AND open = 1 AND line = ? AND number = ?`:    {"", "", "", ""},
		`SELECT fence FROM leases WHERE name = ? AND until > ?`:                               {"", 1},
		`SELECT 1 FROM idempotency_keys k JOIN calls c ON c.id = k.call_id WHERE k.scope = ?`: {""},
	}
	for _, f := range []store.Filter{
		{}, {Kind: "k"}, {Result: "r"}, {Number: "n"}, {Line: "l"}, {State: store.StateEnded}, {Line: "l", Kind: "k", State: store.StateEnded},
	} {
		f.Cursor = cursor
		query, args, err := selectCalls(f)
		if err != nil {
			t.Fatal(err)
		}
		queries[query] = append(args, 10)
	}
	for _, k := range kinds() {
		if k.where != "" {
			queries[k.query+` `+k.where] = k.args(note{id: "1"})
		}
	}
	noDetour(t, d, queries, "SCAN", "TEMP B-TREE")
	noDetour(t, d, map[string][]any{trimOutbox: {1, 1, 1}}, "SCAN", "TEMP B-TREE")
	noDetour(t, d, map[string][]any{insertTrace: {"1", 1, "", 1}}, "SCAN traces", "TEMP B-TREE")
	noDetour(t, d, map[string][]any{lastEvent: {}, countExpired: {1, 1}}, "SCAN events", "SCAN traces", "TEMP B-TREE")

	// Those of open calls look at all open calls, in the index that has no others.
	listOpen, args, err := selectCalls(store.Filter{State: store.StateTalking, Kind: "k", Cursor: cursor})
	if err != nil {
		t.Fatal(err)
	}
	noDetour(t, d, map[string][]any{openCalls: {}, listOpen: append(args, 10), findOpenCallback: {"", "", "", ""}},
		"calls_created", "calls_kind", "SCAN calls\n")
}

// noDetour fails the test where the plan of a query has one of these in it.
func noDetour(t *testing.T, d *DB, queries map[string][]any, detours ...string) {
	t.Helper()
	for query, args := range queries {
		rows, err := d.read.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			for _, detour := range detours {
				if strings.Contains(detail+"\n", detour) {
					t.Errorf("%s: %s", query, detail)
				}
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
