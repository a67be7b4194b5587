package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/store/transfer"
)

// file opens a new file of the other engine.
func file(t *testing.T) *sqlite.DB {
	t.Helper()
	d, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "perezvon.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// filled holds something of everything.
func filled(t *testing.T) *sqlite.DB {
	t.Helper()
	d := file(t)
	var err error
	try := func(e error) { err = errors.Join(err, e) }
	wait := func(c *store.Commit) { try(c.Wait(t.Context())) }
	key := &store.Key{Scope: "site", Value: "k", Hash: "h"}
	_, _, e := d.CreateCall(t.Context(), newCall(1), store.Admission{Key: key}, store.Event{Type: "a", At: start()})
	try(e)
	for n := range 150 {
		c := newCall(n)
		if n > 3 {
			c.State, c.Result = store.StateEnded, store.ResultCompleted
		}
		d.SaveCall(c, store.Event{Type: fmt.Sprint(n), At: start(), Data: json.RawMessage(`{"x":"<ж>"}`)})
	}
	wait(d.SaveEvents(store.Event{Type: "of no call", At: start().Add(1)}))
	for i := range 3 {
		wait(d.SaveTrace(store.TracePart{CallID: newCall(2).ID, At: start(), Data: []byte{byte(i), 255}}))
	}
	wait(d.SaveDialog(store.Dialog{ID: "d", CallID: newCall(1).ID, Data: json.RawMessage(`{"a":[]}`)}))
	wait(d.SaveBinding(store.Binding{ID: "b", Data: json.RawMessage(`{"a":1.50}`)}))
	try(d.SetDND(t.Context(), "101", true))
	_, e = d.AddFailure(t.Context(), store.Failure{Number: "+71", At: start(), Limit: 1})
	try(e)
	_, e = d.AddCount(t.Context(), store.Counter{Name: "trunk", Until: time.Now().Add(24 * time.Hour)}, 7, 100)
	try(e)
	try(d.Pause(t.Context(), "portal", time.Now().Add(24*time.Hour)))
	for n := range 3 {
		wait(d.Enqueue(store.Job{Kind: "kind", ID: fmt.Sprint(n), Lane: "a", Data: json.RawMessage(`{"n":1}`)}))
	}
	_, e = d.ClaimJobs(t.Context(), "a", "kind", time.Hour, 1)
	try(e)
	_, e = d.AcquireLease(t.Context(), "n", "a", time.Minute)
	try(e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// onEach runs a test on a Redis in memory and on a redis-server.
func onEach(t *testing.T, f func(t *testing.T, opts Options)) {
	t.Helper()
	t.Run("in memory", func(t *testing.T) {
		f(t, Options{URL: "redis://localhost", Dialer: newFake(t).Dial})
	})
	t.Run("redis-server", func(t *testing.T) {
		onReal(t) // empties the database afterwards
		f(t, Options{URL: shared.URL(int(shared.databases.Load())), Dialer: shared.Dial})
	})
}

func whole(t *testing.T, opts Options) *Whole {
	t.Helper()
	w, err := OpenWhole(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// copied copies and compares what has arrived.
func copied(t *testing.T, from transfer.Source, to transfer.Target) {
	t.Helper()
	now := time.Now()
	moved, err := transfer.Copy(t.Context(), from, to, now)
	if err != nil {
		t.Fatal(err)
	}
	there, err := transfer.Take(t.Context(), to, now)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := transfer.Compare(moved, there)
	for _, c := range all {
		if !c.Same {
			t.Errorf("%s: %d became %d, or they differ", c.Kind, c.From, c.To)
		}
	}
}

func TestAStoreIsCopiedIntoRedisAndBack(t *testing.T) {
	onEach(t, func(t *testing.T, opts Options) {
		from := filled(t)
		w := whole(t, opts)
		copied(t, from, w)
		if _, err := transfer.Copy(t.Context(), from, w, time.Now()); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("a second time: error %v", err)
		}
		copied(t, w, file(t))
		closeWhole(t, w)

		// A server goes on with it, in a new file of its own.
		d := serving(t, opts)
		open, err := d.OpenCalls(t.Context())
		if err != nil || len(open) != 4 {
			t.Errorf("%d calls are open, error %v", len(open), err)
		}
		last, err := from.LastEvent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SaveEvents(store.Event{Type: "next"}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		evs, _, err := d.Events(t.Context(), store.EventFilter{After: last})
		if err != nil || len(evs) != 1 || evs[0].Type != "next" {
			t.Errorf("behind the last event come %v, error %v", evs, err)
		}
	})
}

// serving is the engine of a server with a new file.
func serving(t *testing.T, opts Options) *DB {
	t.Helper()
	opts.Spool = filepath.Join(t.TempDir(), "perezvon.db")
	d, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func closeWhole(t *testing.T, w *Whole) {
	t.Helper()
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestARedisThatAServerUsesIsReadOnly(t *testing.T) {
	onEach(t, func(t *testing.T, opts Options) {
		d := serving(t, opts)
		if err := d.SaveCall(newCall(1), store.Event{Type: "a"}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := d.LastEvent(t.Context()); err != nil { // it has been shipped
			t.Fatal(err)
		}
		if w, err := OpenWhole(t.Context(), opts); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "another perezvon uses it (host ") {
			t.Errorf("whole %v, error %v", w, err)
		}
		w, err := OpenToRead(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		tally, err := transfer.Take(t.Context(), w, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if all, _ := transfer.Compare(tally, tally); all[0].From != 1 || all[1].From != 1 {
			t.Errorf("there are %+v", all[:2])
		}
		if err := w.Import(t.Context(), nil); err == nil {
			t.Error("what was opened to be read is filled")
		}
		closeWhole(t, w)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		closeWhole(t, whole(t, opts)) // it is free
	})
}

func TestWhoHasLostTheRightToARedisStopsCopying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := redistest.NewFake()
		defer fake.Close()
		opts := Options{URL: "redis://localhost", Dialer: fake.Dial}
		w := whole(t, opts)
		time.Sleep(2 * serviceTTL) // it is renewed
		if _, err := OpenWhole(t.Context(), opts); err == nil {
			t.Error("two have it at once")
		}
		fake.HSet(serviceSlot, "node", "another", "host", "h", "pid", "1")
		time.Sleep(lookEvery + time.Second)
		if err := w.Import(context.Background(), nil); !errors.Is(err, errUnfit) {
			t.Errorf("error %v", err)
		}
		closeWhole(t, w)
	})
}

func TestARedisIsCalledWithoutItsPassword(t *testing.T) {
	if got, err := Where("redis://user:secret@host:6379/3"); err != nil || strings.Contains(got, "secret") || !strings.Contains(got, "host:6379") {
		t.Errorf("it is called %q, error %v", got, err)
	}
	if _, err := Where("redis://user:sec%ret@host"); err == nil || strings.Contains(err.Error(), "ret") {
		t.Errorf("error %v", err)
	}
}
