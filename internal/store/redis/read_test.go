package redis

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/sqlite"
)

// spool opens an engine that notes what is to be shipped.
func spool(t *testing.T) *sqlite.DB {
	t.Helper()
	d, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "perezvon.db"), sqlite.Options{Outbox: true})
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

// TestListsAreThoseOfTheOtherEngine writes random calls to both engines and
// reads all pages of any filter from both.
func TestListsAreThoseOfTheOtherEngine(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		d := spool(t)
		shipped := int64(0)
		rapid.Check(t, func(rt *rapid.T) {
			var last *store.Commit
			for range rapid.IntRange(0, 20).Draw(rt, "calls") {
				last = d.SaveCall(drawCall(rt), store.Event{Type: "a", At: start()})
			}
			if last != nil {
				if err := last.Wait(t.Context()); err != nil {
					rt.Fatal(err)
				}
			}
			for {
				batch, err := d.Outbox(t.Context(), shipped, rapid.IntRange(1, 30).Draw(rt, "batch"))
				if err != nil {
					rt.Fatal(err)
				}
				if len(batch) == 0 {
					break
				}
				if err := r.ship(t.Context(), "node", batch); err != nil {
					rt.Fatal(err)
				}
				shipped = batch[len(batch)-1].Seq
			}
			f := drawFilter(rt)
			for page := 0; ; page++ {
				want, next, err := d.Calls(t.Context(), f)
				got, next2, err2 := r.calls(t.Context(), f)
				if err := errors.Join(err, err2); err != nil {
					rt.Fatal(err)
				}
				if next != next2 || !slices.Equal(ids(got), ids(want)) {
					rt.Fatalf("%+v, page %d: %v and %q, want %v and %q", f, page, ids(got), next2, ids(want), next)
				}
				if f.Cursor = next; next == "" {
					break
				}
			}
			want, err := d.OpenCalls(t.Context())
			got, err2 := r.openCalls(t.Context())
			if err := errors.Join(err, err2); err != nil || !slices.Equal(ids(got), ids(want)) {
				rt.Fatalf("open %v, want %v, error %v", ids(got), ids(want), err)
			}
		})
	})
}

// drawCall draws a call that is likely to be there already, or to have the same
// in one field or another.
func drawCall(rt *rapid.T) store.Call {
	c := newCall(rapid.IntRange(0, 3).Draw(rt, "second"))
	c.ID = fmt.Sprintf("%032x", rapid.IntRange(0, 15).Draw(rt, "id"))
	c.Number = rapid.SampledFrom([]string{"", "+7", "+8"}).Draw(rt, "number")
	c.Line = rapid.SampledFrom([]string{"", "main", "a:}{b"}).Draw(rt, "line")
	c.Kind = rapid.SampledFrom([]store.Kind{store.KindCallback, store.KindInbound}).Draw(rt, "kind")
	c.State = rapid.SampledFrom([]store.State{store.StateQueued, store.StateTalking, store.StateEnded}).Draw(rt, "state")
	c.Result = rapid.SampledFrom([]store.Result{"", store.ResultMissed, store.ResultBusy}).Draw(rt, "result")
	if rapid.IntRange(0, 9).Draw(rt, "old") == 0 {
		c.CreatedAt = time.Time{}
	}
	return c
}

func drawFilter(rt *rapid.T) store.Filter {
	at := rapid.SampledFrom([]time.Time{{}, {}, start(), start().Add(2 * time.Second), start().Add(4 * time.Second)})
	return store.Filter{
		Kind:   rapid.SampledFrom([]store.Kind{"", "", store.KindCallback, store.KindInbound}).Draw(rt, "f kind"),
		State:  rapid.SampledFrom([]store.State{"", "", store.StateQueued, store.StateEnded}).Draw(rt, "f state"),
		Result: rapid.SampledFrom([]store.Result{"", "", store.ResultMissed}).Draw(rt, "f result"),
		Number: rapid.SampledFrom([]string{"", "", "+7", "*"}).Draw(rt, "f number"),
		Line:   rapid.SampledFrom([]string{"", "", "main", "a:}{b"}).Draw(rt, "f line"),
		From:   at.Draw(rt, "from"), To: at.Draw(rt, "to"),
		Limit: rapid.IntRange(1, 6).Draw(rt, "limit"),
	}
}

func ids(calls []store.Call) []string {
	out := make([]string, 0, len(calls))
	for i := range calls {
		out = append(out, calls[i].ID)
	}
	return out
}

func TestAPageGoesOnWhereManyDoNotFit(t *testing.T) {
	t.Parallel()
	r := onReal(t)
	const calls = 2*lookAt + 10
	b := &changes{t: t}
	for n := range calls {
		c := ended(newCall(n))
		c.Kind = store.KindInbound
		if n%(lookAt-1) == 0 {
			c.Kind = store.KindCallback
		}
		b.call(c)
	}
	ship(t, r, b.all)
	var got []string
	f := store.Filter{Kind: store.KindCallback, Line: "main", Limit: 1}
	for {
		page, next, err := r.calls(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(page)...)
		if f.Cursor = next; next == "" {
			break
		}
	}
	same(t, "calls", got, []string{newCall(2*lookAt - 2).ID, newCall(lookAt - 1).ID, newCall(0).ID})
	all, next, err := r.calls(t.Context(), store.Filter{Limit: 5000})
	if err != nil || len(all) != 1000 || next == "" {
		t.Errorf("%d calls, next %q, error %v", len(all), next, err)
	}
	if all, _, err = r.calls(t.Context(), store.Filter{}); err != nil || len(all) != 50 {
		t.Errorf("%d calls, error %v", len(all), err)
	}
}

func TestAnIndexIsAHintAndTheRecordDecides(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.call(newCall(1))
		b.call(newCall(2))
		b.call(newCall(3))
		ship(t, r, b.all)
		ctx := t.Context()
		if err := errors.Join(
			r.data.Del(ctx, callSlot(newCall(1).ID)+":record").Err(),
			r.data.HSet(ctx, callSlot(newCall(2).ID)+":record", "d", mustJSON(t, ended(newCall(2)))).Err(),
		); err != nil {
			t.Fatal(err)
		}
		for name, f := range map[string]store.Filter{
			"open": {State: store.StateQueued}, "result": {Result: ""}, "number": {Number: newCall(2).Number},
		} {
			calls, _, err := r.calls(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string][]string{"open": {newCall(3).ID}, "result": {newCall(3).ID, newCall(2).ID}, "number": {newCall(2).ID}}[name]
			same(t, name, ids(calls), want)
		}
		open, err := r.openCalls(ctx)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "open calls", ids(open), []string{newCall(3).ID})
	})
}

func mustJSON(t *testing.T, c store.Call) []byte {
	t.Helper()
	data, err := c.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAForeignCursorIsRefused(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.call(newCall(1), "a")
		b.call(newCall(2), "a")
		ship(t, r, b.all)
		_, good, err := r.calls(t.Context(), store.Filter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, cursor := range []string{"x", "-", "(", "[", "+", good[1:], good + "A", " " + good, "\x00"} {
			if _, _, err := r.calls(t.Context(), store.Filter{Cursor: cursor}); !errors.Is(err, store.ErrBadCursor) {
				t.Errorf("cursor %q: error %v", cursor, err)
			}
		}
		for _, after := range []string{"x", "0", "$", "1-0", strings.Repeat("f", 16), " " + store.EventID(1)} {
			if _, _, err := r.events(t.Context(), store.EventFilter{After: after}); !errors.Is(err, store.ErrBadCursor) {
				t.Errorf("after %q: error %v", after, err)
			}
			if _, err := r.follow(t.Context(), after); !errors.Is(err, store.ErrBadCursor) {
				t.Errorf("follow after %q: error %v", after, err)
			}
		}
		for _, far := range []string{store.EventID(1<<63 - 1), store.EventID(1 << 60)} {
			for _, id := range []string{"", newCall(1).ID} {
				if evs, next, err := r.events(t.Context(), store.EventFilter{After: far, CallID: id}); err != nil || len(evs) > 0 || next != "" {
					t.Errorf("after %s: %v, next %q, error %v", far, evs, next, err)
				}
			}
		}
	})
}

func TestPagesHoldEveryEventOnceOldestFirst(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		want := map[string][]string{}
		for n := range 40 {
			c := newCall(n % 3)
			kind := fmt.Sprint(n)
			b.call(c, kind)
			want[""] = append(want[""], kind)
			want[c.ID] = append(want[c.ID], kind)
		}
		ship(t, r, b.all)
		for id, kinds := range want {
			for _, limit := range []int{1, 7, 40, 0} {
				f := store.EventFilter{CallID: id, Limit: limit}
				var got []string
				for {
					evs, next, err := r.events(t.Context(), f)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range evs {
						got = append(got, e.Type)
					}
					if next == "" {
						break
					}
					if f.After = next; next != evs[len(evs)-1].ID {
						t.Fatalf("next %s is not the last id", next)
					}
				}
				same(t, fmt.Sprintf("call %q, limit %d", id, limit), got, kinds)
			}
		}
	})
}

func TestAPageOfACallsEventsIsReadInAFewCommands(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		own, other := newCall(1), newCall(2)
		for n := range 10 {
			for range 100 { // a phase in which only this call happens
				b.call(own, "own")
			}
			for range 3 * n {
				b.call(other, "other")
			}
		}
		ship(t, r, b.all)
		asked := &counted{}
		r.data.AddHook(asked)
		evs, next, err := r.events(t.Context(), store.EventFilter{CallID: own.ID, Limit: 1000})
		if err != nil || next != "" || len(evs) != 1000 {
			t.Errorf("%d events, next %q, error %v", len(evs), next, err)
		}
		for _, e := range evs {
			if e.CallID != own.ID {
				t.Fatalf("event %s is of call %s", e.ID, e.CallID)
			}
		}
		if asked.trips.Load() > 2 || asked.commands.Load() > 11 {
			t.Errorf("it took %d commands in %d round trips", asked.commands.Load(), asked.trips.Load())
		}
	})
}

// counted counts what a client asks.
type counted struct{ trips, commands atomic.Int32 }

func (c *counted) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (c *counted) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.trips.Add(1)
		c.commands.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counted) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		c.trips.Add(1)
		c.commands.Add(int32(len(cmds)))
		return next(ctx, cmds)
	}
}

func TestAnEventComesBackAsItWas(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		before, err := r.lastEvent(t.Context())
		if err != nil || before != store.EventID(0) {
			t.Fatalf("last %s, error %v", before, err)
		}
		want := []store.Event{
			{ID: store.EventID(1), Type: "a", At: start().Add(123456789), CallID: "c", Data: []byte(`{"x":"ж"}`)},
			{ID: store.EventID(2), Type: "b", CallID: ""},
		}
		ship(t, r, []store.Change{{Seq: 1, Type: store.ChangeEvents, Events: want}, {Seq: 2, Type: store.ChangeEvents}})
		evs, next, err := r.events(t.Context(), store.EventFilter{After: before})
		if err != nil || next != "" {
			t.Fatalf("next %q, error %v", next, err)
		}
		same(t, "events", evs, want)
		if last, err := r.lastEvent(t.Context()); err != nil || last != want[1].ID {
			t.Errorf("last %s, error %v", last, err)
		}
	})
}

func TestAFollowerIsWokenByNewEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := redistest.NewFake()
		defer fake.Close()
		r, err := dial(Options{URL: "redis://localhost", Dialer: fake.Dial})
		if err != nil {
			t.Fatal(err)
		}
		acknowledge(t, r)
		began := time.Now()
		if grown, err := r.follow(t.Context(), ""); err != nil || grown || time.Since(began) != followFor {
			t.Errorf("grown %v after %v, error %v", grown, time.Since(began), err)
		}
		go func() {
			time.Sleep(2 * time.Second)
			ship(t, r, []store.Change{{Seq: 1, Type: store.ChangeEvents, Events: []store.Event{{Type: "a"}}}})
		}()
		began = time.Now()
		if grown, err := r.follow(t.Context(), ""); err != nil || !grown || time.Since(began) != 2*time.Second {
			t.Errorf("grown %v after %v, error %v", grown, time.Since(began), err)
		}
		if grown, err := r.follow(t.Context(), ""); err != nil || !grown {
			t.Errorf("grown %v, error %v", grown, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.follow(ctx, store.EventID(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBindingsKeepTheirOrder(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		for _, id := range []string{"z", "a", "m", "z", "b"} {
			b.record(store.ChangeBinding, id, store.Binding{ID: id, Data: []byte("1")})
		}
		b.gone(store.ChangeBinding, "a")
		b.gone(store.ChangeBinding, "unknown")
		b.record(store.ChangeBinding, "a", store.Binding{ID: "a", Data: []byte("2")})
		ship(t, r, b.all)
		got, err := r.bindings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, binding := range got {
			order = append(order, binding.ID)
		}
		same(t, "bindings", order, []string{"z", "m", "b", "a"})
	})
}
