package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/transfer"
)

// Porter is a Store whose records can be moved into another one, of whatever
// engine. Every engine is one.
type Porter interface {
	Store
	Export(ctx context.Context, yield func(store.Change) error) error
	Import(ctx context.Context, batch []store.Change) error
}

func runExport(t *testing.T, eng Engine) {
	t.Run("a copy is the same store", func(t *testing.T) {
		for _, n := range []int{1, 3, 1000} {
			runCopy(t, eng, n)
		}
	})
	t.Run("a copy of nothing is nothing", func(t *testing.T) {
		for _, ch := range exported(t, porter(t, opened(t, eng))) {
			if ch.Type != store.ChangeCounter {
				t.Errorf("an empty store yields %+v", ch)
			}
		}
	})
	t.Run("many records come in many parts", func(t *testing.T) { runManyParts(t, eng) })
	t.Run("only an empty store takes a copy", func(t *testing.T) { runNotEmpty(t, eng) })
	t.Run("what cannot be a record is refused whole", func(t *testing.T) {
		for _, bad := range []store.Change{
			{Type: "something new", ID: "x", Data: json.RawMessage(`{}`)},
			{Type: store.ChangeCounter, ID: "something new", Data: json.RawMessage(`1`)},
			{Type: store.ChangeCall, ID: "x"},
			{Type: store.ChangeCall, ID: "x", Data: json.RawMessage(`{`)},
			{Type: store.ChangeEvents, Events: []store.Event{event("without an id")}},
		} {
			s := porter(t, opened(t, eng))
			good := store.Change{Type: store.ChangeDND, ID: "101", Data: json.RawMessage(`{"dnd":true}`)}
			if err := s.Import(t.Context(), []store.Change{good, bad}); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
	t.Run("who is given an export can end it", func(t *testing.T) {
		s := porter(t, opened(t, eng))
		wait(t, s.SaveCall(newCall(1), event("a")))
		enough, n := errors.New("enough"), 0
		err := s.Export(t.Context(), func(store.Change) error {
			n++
			return enough
		})
		if !errors.Is(err, enough) || n != 1 {
			t.Errorf("after %d changes: error %v", n, err)
		}
	})
	t.Run("a closed store has no export", func(t *testing.T) {
		s := porter(t, eng.Open(t, t.TempDir()))
		closed(t, s)
		if err := s.Export(t.Context(), func(store.Change) error { return nil }); !errors.Is(err, store.ErrClosed) {
			t.Errorf("export: error %v", err)
		}
		if err := s.Import(t.Context(), nil); !errors.Is(err, store.ErrClosed) {
			t.Errorf("import: error %v", err)
		}
	})
}

func porter(t *testing.T, s Store) Porter {
	t.Helper()
	p, ok := s.(Porter)
	if !ok {
		t.Fatalf("%T has no Export or no Import", s)
	}
	return p
}

func exported(t *testing.T, s Porter) []store.Change {
	t.Helper()
	var all []store.Change
	err := s.Export(t.Context(), func(ch store.Change) error {
		all = append(all, ch)
		return nil
	})
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	return all
}

// imported imports, n changes at once.
func imported(t *testing.T, s Porter, all []store.Change, n int) {
	t.Helper()
	for len(all) > 0 {
		n = min(n, len(all))
		if err := s.Import(t.Context(), all[:n]); err != nil {
			t.Fatalf("import: %v", err)
		}
		all = all[n:]
	}
}

// fill stores something of everything, and returns the key of call 2.
func fill(t *testing.T, s Store) *store.Key {
	t.Helper()
	key := &store.Key{Scope: "site", Value: "k", Hash: "h"}
	if _, _, err := s.CreateCall(t.Context(), newCall(2), store.Admission{Key: key}, event("a")); err != nil {
		t.Fatal(err)
	}
	named := event("d")
	named.CallID = newCall(2).ID
	for _, c := range []*store.Commit{
		s.SaveCall(fullCall(), event("b")),
		s.SaveEvents(store.Event{Type: "c", At: start().Add(1)}, named),
		s.SaveDialog(store.Dialog{ID: "d2", CallID: "c", LegID: "l", Data: json.RawMessage(`{"a":"<ж>"}`)}),
		s.SaveDialog(store.Dialog{ID: "d1", Data: json.RawMessage(`[1]`)}),
		s.SaveBinding(store.Binding{ID: "b", Data: json.RawMessage(`{"x":1}`)}),
		s.SaveTrace(store.TracePart{CallID: newCall(2).ID, At: start(), Data: []byte{0, 1, 255}}),
		s.SaveTrace(store.TracePart{CallID: newCall(1).ID, At: start().Add(time.Second), Data: []byte("one")}),
		s.SaveTrace(store.TracePart{CallID: newCall(1).ID, At: start(), Data: []byte("two")}),
		s.SaveCall(newCall(3), event("e")),
	} {
		wait(t, c)
	}
	for number, on := range map[string]bool{"101": true, "102": false} {
		if err := s.SetDND(t.Context(), number, on); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

func runCopy(t *testing.T, eng Engine, n int) {
	from := porter(t, opened(t, eng))
	key := fill(t, from)
	fence := acquire(t, from, "n", "a").Fence
	dir := t.TempDir()
	s := porter(t, eng.Open(t, dir))
	now := time.Now()
	imported(t, s, exported(t, from), n)
	sameTally(t, from, s, now)
	closed(t, s)
	s = porter(t, eng.Open(t, dir))
	defer closed(t, s)

	same(t, "calls", readCalls(t, s), readCalls(t, from))
	same(t, "events", readEvents(t, s), readEvents(t, from))
	same(t, "the rest", readRest(t, s), readRest(t, from))
	if got, dup, err := again(t, s, 9, newCall(2).Number, key); err != nil || !dup || got.ID != newCall(2).ID {
		t.Errorf("the key gives call %s, duplicate %v, error %v", got.ID, dup, err)
	}
	if l := acquire(t, s, "n", "b"); l.Fence <= fence {
		t.Errorf("fence %d follows %d", l.Fence, fence)
	}
	last, err := from.LastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, s.SaveEvents(event("later")))
	evs, _, err := s.Events(t.Context(), store.EventFilter{After: last})
	if err != nil || len(evs) != 1 || evs[0].Type != "later" {
		t.Errorf("after the last event come %v, error %v", types(evs), err)
	}
}

// sameTally fails the test where an export of a copy differs from that of the
// original.
func sameTally(t *testing.T, from, to Porter, now time.Time) {
	t.Helper()
	a, fromErr := transfer.Take(t.Context(), from, now)
	b, toErr := transfer.Take(t.Context(), to, now)
	if err := errors.Join(fromErr, toErr); err != nil {
		t.Fatal(err)
	}
	all, _ := transfer.Compare(a, b)
	for _, c := range all {
		if !c.Same {
			t.Errorf("of %s the copy has %d, the original %d, or they differ", c.Kind, c.To, c.From)
		}
	}
}

func readCalls(t *testing.T, s Store) []store.Call {
	t.Helper()
	calls, _, err := s.Calls(t.Context(), store.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

func readEvents(t *testing.T, s Store) []store.Event {
	t.Helper()
	var all []store.Event
	for after := ""; ; {
		evs, next, err := s.Events(t.Context(), store.EventFilter{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, evs...); next == "" {
			return all
		}
		after = next
	}
}

// rest is what there is beside calls and events.
type rest struct {
	Open     []string
	Dialogs  map[string]store.Dialog
	Bindings map[string]store.Binding
	Traces   [][]store.TracePart
	DND      map[string]bool
}

func readRest(t *testing.T, s Store) rest {
	t.Helper()
	open, openErr := s.OpenCalls(t.Context())
	dialogs, dialogsErr := s.Dialogs(t.Context())
	bindings, bindingsErr := s.Bindings(t.Context())
	dnd, dndErr := s.DND(t.Context())
	err := errors.Join(openErr, dialogsErr, bindingsErr, dndErr)
	r := rest{Open: ids(open), Dialogs: map[string]store.Dialog{}, Bindings: map[string]store.Binding{}, DND: dnd}
	for _, dl := range dialogs {
		r.Dialogs[dl.ID] = dl
	}
	for _, b := range bindings {
		r.Bindings[b.ID] = b
	}
	for n := 1; n <= 3; n++ {
		parts, partsErr := s.Traces(t.Context(), newCall(n).ID)
		err = errors.Join(err, partsErr)
		r.Traces = append(r.Traces, parts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func runManyParts(t *testing.T, eng Engine) {
	const many = 2345
	from := porter(t, opened(t, eng))
	evs := make([]store.Event, many)
	for i := range evs {
		evs[i] = event(fmt.Sprint(i))
	}
	wait(t, from.SaveEvents(evs...))
	seen := 0
	for _, ch := range exported(t, from) {
		if seen += len(ch.Events); len(ch.Events) > 1000 {
			t.Errorf("one change has %d events", len(ch.Events))
		}
	}
	if seen != many {
		t.Errorf("%d events of %d come", seen, many)
	}
	s := porter(t, opened(t, eng))
	imported(t, s, exported(t, from), 2)
	same(t, "events", readEvents(t, s), readEvents(t, from))
}

func runNotEmpty(t *testing.T, eng Engine) {
	full := porter(t, opened(t, eng))
	fill(t, full)
	all := exported(t, full)
	tried := map[store.ChangeType]bool{}
	for _, ch := range all {
		switch ch.Type {
		case store.ChangeCall, store.ChangeEvents, store.ChangeDialog, store.ChangeBinding, store.ChangeDND:
		default:
			continue // never there alone
		}
		if tried[ch.Type] {
			continue
		}
		tried[ch.Type] = true
		dir := t.TempDir()
		s := porter(t, eng.Open(t, dir))
		imported(t, s, []store.Change{ch}, 1)
		closed(t, s)
		s = porter(t, eng.Open(t, dir))
		if err := s.Import(t.Context(), all); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("where there is %s: error %v", ch.Type, err)
		}
		closed(t, s)
	}
	if len(tried) < 5 {
		t.Errorf("tried are %v", tried)
	}
}
