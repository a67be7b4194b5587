package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perezvon/internal/store"
)

// newCall returns an open callback, created n seconds after start.
func newCall(n int) store.Call {
	return store.Call{
		ID: fmt.Sprintf("%032x", n), Kind: store.KindCallback, State: store.StateQueued, Line: "main",
		Number: fmt.Sprintf("+7916%07d", n), CreatedAt: start().Add(time.Duration(n) * time.Second), Deadline: start().Add(time.Hour),
	}
}

func ended(c store.Call) store.Call {
	c.State, c.Result, c.Code = store.StateEnded, store.ResultCompleted, "200"
	return c
}

// changes numbers what a node has written, from 1.
type changes struct {
	t   testing.TB
	seq int64
	all []store.Change
}

func (b *changes) add(ch store.Change) {
	b.seq++
	ch.Seq = b.seq
	b.all = append(b.all, ch)
}

func (b *changes) record(kind store.ChangeType, id string, v any) {
	b.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	b.add(store.Change{Type: kind, ID: id, Data: data})
}

func (b *changes) call(c store.Call, types ...string) {
	b.t.Helper()
	b.record(store.ChangeCall, c.ID, c)
	if len(types) == 0 {
		return
	}
	var evs []store.Event
	for _, kind := range types {
		evs = append(evs, store.Event{Type: kind, At: c.CreatedAt, CallID: c.ID, Data: json.RawMessage(`{"n":1}`)})
	}
	b.add(store.Change{Type: store.ChangeEvents, Events: evs})
}

func (b *changes) trace(c store.Call, n int) {
	b.record(store.ChangeTrace, c.ID, store.TracePart{CallID: c.ID, At: start().Add(time.Duration(n) * time.Hour), Data: []byte(fmt.Sprint("\x00part ", n))})
}

func (b *changes) gone(kind store.ChangeType, id string) { b.add(store.Change{Type: kind, ID: id}) }

func ship(t testing.TB, r *remote, batch []store.Change) {
	t.Helper()
	if err := r.ship(t.Context(), "node", batch); err != nil {
		t.Fatal(err)
	}
}

// everything is all that can be read of a Redis.
type everything struct {
	Calls    []store.Call
	Open     []string
	Events   []string
	Dialogs  []store.Dialog
	Bindings []store.Binding
	DND      map[string]bool
	Traces   map[string][]store.TracePart
}

func read(t testing.TB, r *remote) everything {
	t.Helper()
	all := everything{Traces: map[string][]store.TracePart{}}
	var errs [7]error
	all.Calls, _, errs[0] = r.calls(t.Context(), store.Filter{Limit: 1000})
	for _, c := range all.Calls {
		if all.Traces[c.ID], errs[1] = r.traces(t.Context(), c.ID); errs[1] != nil {
			t.Fatal(errs[1])
		}
	}
	var evs []store.Event
	evs, _, errs[2] = r.events(t.Context(), store.EventFilter{Limit: 1000})
	for _, e := range evs {
		all.Events = append(all.Events, e.CallID+" "+e.Type)
	}
	all.Dialogs, errs[3] = r.dialogs(t.Context())
	all.Bindings, errs[4] = r.bindings(t.Context())
	all.DND, errs[5] = r.dnd(t.Context())
	var open []store.Call
	open, errs[6] = r.openCalls(t.Context())
	for _, c := range open {
		all.Open = append(all.Open, c.ID)
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// life is what a node writes while some calls come and go.
func life(t testing.TB, calls int) []store.Change {
	b := &changes{t: t}
	for n := range calls {
		c := newCall(n)
		b.call(c, "created")
		b.record(store.ChangeKey, store.KeyID("site", c.ID), store.KeyUse{Scope: "site", Value: c.ID, Hash: "h", CallID: c.ID, CreatedAt: time.Now()})
		b.record(store.ChangeDialog, "d"+c.ID, store.Dialog{ID: "d" + c.ID, CallID: c.ID, LegID: "l", Data: json.RawMessage(`{}`)})
		b.record(store.ChangeBinding, fmt.Sprint("b", n%3), store.Binding{ID: fmt.Sprint("b", n%3), Data: json.RawMessage(fmt.Sprint(n))})
		b.record(store.ChangeDND, fmt.Sprint(100+n%4), store.DND{DND: n%2 == 0})
		c.State = store.StateTalking
		b.call(c, "state", "leg")
		b.trace(c, n)
		if n%2 == 0 {
			b.gone(store.ChangeDialog, "d"+c.ID)
			b.call(ended(c), "ended")
			b.trace(c, n+1)
		}
	}
	b.add(store.Change{Type: store.ChangeEvents, Events: []store.Event{{Type: "trunk.up", At: start()}}})
	return b.all
}

func TestWhatIsShippedCanBeRead(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		same(t, "an empty one", read(t, r), everything{Traces: map[string][]store.TracePart{}, DND: map[string]bool{}})
		ship(t, r, life(t, 3))
		got := read(t, r)
		one := newCall(1)
		one.State = store.StateTalking
		same(t, "calls", got.Calls, []store.Call{ended(newCall(2)), one, ended(newCall(0))})
		same(t, "open", got.Open, []string{one.ID})
		var want []string
		for n := range 3 {
			for _, kind := range []string{"created", "state", "leg", "ended"} {
				if kind != "ended" || n != 1 {
					want = append(want, newCall(n).ID+" "+kind)
				}
			}
		}
		same(t, "events", got.Events, append(want, " trunk.up"))
		same(t, "dialogs", got.Dialogs, []store.Dialog{{ID: "d" + one.ID, CallID: one.ID, LegID: "l", Data: json.RawMessage(`{}`)}})
		same(t, "dnd", got.DND, map[string]bool{"100": true, "101": false, "102": true})
		var data []string
		for _, b := range got.Bindings {
			data = append(data, b.ID+"="+string(b.Data))
		}
		same(t, "bindings", data, []string{"b0=0", "b1=1", "b2=2"})
		same(t, "traces", got.Traces[newCall(2).ID], []store.TracePart{
			{CallID: newCall(2).ID, At: start().Add(2 * time.Hour), Data: []byte("\x00part 2")},
			{CallID: newCall(2).ID, At: start().Add(3 * time.Hour), Data: []byte("\x00part 3")},
		})
		if c, err := r.call(t.Context(), one.ID); err != nil || c.State != store.StateTalking {
			t.Errorf("call %+v, error %v", c, err)
		}
		if _, err := r.call(t.Context(), "unknown"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if seq, err := r.applied(t.Context(), "node"); err != nil || seq != int64(len(life(t, 3))) {
			t.Errorf("shipped up to %d, error %v", seq, err)
		}
		if seq, err := r.applied(t.Context(), "another"); err != nil || seq != 0 {
			t.Errorf("another shipped up to %d, error %v", seq, err)
		}
	})
}

func TestABatchMayBeSentAgain(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		batch := life(t, 8)
		ship(t, r, batch)
		want := read(t, r)
		for _, again := range [][]store.Change{batch, batch[:1], batch[3:20], batch[10:], batch[len(batch)-1:], batch} {
			ship(t, r, again)
			same(t, fmt.Sprintf("changes %d to %d again", again[0].Seq, again[len(again)-1].Seq), read(t, r), want)
		}
	})
}

func TestABatchInPartsIsTheSame(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		batch := life(t, 8)
		for i := range batch {
			ship(t, r, batch[max(0, i-2):min(len(batch), i+2)]) // each comes four times
		}
		got := read(t, r)
		other := onFake(t, newFake(t))
		ship(t, other, batch)
		same(t, "everything", got, read(t, other))
	})
}

func TestAChangeThatCameTooLateChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.call(newCall(1), "created")
		b.record(store.ChangeDND, "101", store.DND{DND: true})
		b.call(ended(newCall(1)), "ended")
		b.record(store.ChangeDND, "101", store.DND{DND: false})
		ship(t, r, b.all)
		ship(t, r, b.all[:3])
		got := read(t, r)
		same(t, "calls", got.Calls, []store.Call{ended(newCall(1))})
		same(t, "dnd", got.DND, map[string]bool{"101": false})
		if existing, _, err := r.admit(t.Context(), newCall(2), store.Admission{}); err != nil || existing != nil {
			t.Errorf("another number: %v, error %v", existing, err)
		}
		again := newCall(3)
		again.Number = newCall(1).Number
		if existing, _, err := r.admit(t.Context(), again, store.Admission{}); err != nil || existing != nil {
			t.Errorf("the call that ended is open again: %v, error %v", existing, err)
		}
	})
}

func TestNodesDoNotStandInEachOthersWay(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		for n, node := range []string{"a", "b", "c"} {
			b := &changes{t: t, seq: int64(10 - n)} // the later nodes are not as far
			b.call(newCall(n), "created")
			b.record(store.ChangeDND, fmt.Sprint(n), store.DND{DND: true})
			if err := r.ship(t.Context(), node, b.all); err != nil {
				t.Fatal(err)
			}
		}
		got := read(t, r)
		if len(got.Calls) != 3 || len(got.Events) != 3 || len(got.DND) != 3 {
			t.Errorf("%+v", got)
		}
	})
}

func TestACallThatIsGoneTakesEverythingAlong(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		batch := life(t, 2)
		b := &changes{t: t, seq: int64(len(batch))}
		b.gone(store.ChangeCall, newCall(0).ID)
		for range 2 {
			ship(t, r, append(batch, b.all...))
			got := read(t, r)
			one := newCall(1)
			one.State = store.StateTalking
			same(t, "calls", got.Calls, []store.Call{one})
			same(t, "events", got.Events, []string{one.ID + " created", one.ID + " state", one.ID + " leg", " trunk.up"})
			if all, err := r.traces(t.Context(), newCall(0).ID); err != nil || len(all) != 0 {
				t.Errorf("%d parts of its trace, error %v", len(all), err)
			}
			if evs, _, err := r.events(t.Context(), store.EventFilter{CallID: newCall(0).ID}); err != nil || len(evs) != 0 {
				t.Errorf("%d events, error %v", len(evs), err)
			}
		}
	})
}

func TestACallHasSoManyPartsOfATraceAndNoMore(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.call(newCall(1))
		for n := range store.MaxTraceParts + 3 {
			b.trace(newCall(1), n)
		}
		ship(t, r, b.all)
		all, err := r.traces(t.Context(), newCall(1).ID)
		if err != nil || len(all) != store.MaxTraceParts || string(all[len(all)-1].Data) != fmt.Sprint("\x00part ", store.MaxTraceParts-1) {
			t.Errorf("%d parts, error %v", len(all), err)
		}
	})
}

func TestALargeBatchGoesInParts(t *testing.T) {
	b := &changes{t: t}
	for n := range 600 {
		c := newCall(n % 7)
		c.Reason = strings.Repeat("x", 9000)
		b.call(c, fmt.Sprint(n))
	}
	size, parts := 0, 0
	for rest := b.all; len(rest) > 0; parts++ {
		n := chunk(rest)
		if n < 1 || n > chunkChanges {
			t.Fatalf("a part of %d changes", n)
		}
		size += n
		rest = rest[n:]
	}
	if size != len(b.all) || parts < 5 {
		t.Errorf("%d of %d changes in %d parts", size, len(b.all), parts)
	}
	huge := []store.Change{{Data: make([]byte, 2*chunkBytes)}, {}}
	if n := chunk(huge); n != 1 {
		t.Errorf("a huge one goes with %d others", n-1)
	}
	r := onReal(t)
	ship(t, r, b.all)
	if got := read(t, r); len(got.Calls) != 7 || len(got.Events) != 600 {
		t.Errorf("%d calls, %d events", len(got.Calls), len(got.Events))
	}
}

func TestScriptsThatRedisForgotAreSentAgain(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		batch := life(t, 6)
		for i := 0; i < len(batch); i += 5 {
			if err := r.data.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			ship(t, r, batch[i:min(i+5, len(batch))])
		}
		other := onFake(t, newFake(t))
		ship(t, other, batch)
		same(t, "everything", read(t, r), read(t, other))
	})
}
