package redis

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
)

// exported returns what is exported.
func exported(t *testing.T, export func(context.Context, func(store.Change) error) error) []store.Change {
	t.Helper()
	var all []store.Change
	err := export(t.Context(), func(ch store.Change) error {
		all = append(all, ch)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestACopyHasEverythingUnderTheIDsItHad(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		if is, err := r.empty(t.Context()); err != nil || !is {
			t.Errorf("empty %v, error %v", is, err)
		}
		ship(t, r, life(t, 7))
		if err := r.data.IncrBy(t.Context(), eventsSlot+":last", 100).Err(); err != nil { // as after a restart
			t.Fatal(err)
		}
		more := life(t, 8)
		ship(t, r, more)
		acquire(t, r, "n", "a")
		admitted(t, r, to(100, "+7"), store.Admission{Key: &store.Key{Scope: "s", Value: "held", Hash: "h"}})
		all := exported(t, r.export)
		other := onFake(t, newFake(t))
		for _, part := range [][]store.Change{all[:5], all[3:20], all[15:], all} { // parts may come again
			if err := other.importAll(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "everything", read(t, other), read(t, r))
		a, _, err := r.events(t.Context(), store.EventFilter{Limit: 1000})
		b, _, err2 := other.events(t.Context(), store.EventFilter{Limit: 1000})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		same(t, "events", b, a)
		// The fence is not carried over, and each store holds places of its own.
		fences := cmpopts.IgnoreSliceElements(func(ch store.Change) bool { return ch.ID == store.CounterFence })
		if diff := cmp.Diff(all, exported(t, other.export), fences); diff != "" {
			t.Errorf("a copy of the copy (-want +got):\n%s", diff)
		}
		if is, err := other.empty(t.Context()); err != nil || is {
			t.Errorf("empty %v, error %v", is, err)
		}
		key := store.Admission{Key: &store.Key{Scope: "site", Value: newCall(1).ID, Hash: "h"}}
		duplicate(t, other, to(101, "+7"), key, newCall(1).ID)
		duplicate(t, other, to(102, newCall(1).Number), store.Admission{}, newCall(1).ID)
		ship(t, other, []store.Change{{Seq: 1, Type: store.ChangeEvents, Events: []store.Event{{Type: "next"}}}})
		evs, _, err := other.events(t.Context(), store.EventFilter{After: a[len(a)-1].ID})
		if err != nil || len(evs) != 1 || evs[0].Type != "next" {
			t.Errorf("events %v, error %v", evs, err)
		}
	})
}

func TestACopyGoesFromOneEngineToTheOther(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		d := spool(t)
		key := store.Admission{Key: &store.Key{Scope: "a:b", Value: "c}d", Hash: "h"}}
		if _, _, err := d.CreateCall(t.Context(), newCall(1), key, store.Event{Type: "a", At: start()}); err != nil {
			t.Fatal(err)
		}
		d.SaveCall(ended(newCall(2)), store.Event{Type: "b", At: start()})
		d.SaveTrace(store.TracePart{CallID: newCall(2).ID, At: start(), Data: []byte("\x00x")})
		d.SaveDialog(store.Dialog{ID: "d", CallID: newCall(1).ID, Data: []byte(`{}`)})
		d.SaveBinding(store.Binding{ID: "b", Data: []byte(`{}`)})
		if err := d.SetDND(t.Context(), "101", true); err != nil {
			t.Fatal(err)
		}
		all := exported(t, d.Export)
		if err := r.importAll(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		duplicate(t, r, to(3, "+7"), key, newCall(1).ID)
		back, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "perezvon.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := back.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := back.Import(t.Context(), exported(t, r.export)); err != nil {
			t.Fatal(err)
		}
		same(t, "the copy of the copy", times(exported(t, back.Export)), times(all))
	})
}

// times leaves out what the engines keep with another precision: when a key was
// used, to the microsecond.
func times(all []store.Change) map[string]string {
	out := make(map[string]string)
	for _, ch := range all {
		data := string(ch.Data)
		if ch.Type == store.ChangeKey || ch.ID == store.CounterFence {
			data = ""
		}
		for _, e := range ch.Events {
			data += e.ID + e.CallID + e.Type + e.At.Format(time.RFC3339Nano)
		}
		out[string(ch.Type)+" "+ch.ID] = data
	}
	return out
}

func TestWhoeverHasHadEnoughEndsAnExport(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		ship(t, r, life(t, 3))
		enough, n := errors.New("enough"), 0
		for stop := range 20 {
			n = 0
			err := r.export(t.Context(), func(store.Change) error {
				if n++; n > stop {
					return enough
				}
				return nil
			})
			if !errors.Is(err, enough) || n != stop+1 {
				t.Errorf("%d changes, error %v", n, err)
			}
		}
	})
}
