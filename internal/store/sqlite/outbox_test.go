package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

// spoolIn opens the database in dir with an outbox.
func spoolIn(t *testing.T, dir string) *DB {
	t.Helper()
	d, err := Open(t.Context(), filepath.Join(dir, "perezvon.db"), Options{Outbox: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newSpool opens one in a new folder and closes it when the test ends.
func newSpool(t *testing.T) *DB {
	t.Helper()
	d := spoolIn(t, t.TempDir())
	t.Cleanup(func() { closeDB(t, d) })
	return d
}

// stored waits for a write.
func stored(t *testing.T, c *store.Commit) {
	t.Helper()
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// changes returns all that waits behind after.
func changes(t *testing.T, d *DB, after int64, limit int) []store.Change {
	t.Helper()
	var all []store.Change
	for {
		page, err := d.Outbox(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		for _, ch := range page {
			if ch.Seq <= after {
				t.Fatalf("seq %d follows %d", ch.Seq, after)
			}
			after = ch.Seq
		}
		all = append(all, page...)
	}
}

// told tells changes in few words.
func told(all []store.Change) string {
	var words []string
	for _, ch := range all {
		word := string(ch.Type)
		if ch.ID != "" {
			word += " " + strings.ReplaceAll(ch.ID, "\x00", "/")
		}
		for _, e := range ch.Events {
			word += " " + e.Type
		}
		if ch.Type != store.ChangeEvents && ch.Data == nil {
			word += " gone"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func wants(t *testing.T, got []store.Change, want string) {
	t.Helper()
	if words := told(got); words != want {
		t.Errorf("the outbox has: %s\nnot: %s", words, want)
	}
}

func TestEveryWriteLeavesARowInTheOutbox(t *testing.T) {
	d := newSpool(t)
	ctx := t.Context()
	key := &store.Key{Scope: "site", Value: "k", Hash: "h"}
	if _, _, err := d.CreateCall(ctx, call("1", store.StateQueued), store.Admission{Key: key}, store.Event{Type: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, dup, err := d.CreateCall(ctx, call("2", store.StateQueued), store.Admission{Key: &store.Key{Scope: "site", Value: "k2"}}); err != nil || !dup {
		t.Fatalf("duplicate %v, error %v", dup, err)
	}
	at := time.Now()
	stored(t, d.SaveCall(call("1", store.StateTalking), store.Event{Type: "b"}, store.Event{Type: "c"}))
	stored(t, d.SaveEvents(store.Event{Type: "d"}))
	stored(t, d.SaveDialog(store.Dialog{ID: "d1", CallID: "1", Data: []byte(`{"a":"<&>"}`)}))
	stored(t, d.SaveDialog(store.Dialog{ID: "d2"}))
	stored(t, d.DeleteDialog("d2"))
	stored(t, d.SaveBinding(store.Binding{ID: "b1", Data: []byte(`{}`)}))
	stored(t, d.SaveBinding(store.Binding{ID: "b2"}))
	stored(t, d.DeleteBinding("b2"))
	stored(t, d.SaveTrace(store.TracePart{CallID: "1", At: at, Data: []byte{0, 255}}))
	stored(t, d.SaveTrace(store.TracePart{CallID: "1", At: at, Data: []byte("more")}))
	if err := d.SetDND(ctx, "101", true); err != nil {
		t.Fatal(err)
	}
	lease, err := d.AcquireLease(ctx, "n", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.ReleaseLease(ctx, lease); err != nil {
		t.Fatal(err)
	}
	all := changes(t, d, 0, 1000)
	wants(t, all, "call 1, key site/k, events a, key site/k2, call 1, events b c, events d, "+
		"dialog d1, dialog d2 gone, dialog d2 gone, binding b1, binding b2 gone, binding b2 gone, trace 1, trace 1, dnd 101")
	record := func(i int) string { return string(all[i].Data) }
	if got := decoded[store.Call](t, record(0)); got.State != store.StateTalking {
		t.Errorf("the call as it is now is %s", record(0))
	}
	if got := decoded[store.KeyUse](t, record(3)); got.CallID != "1" || got.Value != "k2" || got.CreatedAt.IsZero() {
		t.Errorf("key %s", record(3))
	}
	if got := all[5].Events[1]; got.CallID != "1" || all[6].Events[0].CallID != "" {
		t.Errorf("events %+v", all[5:7])
	}
	if want := `{"id":"d1","call_id":"1","leg_id":"","data":{"a":"<&>"}}`; record(7) != want {
		t.Errorf("dialog %s", record(7))
	}
	if got := decoded[store.TracePart](t, record(13)); !bytes.Equal(got.Data, []byte{0, 255}) || !got.At.Equal(at) {
		t.Errorf("trace %s", record(13))
	}
	if record(15) != `{"dnd":true}` {
		t.Errorf("dnd %s", record(15))
	}
	if all[len(all)-1].Seq != d.LastOutbox() {
		t.Errorf("the last is %d, not %d", d.LastOutbox(), all[len(all)-1].Seq)
	}
}

func decoded[T any](t *testing.T, data string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		t.Errorf("%s: %v", data, err)
	}
	return v
}

func TestChangesOfOneRecordInACommitAreOneRowAndItsEventsFollow(t *testing.T) {
	d := newSpool(t)
	release := hold(t, d)
	d.SaveCall(call("1", store.StateQueued), store.Event{Type: "a"})
	d.SaveCall(call("2", store.StateQueued), store.Event{Type: "b"})
	d.SaveDialog(store.Dialog{ID: "d"})
	d.SaveCall(call("1", store.StateTalking), store.Event{Type: "c"})
	d.DeleteDialog("d")
	last := d.SaveCall(call("1", store.StateEnded))
	release()
	stored(t, last)
	all := changes(t, d, 0, 1000)
	wants(t, all, "call 2, dialog d gone, call 1, events a b c")
	if s, err := d.OutboxStats(t.Context(), 0); err != nil || s.Rows != 4 {
		t.Errorf("there are %d rows, error %v", s.Rows, err)
	}
	if s, err := d.OutboxStats(t.Context(), all[2].Seq); err != nil || s.Rows != 1 || s.Oldest.IsZero() {
		t.Errorf("the last is %+v, error %v", s, err)
	}
}

// A shared store that lost its last second may have seen the first of a record's
// changes only. If the others came under the number of the first it would take
// them for old.
func TestEachChangeOfARecordKeepsItsNumberAndTellsTheRecordAsItIsNow(t *testing.T) {
	d := newSpool(t)
	for i, s := range []store.State{store.StateQueued, store.StateTalking, store.StateEnded} {
		stored(t, d.SaveCall(call("1", s), store.Event{Type: fmt.Sprint(i)}))
	}
	stored(t, d.SaveCall(call("1", store.StateEnded)))
	all := changes(t, d, 0, 1000)
	wants(t, all, "call 1, events 0, call 1, events 1, call 1, events 2, call 1")
	for i, ch := range all {
		if ch.Seq != int64(i+1) {
			t.Errorf("change %d has the number %d", i+1, ch.Seq)
		}
		if ch.Type == store.ChangeCall && decoded[store.Call](t, string(ch.Data)).State != store.StateEnded {
			t.Errorf("change %d tells %s", i+1, ch.Data)
		}
	}
}

func TestManyEventsOfOneCommitAreSeveralChanges(t *testing.T) {
	d := newSpool(t)
	evs := make([]store.Event, 2*eventsAtOnce+1)
	for i := range evs {
		evs[i] = store.Event{Type: fmt.Sprint(i)}
	}
	stored(t, d.SaveEvents(evs...))
	all := changes(t, d, 0, 0)
	if len(all) != 3 || len(all[0].Events) != eventsAtOnce || len(all[2].Events) != 1 {
		t.Fatalf("%d changes", len(all))
	}
	n := 0
	for _, ch := range all {
		for _, e := range ch.Events {
			if e.Type != fmt.Sprint(n) {
				t.Fatalf("event %d is %s", n, e.Type)
			}
			n++
		}
	}
}

func TestLargeRecordsMakeAnAnswerOfTheOutboxShorter(t *testing.T) {
	d := newSpool(t)
	for i := range 5 {
		c := call(fmt.Sprint(i), store.StateTalking)
		c.Reason = strings.Repeat("x", outboxBytes/2)
		stored(t, d.SaveCall(c))
	}
	if page, err := d.Outbox(t.Context(), 0, 0); err != nil || len(page) != 2 {
		t.Errorf("%d changes, error %v", len(page), err)
	}
	if all := changes(t, d, 0, 0); len(all) != 5 {
		t.Errorf("%d in all", len(all))
	}
}

func TestARefusedOrFailedWriteLeavesNothingInTheOutbox(t *testing.T) {
	d := newSpool(t)
	stored(t, d.SaveCall(call("1", store.StateTalking)))
	if _, _, err := d.CreateCall(t.Context(), call("1", store.StateQueued), store.Admission{}, store.Event{Type: "lost"}); err == nil {
		t.Fatal("a second call of the same id was created")
	}
	inside(t, d, `CREATE TRIGGER broken BEFORE INSERT ON calls WHEN NEW.id = 'broken' BEGIN SELECT RAISE(ABORT, 'no'); END`)
	release := hold(t, d)
	broken := d.SaveCall(call("broken", store.StateTalking), store.Event{Type: "lost"})
	after := d.SaveCall(call("2", store.StateTalking), store.Event{Type: "a"})
	release()
	if err := broken.Wait(t.Context()); err == nil {
		t.Error("no error")
	}
	stored(t, after)
	wants(t, changes(t, d, 0, 0), "call 1, call 2, events a")
}

func TestPartsOfATraceThatAreNotKeptAreNoChange(t *testing.T) {
	d := newSpool(t)
	var last *store.Commit
	for range store.MaxTraceParts + 2 {
		last = d.SaveTrace(store.TracePart{CallID: "1", At: time.Unix(100, 0), Data: []byte("x")})
	}
	stored(t, last)
	if all := changes(t, d, 0, 0); len(all) != store.MaxTraceParts {
		t.Errorf("%d changes", len(all))
	}
	// A part that takes the row of one that was forgotten is not taken for it.
	if err := d.PruneTraces(t.Context(), time.Unix(200, 0)); err != nil {
		t.Fatal(err)
	}
	stored(t, d.SaveTrace(store.TracePart{CallID: "1", At: time.Unix(300, 0), Data: []byte("x")}))
	all := changes(t, d, 0, 0)
	if gone, there := all[0], all[len(all)-1]; gone.Data != nil || there.Data == nil || len(all) != store.MaxTraceParts+1 {
		t.Errorf("of %d changes the first is %+v, the last %+v", len(all), gone, there)
	}
}

func TestADamagedRecordDoesNotHoldUpTheOutbox(t *testing.T) {
	var log bytes.Buffer
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "perezvon.db"), Options{Outbox: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, d)
	stored(t, d.SaveCall(call("bad", store.StateTalking)))
	stored(t, d.SaveDialog(store.Dialog{ID: "bad", Data: []byte("{")}))
	stored(t, d.SaveEvents(store.Event{Type: "bad", Data: []byte("{")}))
	stored(t, d.SaveCall(call("good", store.StateTalking)))
	inside(t, d, `UPDATE calls SET data = '{' WHERE id = 'bad'`)
	all := changes(t, d, 0, 0)
	wants(t, all, "events, events, events bad, call good")
	if _, err := json.Marshal(all); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "a damaged record"); n != 2 {
		t.Errorf("the log has %d of them:\n%s", n, log.String())
	}
}

func TestWithoutAnOutboxNothingIsNoted(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer closeDB(t, d)
	stored(t, d.SaveCall(call("1", store.StateTalking), store.Event{Type: "a"}))
	stored(t, d.SaveTrace(store.TracePart{CallID: "1", Data: []byte("x")}))
	if all := changes(t, d, 0, 0); len(all) != 0 || d.LastOutbox() != 0 {
		t.Errorf("the outbox has: %s", told(all))
	}
}

func TestReadersOfTheOutboxSeeOneMoment(t *testing.T) {
	d := newSpool(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			c := call("1", store.StateTalking)
			c.TalkMS = int64(i)
			d.SaveCall(c, store.Event{Type: fmt.Sprint(i)})
		}
	}()
	var seen []string
	record := int64(-1)
	for after := int64(0); len(seen) < 300; {
		page, err := d.Outbox(t.Context(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range page {
			after = ch.Seq
			if ch.Type == store.ChangeCall {
				record = decoded[store.Call](t, string(ch.Data)).TalkMS
			}
			for _, e := range ch.Events {
				if seen = append(seen, e.Type); record < int64(len(seen)-1) {
					t.Fatalf("event %s comes with the record of %d", e.Type, record)
				}
			}
		}
	}
	<-done
	if !slices.IsSortedFunc(seen, func(a, b string) int { return len(a) - len(b) }) {
		t.Errorf("events %v", seen)
	}
}
