package sqlite

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestWhatANewNodeTakesOverIsNotNoted(t *testing.T) {
	dir := t.TempDir()
	d := spoolIn(t, dir)
	ctx := t.Context()
	old := call("1", store.StateQueued)
	data, err := old.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := []store.Change{
		{Type: store.ChangeCall, ID: "1", Data: data},
		{Type: store.ChangeDialog, ID: "d", Data: json.RawMessage(`{"id":"d","call_id":"1","leg_id":"","data":null}`)},
		{Type: store.ChangeBinding, ID: "b", Data: json.RawMessage(`{"id":"b","data":{}}`)},
		{Type: store.ChangeDND, ID: "101", Data: json.RawMessage(`{"dnd":true}`)},
		{Type: store.ChangeCounter, ID: store.CounterFence, Data: json.RawMessage(`7`)},
	}
	for range 2 { // a second time it changes nothing
		if err := d.ImportQuietly(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	if all := changes(t, d, 0, 0); len(all) != 0 || d.LastOutbox() != 0 {
		t.Errorf("the outbox has: %s", told(all))
	}
	if err := d.ImportQuietly(ctx, []store.Change{{Type: store.ChangeEvents}}); err == nil {
		t.Error("events were taken over")
	}
	closeDB(t, d)
	d = spoolIn(t, dir)
	defer closeDB(t, d)
	if !d.Fresh() {
		t.Error("what was taken over makes a spool one that was used")
	}
	open, err := d.OpenCalls(ctx)
	if err != nil || len(open) != 1 || open[0].State != store.StateQueued {
		t.Errorf("open calls %+v, error %v", open, err)
	}
	dialogs, err := d.Dialogs(ctx)
	if err != nil || len(dialogs) != 1 || dialogs[0].CallID != "1" || dialogs[0].Data != nil {
		t.Errorf("dialogs %+v, error %v", dialogs, err)
	}
	if dnd, err := d.DND(ctx); err != nil || !dnd["101"] {
		t.Errorf("dnd %v, error %v", dnd, err)
	}
	if l, err := d.AcquireLease(ctx, "n", "a", time.Minute); err != nil || l.Fence != 8 {
		t.Errorf("fence %d, error %v", l.Fence, err)
	}
	stored(t, d.SaveCall(open[0], store.Event{Type: "a"}))
	wants(t, changes(t, d, 0, 0), "call 1, events a")
}

func TestAnImportKeepsWhatThisVersionDoesNotKnow(t *testing.T) {
	from, to := openIn(t, t.TempDir()), openIn(t, t.TempDir())
	defer closeDB(t, from)
	defer closeDB(t, to)
	stored(t, from.SaveCall(call("1", store.StateTalking)))
	record := `{"id":"1","state":"talking","of_tomorrow":1}`
	inside(t, from, `UPDATE calls SET data = '`+record+`'`)
	var all []store.Change
	if err := from.Export(t.Context(), func(ch store.Change) error {
		all = append(all, ch)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := to.Import(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := to.read.QueryRowContext(t.Context(), `SELECT data FROM calls`).Scan(&got); err != nil || got != record {
		t.Errorf("the record is %s, error %v", got, err)
	}
}

func TestADamagedRecordIsNamedByExportOrImport(t *testing.T) {
	for _, tc := range []struct{ spoil, want string }{
		{`UPDATE calls SET data = '{'`, `call "1"`},
		{`UPDATE calls SET data = '{"id":"2"}'`, `it is the record of call "2"`},
		{`UPDATE dialogs SET data = '{'`, `dialog d`},
		{`UPDATE events SET id = 0`, `event "0000000000000000"`},
	} {
		from, to := openIn(t, t.TempDir()), openIn(t, t.TempDir())
		stored(t, from.SaveCall(call("1", store.StateTalking), store.Event{Type: "a"}))
		stored(t, from.SaveDialog(store.Dialog{ID: "d"}))
		inside(t, from, tc.spoil)
		err := from.Export(t.Context(), func(ch store.Change) error { return to.Import(t.Context(), []store.Change{ch}) })
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v", tc.spoil, err)
		}
		closeDB(t, from)
		closeDB(t, to)
	}
}

func TestAnEmptyStoreIsTold(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer closeDB(t, d)
	if _, err := d.AcquireLease(t.Context(), "n", "a", time.Minute); err != nil {
		t.Fatal(err)
	}
	if empty, err := d.Empty(t.Context()); !empty || err != nil {
		t.Errorf("empty %v, error %v", empty, err)
	}
	stored(t, d.SaveBinding(store.Binding{ID: "b"}))
	if empty, err := d.Empty(t.Context()); empty || err != nil {
		t.Errorf("with a binding: empty %v, error %v", empty, err)
	}
	if err := d.Import(t.Context(), nil); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("error %v", err)
	}
}
