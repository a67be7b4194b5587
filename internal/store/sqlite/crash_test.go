package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"perezvon/internal/store"
)

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	killed(t, path, "writer", checkSaid)
}

func TestWhatWasAcknowledgedIsInTheOutboxAfterAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	killed(t, path, "spool", func(t *testing.T, path string, said []string) {
		t.Helper()
		checkSaid(t, path, said)
		checkCarried(t, path, said)
	})
}

// checkCarried plays somebody who has emptied the outbox only now: he gets all
// that the killed process had acknowledged, each record before its events and
// the events in their order.
func checkCarried(t *testing.T, path string, said []string) {
	t.Helper()
	d := spoolIn(t, filepath.Dir(path))
	defer closeDB(t, d)
	have, record := map[string]bool{}, map[string]int64{}
	lastEvent := ""
	for _, ch := range changes(t, d, 0, 100) {
		have[string(ch.Type)+" "+ch.ID] = true
		if ch.Type == store.ChangeCall {
			record[ch.ID] = decoded[store.Call](t, string(ch.Data)).TalkMS
		}
		for _, e := range ch.Events {
			have["event "+e.CallID+" "+e.Type] = true
			if n, known := record[e.CallID]; !known || e.Type > fmt.Sprint(n) {
				t.Errorf("event %s of %s comes after the record of %d (there is one: %v)", e.Type, e.CallID, n, known)
			}
			if e.ID <= lastEvent {
				t.Errorf("event %s comes after %s", e.ID, lastEvent)
			}
			lastEvent = e.ID
		}
	}
	for i, line := range said {
		if !have[line] {
			t.Errorf("acknowledged and not in the outbox: %q (line %d of %d)", line, i+1, len(said))
		}
	}
	if last, err := d.LastEvent(t.Context()); err != nil || last != lastEvent {
		t.Errorf("the last event is %s, that of the outbox %s, error %v", last, lastEvent, err)
	}
}

// killed has a child write at path and kills it, twice, and has what it said to
// be durable checked after each.
func killed(t *testing.T, path, part string, check func(t *testing.T, path string, said []string)) {
	t.Helper()
	var said []string
	for range 2 {
		cmd := child(t, part, path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(out)
		said = append(said, lines(scanner, 500)...)
		_, err = Open(t.Context(), path, Options{})
		want := fmt.Sprintf("another perezvon uses this data folder (pid %d)", cmd.Process.Pid)
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), want) {
			t.Errorf("while the other one runs: error %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		said = append(said, lines(scanner, math.MaxInt)...)
		_ = cmd.Wait() // it was killed
		check(t, path, said)
	}
}

// checkSaid looks for everything that the killed process had acknowledged.
func checkSaid(t *testing.T, path string, said []string) {
	t.Helper()
	d := openIn(t, filepath.Dir(path))
	defer closeDB(t, d)
	have := map[string]bool{}
	for after := ""; ; {
		evs, next, err := d.Events(t.Context(), store.EventFilter{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range evs {
			have["event "+e.CallID+" "+e.Type] = true
		}
		if after = next; next == "" {
			break
		}
	}
	calls, err := d.OpenCalls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		have["call "+c.ID] = true
		// The record is never older than the newest event that came with one.
		if have[fmt.Sprintf("event %s %d", c.ID, c.TalkMS+1)] {
			t.Errorf("call %s is older than its events", c.ID)
		}
	}
	dialogs, err := d.Dialogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, dl := range dialogs {
		have["dialog "+dl.ID] = true
	}
	for i, line := range said {
		if !have[line] {
			t.Errorf("acknowledged and lost: %q (line %d of %d)", line, i+1, len(said))
		}
	}
	var result string
	if err := d.read.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity: %s, error %v", result, err)
	}
}

func TestAWriteThatTheSystemRefusesIsToldAndWritingGoesOnAfterwards(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	out, err := child(t, "limited", path).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{
		": the disk of " + path,
		"still failing: true\n",
		"ping afterwards: <nil>\n",
		"save afterwards: <nil>\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	var got, of int
	if _, err := fmt.Sscanf(text[strings.Index(text, "events:"):], "events: %d of %d, <nil>", &got, &of); err != nil || got != of || of < 2 {
		t.Errorf("events: %d of %d, error %v in:\n%s", got, of, err, text)
	}
}

func closeDB(t *testing.T, d *DB) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
