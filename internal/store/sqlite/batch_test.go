package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"perezvon/internal/store"
)

// funcOp runs a function inside the writer's transaction.
type funcOp struct {
	pending
	f func(*conn) error
}

func (o *funcOp) apply(t *conn) error { return o.f(t) }

// hold stops the writer, so that what is queued meanwhile becomes one batch,
// until the returned function is called.
func hold(t *testing.T, d *DB) (release func()) {
	t.Helper()
	started, goOn := make(chan struct{}), make(chan struct{})
	o := &funcOp{newPending(), func(*conn) error {
		close(started)
		<-goOn
		return nil
	}}
	d.writer.post(o, o.commit)
	<-started
	return sync.OnceFunc(func() { close(goOn) })
}

// inside runs SQL on the writing connection.
func inside(t *testing.T, d *DB, query string) {
	t.Helper()
	o := &funcOp{newPending(), func(c *conn) error {
		_, err := c.sql.ExecContext(context.Background(), query)
		return err
	}}
	if err := d.writer.do(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// bubble runs f under virtual time with a database of its own.
func bubble(t *testing.T, f func(t *testing.T, d *DB)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "perezvon.db")
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		f(t, d)
		closeDB(t, d)
	})
}

func call(id string, state store.State) store.Call {
	return store.Call{ID: id, Kind: store.KindCallback, State: state, Line: "l", Number: "+7"}
}

func TestAllThatWaitShareOneCommit(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		release := hold(t, d)
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				if err := d.SaveCall(store.Call{ID: fmt.Sprint(n)}, store.Event{Type: "a"}).Wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		commits := 0
		for changed := d.EventsChanged(); ; changed = d.EventsChanged() {
			release()
			<-changed
			commits++
			evs, _, err := d.Events(t.Context(), store.EventFilter{})
			if err != nil {
				t.Fatal(err)
			}
			if len(evs) == 100 {
				break
			}
		}
		wg.Wait()
		if commits != 1 {
			t.Errorf("%d commits", commits)
		}
	})
}

func TestOneBrokenWriteDoesNotHurtTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		inside(t, d, `CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.type = 'broken' BEGIN SELECT RAISE(ABORT, 'broken'); END`)
		release := hold(t, d)
		before := d.SaveCall(call("before", store.StateEnded), store.Event{Type: "1"})
		older := d.SaveCall(call("broken", store.StateEnded), store.Event{Type: "2"})
		broken := d.SaveCall(call("broken", store.StateTalking), store.Event{Type: "lost"}, store.Event{Type: "broken"})
		after := d.SaveCall(call("after", store.StateEnded), store.Event{Type: "3"})
		release()
		if err := broken.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "save call broken: ") {
			t.Errorf("the broken one: error %v", err)
		}
		for _, c := range []*store.Commit{before, older, after} {
			if err := c.Wait(t.Context()); err != nil {
				t.Errorf("another one: error %v", err)
			}
		}
		evs, _, err := d.Events(t.Context(), store.EventFilter{})
		if err != nil || len(evs) != 3 || evs[0].Type+evs[1].Type+evs[2].Type != "123" {
			t.Errorf("events %v, error %v", evs, err)
		}
		// The save that was left out in favour of the broken one is there.
		if c, err := d.Call(t.Context(), "broken"); err != nil || c.State != store.StateEnded {
			t.Errorf("state %s, error %v", c.State, err)
		}
		if err := d.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSavesOfOneCallInABatchWriteItsRowOnce(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		inside(t, d, `CREATE TABLE writes (state);
			CREATE TRIGGER i AFTER INSERT ON calls BEGIN INSERT INTO writes VALUES (NEW.state); END;
			CREATE TRIGGER u AFTER UPDATE ON calls BEGIN INSERT INTO writes VALUES (NEW.state); END`)
		release := hold(t, d)
		for _, s := range []store.State{store.StateQueued, store.StateRingingManager, store.StateTalking} {
			d.SaveCall(call("1", s), store.Event{Type: string(s)})
			d.SaveCall(call("2", s))
		}
		last := d.SaveCall(call("1", store.StateEnded))
		release()
		if err := last.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		var writes string
		if err := d.read.QueryRowContext(t.Context(), `SELECT group_concat(state, ' ') FROM writes`).Scan(&writes); err != nil {
			t.Fatal(err)
		}
		if writes != "talking ended" {
			t.Errorf("written: %s", writes)
		}
		if evs, _, err := d.Events(t.Context(), store.EventFilter{}); err != nil || len(evs) != 3 {
			t.Errorf("events %v, error %v", evs, err)
		}
	})
}

func TestACreateSeesTheSavesBeforeItInItsBatch(t *testing.T) {
	for _, tc := range []struct {
		before, after store.State
		duplicate     bool
	}{
		{store.StateEnded, store.StateTalking, false},
		{store.StateTalking, store.StateEnded, true},
	} {
		bubble(t, func(t *testing.T, d *DB) {
			release := hold(t, d)
			d.SaveCall(call("1", tc.before))
			done := make(chan struct{})
			go func() {
				defer close(done)
				got, dup, err := d.CreateCall(t.Context(), call("2", store.StateQueued), store.Admission{})
				if err != nil || dup != tc.duplicate || (dup && got.State != tc.before) {
					t.Errorf("after %s: state %s, duplicate %v, error %v", tc.before, got.State, dup, err)
				}
			}()
			synctest.Wait() // it is queued
			d.SaveCall(call("1", tc.after))
			release()
			<-done
		})
	}
}

func TestAFullQueueHoldsBackItsWritersUntilTheDiskIsReady(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		release := hold(t, d)
		for range queueLen {
			d.SaveCall(call("1", store.StateTalking))
		}
		var last *store.Commit
		done := make(chan struct{})
		go func() {
			defer close(done)
			last = d.SaveCall(call("1", store.StateEnded))
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the queue has no bound")
		default:
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, err := d.AcquireLease(ctx, "n", "a", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who gives up: error %v", err)
		}
		closing := make(chan struct{})
		go func() {
			defer close(closing)
			closeDB(t, d)
		}()
		release()
		<-done
		if err := last.Wait(t.Context()); err != nil {
			t.Errorf("queued before the end: error %v", err)
		}
		<-closing
	})
}

func TestAFullDiskIsToldAndWritingGoesOnWhenThereIsRoom(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		if err := d.SaveCall(call("kept", store.StateTalking), store.Event{Type: "a"}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		inside(t, d, `PRAGMA max_page_count = 1`) // SQLite takes the present size
		big := call("big", store.StateTalking)
		big.Reason = strings.Repeat("x", 100_000)
		release := hold(t, d)
		first, second := d.SaveCall(big, store.Event{Type: "b"}), d.SaveCall(call("kept", store.StateEnded))
		release()
		for _, c := range []*store.Commit{first, second} {
			if err := c.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk of "+d.path+" is full, free some space") {
				t.Errorf("error %v", err)
			}
		}
		if c, err := d.Call(t.Context(), "kept"); err != nil || c.State != store.StateTalking {
			t.Errorf("state %s, error %v", c.State, err)
		}
		inside(t, d, `PRAGMA max_page_count = 1000000`)
		if err := d.SaveCall(big, store.Event{Type: "b"}).Wait(t.Context()); err != nil {
			t.Errorf("with room again: error %v", err)
		}
		if evs, _, err := d.Events(t.Context(), store.EventFilter{}); err != nil || len(evs) != 2 {
			t.Errorf("events %v, error %v", evs, err)
		}
	})
}

func TestPingFailsWhileNothingCanBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		other, err := openPool(d.path, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Ping(t.Context()); err != nil {
			t.Errorf("before: %v", err)
		}
		inside(t, d, `PRAGMA busy_timeout = 1`) // in real time, unlike all else here
		if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
			t.Fatal(err)
		}
		if err := d.SaveCall(call("1", store.StateEnded)).Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "another program keeps "+d.path+" locked") {
			t.Errorf("save: error %v", err)
		}
		if err := d.Ping(t.Context()); err == nil {
			t.Error("ping: no error")
		}
		if _, err := d.Call(t.Context(), "1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("reading goes on: error %v", err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Ping(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestALostConnectionIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, d *DB) {
		o := &funcOp{newPending(), func(c *conn) error {
			return errors.Join(errors.New("broken"), c.close())
		}}
		if err := d.writer.do(t.Context(), o); err == nil {
			t.Error("no error")
		}
		if err := d.SaveCall(call("1", store.StateEnded), store.Event{Type: "a"}).Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsOfOneBatchKeepTheirOrderHoweverMany(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer d.Close()
	release := hold(t, d)
	var last *store.Commit
	want := 0
	for _, n := range []int{1, 3, 4, 5, 15, 16, 17, 40} {
		evs := make([]store.Event, n)
		for i := range evs {
			evs[i] = store.Event{Type: fmt.Sprint("t", want)}
			want++
		}
		last = d.SaveEvents(evs...)
	}
	release()
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	evs, _, err := d.Events(t.Context(), store.EventFilter{Limit: 1000})
	if err != nil || len(evs) != want {
		t.Fatalf("%d events of %d are stored (%v)", len(evs), want, err)
	}
	for i, e := range evs {
		if e.Type != fmt.Sprint("t", i) {
			t.Fatalf("event %d is %s", i, e.Type)
		}
	}
}

func TestDialogsOfOneBatchAreWrittenAsTheyAreAtItsEnd(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer d.Close()
	save := func(id, state string) { d.SaveDialog(store.Dialog{ID: id, Data: []byte(`"` + state + `"`)}) }
	save("before", "early")
	release := hold(t, d)
	save("twice", "early")
	save("gone", "early")
	save("before", "confirmed")
	save("again", "early")
	d.DeleteDialog("again")
	save("twice", "confirmed")
	save("again", "confirmed")
	d.DeleteDialog("before")
	last := d.DeleteDialog("gone")
	release()
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := d.Dialogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, dl := range all {
		got[dl.ID] = string(dl.Data)
	}
	if want := map[string]string{"twice": `"confirmed"`, "again": `"confirmed"`}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
