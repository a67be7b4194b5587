package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
)

// node is an engine on a double, in a bubble.
type testNode struct {
	*DB
	t    *testing.T
	r    *double
	path string
	said *lockedBuffer // what was logged
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.b.String(), text)
}

// onDouble runs f under virtual time with an engine of its own.
func onDouble(t *testing.T, f func(n *testNode)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "perezvon.db")
	synctest.Test(t, func(t *testing.T) {
		n := &testNode{t: t, r: newDouble(t), path: path, said: &lockedBuffer{}}
		n.open()
		f(n)
		n.end()
	})
}

func (n *testNode) open() {
	n.t.Helper()
	var err error
	if n.DB, err = n.start(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *testNode) start() (*DB, error) {
	return open(n.t.Context(), n.path, n.r, slog.New(slog.NewTextHandler(n.said, nil)), 1)
}

func (n *testNode) end() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Errorf("close: %v", err)
	}
}

// again ends the engine and begins anew with the same file.
func (n *testNode) again() {
	n.t.Helper()
	n.end()
	n.open()
}

// save saves an open call with an event and waits for the disk.
func (n *testNode) save(id string, state store.State, event string) {
	n.t.Helper()
	if err := n.SaveCall(testCall(id, state), store.Event{Type: event, At: start()}).Wait(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

func (n *testNode) create(id string, key *store.Key) (store.Call, bool) {
	n.t.Helper()
	c, dup, err := n.CreateCall(n.t.Context(), testCall(id, store.StateQueued), store.Admission{Key: key}, store.Event{Type: "created " + id})
	if err != nil {
		n.t.Fatal(err)
	}
	return c, dup
}

// types are those of the events in Redis.
func (n *testNode) types() string {
	var all []string
	n.r.set(func() {
		for _, e := range n.r.log {
			all = append(all, e.Type)
		}
	})
	return strings.Join(all, " ")
}

func (n *testNode) wantTypes(want string) {
	n.t.Helper()
	synctest.Wait()
	if got := n.types(); got != want {
		n.t.Errorf("redis has the events %q, not %q", got, want)
	}
}

func (n *testNode) wantUp(want bool) {
	n.t.Helper()
	h, err := n.Health(n.t.Context())
	if err != nil || h.Up != want {
		n.t.Errorf("health %+v, error %v", h, err)
	}
}

func testCall(id string, state store.State) store.Call {
	return store.Call{ID: id, Kind: store.KindCallback, State: state, Line: "main", Number: "+7" + id, CreatedAt: start()}
}

func TestWhatIsStoredGetsToRedisInItsOrder(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.save("1", store.StateQueued, "a")
		n.save("1", store.StateTalking, "b")
		n.save("2", store.StateQueued, "c")
		evs, _, err := n.Events(n.t.Context(), store.EventFilter{})
		if err != nil || len(evs) != 3 {
			t.Fatalf("events %v, error %v", evs, err)
		}
		n.wantTypes("a b c")
		if c, err := n.r.call(limited(n.t), "1"); err != nil || c.State != store.StateTalking {
			t.Errorf("call %v, error %v", c.State, err)
		}
		h, err := n.Health(n.t.Context())
		if err != nil || !h.Up || h.Backlog != 0 || h.LastError != "" || !h.OldestUnsent.IsZero() {
			t.Errorf("health %+v, error %v", h, err)
		}
	})
}

// limited is a context with an end, as the double wants it.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}

func TestARepeatedCallIsAsDurableAsTheCallThatItRepeats(t *testing.T) {
	onDouble(t, func(n *testNode) {
		old, away := store.Key{Scope: "s", Value: "old"}, store.Key{Scope: "s", Value: "away"}
		want := func(when, id string, key *store.Key, durability string) {
			n.t.Helper()
			if c, dup := n.create(id+" again", key); !dup || c.ID != id || c.Durability != durability {
				n.t.Errorf("%s: %s is %q, duplicate %v", when, c.ID, c.Durability, dup)
			}
		}
		n.create("1", &old)
		want("before the outage", "1", &old, "")
		n.r.set(func() { n.r.refuse = io.EOF })
		time.Sleep(2 * lookEvery)
		n.wantUp(false)
		want("of before the outage", "1", &old, "")
		if c, dup := n.create("2", &away); dup || c.Durability != store.DurabilityLocal {
			n.t.Errorf("created %+v, duplicate %v", c, dup)
		}
		want("in the outage", "2", &away, store.DurabilityLocal)
		n.r.set(func() { n.r.refuse = nil })
		time.Sleep(probeLast + time.Second)
		n.wantUp(true)
		want("after the outage", "2", &away, "")
	})
}

func TestCallsGoOnWhileRedisIsAwayAndAreCarriedThereLater(t *testing.T) {
	for name, broken := range map[string]func(*double){
		"refusing":       func(r *double) { r.refuse = io.EOF },
		"hanging":        func(r *double) { r.hang = true },
		"out of memory":  func(r *double) { r.refuse = redisError("OOM command not allowed when used memory > 'maxmemory'.") },
		"read-only":      func(r *double) { r.refuse = redisError("READONLY You can't write against a read only replica.") },
		"other password": func(r *double) { r.refuse = redisError("WRONGPASS invalid username-password pair") },
		"loading":        func(r *double) { r.refuse = redisError("LOADING Redis is loading the dataset in memory") },
		"a replica now":  func(r *double) { r.problems = []Problem{{Fatal: true, Text: "is a replica"}} },
	} {
		t.Run(name, func(t *testing.T) {
			onDouble(t, func(n *testNode) {
				n.create("1", nil)
				n.r.set(func() { broken(n.r) })
				if name == "a replica now" {
					time.Sleep(2 * lookEvery)
				}
				began := time.Now()
				for i := range 10 {
					if c, dup := n.create(fmt.Sprint("away", i), nil); dup || c.Durability != store.DurabilityLocal {
						t.Errorf("created %+v, duplicate %v", c, dup)
					}
					n.save("1", store.StateTalking, fmt.Sprint(i))
				}
				if waited := time.Since(began); waited > callLimit+time.Second {
					t.Errorf("ten calls waited %v for redis", waited)
				}
				n.wantUp(false)
				n.awayReads()
				time.Sleep(time.Minute)
				if h, err := n.Health(n.t.Context()); err != nil || h.Backlog == 0 || h.OldestUnsent.IsZero() || h.LastError == "" {
					t.Errorf("health %+v, error %v", h, err)
				}
				n.r.set(func() { n.r.refuse, n.r.hang, n.r.problems = nil, false, nil })
				time.Sleep(probeLast + time.Second)
				n.wantUp(true)
				want := "created 1"
				for i := range 10 {
					want += fmt.Sprintf(" created away%d %d", i, i)
				}
				n.wantTypes(want)
				if c, _ := n.create("2", nil); c.Durability != "" {
					t.Errorf("after the outage a call is %s", c.Durability)
				}
			})
		})
	}
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// awayReads reads while Redis is away.
func (n *testNode) awayReads() {
	n.t.Helper()
	ctx := n.t.Context()
	if calls, _, err := n.Calls(ctx, store.Filter{}); err != nil || len(calls) != 11 {
		n.t.Errorf("%d calls, error %v", len(calls), err)
	}
	if _, _, err := n.Events(ctx, store.EventFilter{}); !errors.Is(err, store.ErrAway) {
		n.t.Errorf("events: error %v", err)
	}
	if _, err := n.LastEvent(ctx); !errors.Is(err, store.ErrAway) {
		n.t.Errorf("last event: error %v", err)
	}
	if _, err := n.Traces(ctx, "1"); err != nil {
		n.t.Errorf("traces: error %v", err)
	}
	if _, err := n.Call(ctx, "1"); err != nil {
		n.t.Errorf("a call of this node: error %v", err)
	}
	if _, err := n.Call(ctx, "another"); !errors.Is(err, store.ErrAway) {
		n.t.Errorf("a call of another node: error %v", err)
	}
	if calls, err := n.OpenCalls(ctx); err != nil || len(calls) != 11 {
		n.t.Errorf("%d open calls, error %v", len(calls), err)
	}
	if _, err := n.PruneCalls(ctx, start()); !errors.Is(err, store.ErrAway) || strings.Count(err.Error(), store.ErrAway.Error()) != 1 {
		n.t.Errorf("removal of calls: error %v", err)
	}
	if err := errors.Join(n.Ping(ctx), n.Prune(ctx), n.PruneTraces(ctx, start())); err != nil {
		n.t.Errorf("error %v", err)
	}
}

func TestANewSpoolNeedsRedisAndAUsedOneDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	synctest.Test(t, func(t *testing.T) {
		n := &testNode{t: t, r: newDouble(t), path: path, said: &lockedBuffer{}}
		n.r.refuse = io.EOF
		if _, err := n.start(); err == nil || !strings.Contains(err.Error(), "this data folder is new") {
			t.Fatalf("error %v", err)
		}
		n.r.refuse = nil
		n.open()
		n.save("1", store.StateQueued, "a")
		n.r.set(func() { n.r.hang = true })
		n.again()
		if !n.said.has("the service begins with what this node knows") {
			t.Error("nobody was told")
		}
		n.save("2", store.StateQueued, "b")
		n.wantUp(false)
		n.r.set(func() { n.r.hang = false })
		time.Sleep(5 * time.Second)
		n.wantUp(true)
		n.wantTypes("a b")
		n.end()
	})
}

func TestAReadWaitsForWhatWasStoredBeforeItAndNotForEver(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.r.set(func() { n.r.slow = map[string]time.Duration{"ship": 200 * time.Millisecond} })
		n.save("1", store.StateQueued, "a")
		if evs, _, err := n.Events(n.t.Context(), store.EventFilter{}); err != nil || len(evs) != 1 {
			t.Errorf("events %v, error %v", evs, err)
		}
		n.r.set(func() { n.r.slow = map[string]time.Duration{"ship": 4 * time.Second} })
		n.save("1", store.StateQueued, "b")
		began := time.Now()
		if _, _, err := n.Events(n.t.Context(), store.EventFilter{}); !errors.Is(err, store.ErrAway) || time.Since(began) != readLimit {
			t.Errorf("waited %v, error %v", time.Since(began), err)
		}
		n.wantUp(true) // it answers, only late
		if c, _ := n.create("2", nil); c.Durability != store.DurabilityLocal {
			t.Errorf("a call that is not there yet is %q", c.Durability)
		}
		time.Sleep(10 * time.Second)
		n.wantTypes("a b created 2")
	})
}

func TestAListIsNeverWithoutWhatThisNodeHadStored(t *testing.T) {
	for _, tc := range []struct {
		batch, waits time.Duration // how long a batch takes, and at most a list that is behind some of them
	}{
		{time.Second, arrivalLimit},
		{1900 * time.Millisecond, arrivalLimit},
		{2100 * time.Millisecond, readLimit}, // nothing gets there
		{4900 * time.Millisecond, readLimit}, // this node answers for itself
	} {
		t.Run(tc.batch.String(), func(t *testing.T) {
			onDouble(t, func(n *testNode) {
				n.r.set(func() { n.r.slow = map[string]time.Duration{"ship": tc.batch} })
				var last *store.Commit
				for i := range 4 * batchLen {
					last = n.SaveCall(testCall(fmt.Sprint(i), store.StateQueued))
				}
				if err := last.Wait(n.t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				began := time.Now()
				calls, next, err := n.Calls(n.t.Context(), store.Filter{Limit: 1000})
				if whole := len(calls) == 4*batchLen || (len(calls) == 1000 && next != ""); err != nil || !whole {
					t.Errorf("%d calls, error %v", len(calls), err)
				}
				if waited := time.Since(began); waited > tc.waits {
					t.Errorf("waited %v", waited)
				}
				n.r.set(func() { n.r.slow = nil })
				time.Sleep(10 * time.Second)
			})
		})
	}
}

func TestTheLastSecondThatARestartLostIsSentAgain(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.save("1", store.StateQueued, "a")
		time.Sleep(90 * time.Second) // long enough to be forgotten here
		n.save("1", store.StateRinging, "b")
		synctest.Wait()
		n.r.keep()
		n.save("1", store.StateTalking, "c")
		n.save("2", store.StateQueued, "d")
		n.wantTypes("a b c d")
		read, _, err := n.Events(n.t.Context(), store.EventFilter{})
		if err != nil {
			t.Fatal(err)
		}
		n.r.restart()
		n.wantTypes("a b")
		time.Sleep(lookEvery + time.Second)
		n.wantTypes("a b c d")
		if c, err := n.r.call(limited(n.t), "1"); err != nil || c.State != store.StateTalking {
			t.Errorf("state %s, error %v", c.State, err)
		}
		again, _, err := n.Events(n.t.Context(), store.EventFilter{After: read[len(read)-1].ID})
		if err != nil || len(again) != 2 {
			t.Errorf("a reader who has seen all before is told of %v, error %v", again, err)
		}
		n.save("2", store.StateTalking, "e")
		n.wantTypes("a b c d e")
	})
}

func TestARedisThatWasFlushedIsGivenWhatThisNodeHas(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.create("1", &store.Key{Scope: "s", Value: "v", Hash: "h"})
		n.save("2", store.StateTalking, "b")
		for _, c := range []*store.Commit{
			n.SaveDialog(store.Dialog{ID: "d", CallID: "2", Data: []byte(`{}`)}),
			n.SaveBinding(store.Binding{ID: "b", Data: []byte(`{}`)}),
			n.SaveTrace(store.TracePart{CallID: "2", At: start(), Data: []byte("x")}),
		} {
			if err := c.Wait(n.t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.SetDND(n.t.Context(), "101", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		before, err := n.LastEvent(n.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n.r.set(n.r.flush)
		time.Sleep(lookEvery + time.Second)
		n.wantTypes("created 1 b")
		if evs, _, err := n.Events(n.t.Context(), store.EventFilter{After: before}); err != nil || len(evs) != 2 {
			t.Errorf("a reader who has seen all before is told of %v, error %v", evs, err)
		}
		if !n.said.has("redis has lost what was in it") {
			t.Error("nobody was told")
		}
		n.r.set(func() {
			for _, slot := range []string{"call 1", "call 2", "dialog d", "binding b", "trace 2", "dnd 101", "key " + store.KeyID("s", "v")} {
				if _, ok := n.r.records[slot]; !ok {
					t.Errorf("%q is missing", slot)
				}
			}
		})
	})
}

func TestARecordThatRedisRefusesDoesNotKeepTheOthers(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.r.set(func() {
			n.r.bad = func(ch store.Change) error {
				if ch.ID == "bad" {
					return redisError("WRONGTYPE Operation against a key holding the wrong kind of value")
				}
				return nil
			}
		})
		n.save("1", store.StateQueued, "a")
		n.save("bad", store.StateQueued, "b")
		n.save("2", store.StateQueued, "c")
		n.wantTypes("a b c")
		n.wantUp(true)
		if !n.said.has("redis refuses a record") {
			t.Error("nobody was told")
		}
	})
}

func TestTwoServersDoNotUseOneRedis(t *testing.T) {
	other := filepath.Join(t.TempDir(), "perezvon.db")
	onDouble(t, func(n *testNode) {
		second := &testNode{t: n.t, r: n.r, path: other, said: &lockedBuffer{}}
		began := time.Now()
		_, err := second.start()
		if err == nil || !strings.Contains(err.Error(), "another perezvon uses it (host "+n.me.Host+", pid ") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took > serviceTTL/2 {
			t.Errorf("that took %v", took)
		}
		time.Sleep(time.Hour) // it is renewed
		if _, err := second.start(); err == nil {
			t.Error("after an hour the second one starts")
		}
		n.again() // the same node at once
		n.end()
		second.open()
		second.end()
		n.open()
	})
}

func TestAServerThatDiedIsOutwaited(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.end()
		n.r.set(func() { n.r.use, n.r.until = holder{Node: "dead", Host: "there", PID: 1}, time.Now().Add(serviceTTL) })
		began := time.Now()
		n.open()
		if took := time.Since(began); took > serviceTTL+time.Second {
			t.Errorf("that took %v", took)
		}
	})
}

func TestANewNodeTakesOverWhatAnotherLeftBehind(t *testing.T) {
	other := filepath.Join(t.TempDir(), "perezvon.db")
	onDouble(t, func(n *testNode) {
		n.save("open", store.StateTalking, "a")
		n.save("ended", store.StateEnded, "b")
		for _, c := range []*store.Commit{
			n.SaveDialog(store.Dialog{ID: "d", CallID: "open", Data: []byte(`{}`)}),
			n.SaveBinding(store.Binding{ID: "b", Data: []byte(`{"contact":"x"}`)}),
		} {
			if err := c.Wait(n.t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.SetDND(n.t.Context(), "101", true); err != nil {
			t.Fatal(err)
		}
		n.end()
		second := &testNode{t: n.t, r: n.r, path: other, said: &lockedBuffer{}}
		second.open()
		ctx := n.t.Context()
		calls, err := second.OpenCalls(ctx)
		if err != nil || len(calls) != 1 || calls[0].ID != "open" {
			t.Errorf("open calls %v, error %v", calls, err)
		}
		dialogs, err := second.Dialogs(ctx)
		if err != nil || len(dialogs) != 1 || dialogs[0].CallID != "open" {
			t.Errorf("dialogs %v, error %v", dialogs, err)
		}
		bindings, err := second.Bindings(ctx)
		if err != nil || len(bindings) != 1 {
			t.Errorf("bindings %v, error %v", bindings, err)
		}
		if said, err := second.DND(ctx); err != nil || !said["101"] {
			t.Errorf("dnd %v, error %v", said, err)
		}
		if c, err := second.Call(ctx, "ended"); err != nil || c.State != store.StateEnded {
			t.Errorf("a call of the other's: %v, error %v", c.State, err)
		}
		second.save("open", store.StateEnded, "c")
		second.end()
		// The first one comes back and hears that its call is over.
		n.open()
		if calls, err := n.OpenCalls(ctx); err != nil || len(calls) != 0 {
			t.Errorf("open calls %v, error %v", calls, err)
		}
		n.wantTypes("a b c")
	})
}

func TestCloseDuringAnOutageIsQuickAndLosesNothing(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.save("1", store.StateQueued, "a")
		synctest.Wait()
		n.r.set(func() { n.r.hang = true })
		var last *store.Commit
		for i := range 300 {
			last = n.SaveCall(testCall("1", store.StateTalking), store.Event{Type: fmt.Sprint(i)})
		}
		began := time.Now()
		n.end()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("close took %v", took)
		}
		if settled, err := last.Poll(); !settled || err != nil {
			t.Errorf("settled %v, error %v", settled, err)
		}
		n.r.set(func() { n.r.hang = false })
		n.open()
		if evs, _, err := n.Events(n.t.Context(), store.EventFilter{}); err != nil || len(evs) != 301 || evs[300].Type != "299" {
			t.Errorf("%d events, error %v", len(evs), err)
		}
	})
}

func TestADuplicateOfACallThatHasJustEndedIsNone(t *testing.T) {
	onDouble(t, func(n *testNode) {
		for i := range 30 {
			c := testCall(fmt.Sprint(i), store.StateQueued)
			c.Number = "+7"
			if _, dup, err := n.CreateCall(n.t.Context(), c, store.Admission{}); err != nil || dup {
				t.Fatalf("call %d: duplicate %v, error %v", i, dup, err)
			}
			c.State = store.StateEnded
			n.SaveCall(c)
		}
	})
}

func TestKeysHoldAcrossAnOutage(t *testing.T) {
	onDouble(t, func(n *testNode) {
		key := func(v string) *store.Key { return &store.Key{Scope: "s", Value: v, Hash: "h"} }
		n.create("before", key("before"))
		twin := testCall("twin", store.StateQueued)
		twin.Number = testCall("before", "").Number
		if c, dup, err := n.CreateCall(n.t.Context(), twin, store.Admission{Key: key("twin")}); err != nil || !dup || c.ID != "before" {
			t.Errorf("a second request for the open call gives %s, duplicate %v, error %v", c.ID, dup, err)
		}
		if err := n.SaveCall(testCall("before", store.StateEnded)).Wait(n.t.Context()); err != nil {
			t.Fatal(err)
		}
		n.r.set(func() { n.r.refuse = io.EOF })
		if c, dup := n.create("x", key("twin")); !dup || c.ID != "before" {
			t.Errorf("the second request's key gives %s, duplicate %v", c.ID, dup)
		}
		if c, dup := n.create("x", key("before")); !dup || c.ID != "before" {
			t.Errorf("a key from before the outage gives %s, duplicate %v", c.ID, dup)
		}
		n.create("during", key("during"))
		n.r.set(func() { n.r.refuse = nil })
		time.Sleep(10 * time.Second)
		if c, dup := n.create("y", key("during")); !dup || c.ID != "during" {
			t.Errorf("a key from the outage gives %s, duplicate %v", c.ID, dup)
		}
		if _, ok := n.r.records["key "+store.KeyID("s", "during")]; !ok {
			t.Error("redis does not know the key")
		}
	})
}

func TestLeasesHoldAcrossAnOutage(t *testing.T) {
	onDouble(t, func(n *testNode) {
		ctx := n.t.Context()
		must := func(l store.Lease, err error) store.Lease {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		before := must(n.AcquireLease(ctx, "before", "a", time.Hour))
		released := must(n.AcquireLease(ctx, "released", "a", time.Hour))
		n.r.set(func() { n.r.hang = true })
		during := must(n.AcquireLease(ctx, "during", "a", time.Hour))
		if during.Fence <= released.Fence {
			t.Errorf("fence %d comes behind %d", during.Fence, released.Fence)
		}
		if _, err := n.AcquireLease(ctx, "before", "b", time.Hour); !errors.Is(err, store.ErrHeld) {
			t.Errorf("error %v", err)
		}
		before = must(n.RenewLease(ctx, before, time.Hour))
		if err := n.ReleaseLease(ctx, released); err != nil {
			t.Fatal(err)
		}
		n.r.set(func() { n.r.hang = false })
		time.Sleep(10 * time.Second)
		again := must(n.AcquireLease(ctx, "released", "b", time.Hour))
		if again.Fence <= during.Fence {
			t.Errorf("fence %d comes behind %d", again.Fence, during.Fence)
		}
		must(n.RenewLease(ctx, before, time.Hour))
		renewed := must(n.RenewLease(ctx, during, time.Hour))
		if renewed.Fence <= during.Fence || n.r.leases["during"].Fence != renewed.Fence {
			t.Errorf("renewed as %+v, redis has %+v", renewed, n.r.leases["during"])
		}
		must(n.RenewLease(ctx, renewed, time.Hour))
		// What another node has got is lost to this one.
		n.r.set(func() {
			n.r.leases["during"] = store.Lease{Name: "during", Owner: "other", Fence: 1 << 40, Until: time.Now().Add(time.Hour)}
		})
		if _, err := n.RenewLease(ctx, renewed, time.Hour); !errors.Is(err, store.ErrHeld) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAPlaceOfACallThatNeverCameToBeIsGivenToTheNext(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.r.set(func() { n.r.admitted["main +71"] = "dead" })
		began := time.Now()
		if c, dup := n.create("1", nil); dup || c.Durability != "" {
			t.Errorf("call %+v, duplicate %v", c, dup)
		}
		if waited := time.Since(began); waited > 2*callLimit {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestACallThatOnlyThisNodeRefusesGivesItsPlaceBack(t *testing.T) {
	onDouble(t, func(n *testNode) {
		c := testCall("1", store.StateQueued)
		n.SaveCall(c) // unknown to Redis yet
		other := testCall("2", store.StateQueued)
		other.Number = c.Number
		if got, dup, err := n.CreateCall(n.t.Context(), other, store.Admission{}); err != nil || !dup || got.ID != "1" {
			t.Errorf("call %s, duplicate %v, error %v", got.ID, dup, err)
		}
		n.r.set(func() {
			if id := n.r.admitted["main "+c.Number]; id == "2" {
				t.Error("the place is held for the call that was not created")
			}
		})
	})
}

func TestAFileFromABackupGoesOnBehindWhatRedisKnows(t *testing.T) {
	onDouble(t, func(n *testNode) {
		n.save("1", store.StateQueued, "a")
		n.end()
		backup, err := os.ReadFile(n.path)
		if err != nil {
			t.Fatal(err)
		}
		n.open()
		n.save("1", store.StateTalking, "b")
		n.save("1", store.StateEnded, "c")
		n.save("2", store.StateQueued, "d")
		n.end()
		if err := os.WriteFile(n.path, backup, 0o600); err != nil {
			t.Fatal(err)
		}
		n.open()
		if !n.said.has("from a backup") {
			t.Error("nobody was told")
		}
		calls, err := n.OpenCalls(n.t.Context())
		if err != nil || len(calls) != 1 || calls[0].ID != "2" {
			t.Errorf("open calls %v, error %v", calls, err)
		}
		n.save("2", store.StateTalking, "e")
		n.wantTypes("a b c d e")
		if c, err := n.r.call(limited(n.t), "2"); err != nil || c.State != store.StateTalking {
			t.Errorf("state %s, error %v", c.State, err)
		}
	})
}
