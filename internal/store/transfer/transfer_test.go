package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
)

// list is a store that holds what it was given.
type list []store.Change

func (l *list) Export(_ context.Context, yield func(store.Change) error) error {
	for _, ch := range *l {
		if err := yield(ch); err != nil {
			return err
		}
	}
	return nil
}

func (l *list) Import(_ context.Context, batch []store.Change) error {
	*l = append(*l, batch...)
	return nil
}

func change(kind store.ChangeType, id string, record any) store.Change {
	data, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	return store.Change{Type: kind, ID: id, Data: data}
}

func events(from, to int) store.Change {
	ch := store.Change{Type: store.ChangeEvents}
	for i := from; i < to; i++ {
		ch.Events = append(ch.Events, store.Event{ID: store.EventID(int64(i)), Type: "e", At: time.Unix(int64(i), 0), Data: json.RawMessage(`{"a":1,"b":2}`)})
	}
	return ch
}

func job(id, lane string) store.Change {
	return change(store.ChangeJob, store.JobID("k", id), store.Job{ID: id, Kind: "k", Lane: lane, State: store.JobWaiting})
}

func trace(id, data string) store.Change {
	return change(store.ChangeTrace, id, store.TracePart{CallID: id, At: time.Unix(1, 0), Data: []byte(data)})
}

func compared(t *testing.T, a, b list) []store.ChangeType {
	t.Helper()
	from, err := Take(t.Context(), &a, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	to, err := Take(t.Context(), &b, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var differ []store.ChangeType
	all, same := Compare(from, to)
	for _, c := range all {
		if !c.Same {
			differ = append(differ, c.Kind)
		}
	}
	if same != (len(differ) == 0) {
		t.Errorf("same is %v, and %v differ", same, differ)
	}
	return differ
}

func TestStoresAreComparedWithoutMindingHowTheyAreWritten(t *testing.T) {
	calls := list{change(store.ChangeCall, "1", map[string]int{"a": 1}), change(store.ChangeCall, "2", nil)}
	for what, pair := range map[string][2]list{
		"order of records": {calls, {calls[1], calls[0]}},
		"order of names and white space": {
			{{Type: store.ChangeDialog, ID: "d", Data: json.RawMessage(`{"a":1,"b":[1, 2]}`)}},
			{{Type: store.ChangeDialog, ID: "d", Data: json.RawMessage(` {"b":[1,2],"a":1}`)}},
		},
		"parts of the events":    {{events(1, 10)}, {events(1, 3), events(3, 10)}},
		"order of lanes":         {{job("1", "a"), job("2", "b")}, {job("2", "b"), job("1", "a")}},
		"order of calls' traces": {{trace("1", "x"), trace("2", "y")}, {trace("2", "y"), trace("1", "x")}},
		"counters ahead":         {{change(store.ChangeCounter, "fence", 3)}, {change(store.ChangeCounter, "fence", 4)}},
	} {
		if differ := compared(t, pair[0], pair[1]); differ != nil {
			t.Errorf("%s: %v differ", what, differ)
		}
	}
}

func TestEveryDifferenceOfStoresIsSeen(t *testing.T) {
	a, b := change(store.ChangeCall, "1", 1), change(store.ChangeCall, "2", 2)
	turned := events(1, 3)
	turned.Events[0], turned.Events[1] = turned.Events[1], turned.Events[0]
	other := events(1, 3)
	other.Events[1].ID = store.EventID(7)
	for what, pair := range map[string][2]list{
		"one is missing":   {{a, b}, {a}},
		"one is too much":  {{a}, {a, b}},
		"another one":      {{a}, {b}},
		"twice and twice":  {{a, a}, {b, b}},
		"another content":  {{a}, {change(store.ChangeCall, "1", 3)}},
		"exchanged":        {{a, b}, {change(store.ChangeCall, "1", 2), change(store.ChangeCall, "2", 1)}},
		"order of events":  {{events(1, 3)}, {turned}},
		"ids of events":    {{events(1, 3)}, {other}},
		"order of jobs":    {{job("1", "a"), job("2", "a")}, {job("2", "a"), job("1", "a")}},
		"order of parts":   {{trace("1", "x"), trace("1", "y")}, {trace("1", "y"), trace("1", "x")}},
		"a counter behind": {{change(store.ChangeCounter, "fence", 3)}, {change(store.ChangeCounter, "fence", 2)}},
		"no counter":       {{change(store.ChangeCounter, "fence", 3)}, {}},
	} {
		if differ := compared(t, pair[0], pair[1]); len(differ) != 1 {
			t.Errorf("%s: %v differ", what, differ)
		}
	}
}

// clock is a store whose counter of fences goes on by itself.
type clock struct {
	list
	given int64
}

func (c *clock) LastFence(context.Context) (int64, error) { return c.given, nil }

func TestACopyMayBeBehindTheClockOfFencesButNotBehindAFenceThatWasGiven(t *testing.T) {
	counter := func(n int64) list { return list{change(store.ChangeCounter, store.CounterFence, n)} }
	for given, want := range map[int64]bool{0: true, 5: true, 6: true, 7: false} {
		from, err := Take(t.Context(), &clock{counter(100), given}, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		copied := counter(6)
		to, err := Take(t.Context(), &copied, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, same := Compare(from, to); same != want {
			t.Errorf("a copy that goes on from 6, where %d was given: same is %v", given, same)
		}
		if given > 0 {
			continue
		}
		if _, same := Compare(to, from); !same {
			t.Error("a clock that is ahead is not enough")
		}
	}
}

func TestWhatHasRunOutIsLeftBehindAndWhatWillSoonIsNotCompared(t *testing.T) {
	now := time.Now()
	key := func(id string, left time.Duration) store.Change {
		return change(store.ChangeKey, id, store.KeyUse{Value: id, CreatedAt: now.Add(left - keepKeys)})
	}
	done := func(id string, left time.Duration) store.Change {
		return change(store.ChangeJob, id, store.Job{ID: id, State: store.JobDone, Until: now.Add(left - store.KeepDone)})
	}
	from := list{
		key("gone", -time.Second), key("soon", time.Minute), key("stays", 2*time.Hour),
		done("gone", -time.Second), done("soon", time.Minute), done("stays", 2*time.Hour),
		change(store.ChangeCount, "gone", store.CountStep{Until: now.UnixMilli() - 1}),
		change(store.ChangePause, "gone", store.PauseUntil{Until: now}),
		change(store.ChangeRate, "gone", store.RateUse{Full: now}),
	}
	var to list
	tally, err := Copy(t.Context(), &from, &to, now)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, ch := range to {
		ids = append(ids, ch.ID)
	}
	if got := strings.Join(ids, " "); got != "soon stays soon stays" {
		t.Errorf("copied are: %s", got)
	}
	left := list{from[2], from[5]}
	later, err := Take(t.Context(), &left, now)
	if err != nil {
		t.Fatal(err)
	}
	if all, same := Compare(tally, later); !same {
		t.Errorf("what ran out meanwhile makes a difference: %+v", all)
	}
}

func open(t *testing.T) *sqlite.DB {
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

// filled is a store with more than one part of a copy takes.
func filled(t *testing.T) *sqlite.DB {
	t.Helper()
	d := open(t)
	var last *store.Commit
	for i := range 2*batchChanges + 1 {
		id := fmt.Sprintf("%032x", i)
		last = d.SaveCall(store.Call{ID: id, Line: "l", CreatedAt: time.Now()}, store.Event{Type: "a"}, store.Event{Type: "b", Data: json.RawMessage(`{"x":"<ж>"}`)})
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveTrace(store.TracePart{CallID: "x", Data: bytes.Repeat([]byte{0, 255}, batchBytes)}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAStoreIsCopiedInParts(t *testing.T) {
	from, to, now := filled(t), open(t), time.Now()
	moved, err := Copy(t.Context(), from, to, now)
	if err != nil {
		t.Fatal(err)
	}
	there, err := Take(t.Context(), to, now)
	if err != nil {
		t.Fatal(err)
	}
	all, same := Compare(moved, there)
	if !same || all[0].From != 2*batchChanges+1 || all[1].To != 4*batchChanges+2 || all[2].To != 1 {
		t.Errorf("compared: %+v", all)
	}
	if _, err := Copy(t.Context(), from, to, now); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("a second time: error %v", err)
	}
}

func TestAStoreComesBackFromAFile(t *testing.T) {
	from, to, now := filled(t), open(t), time.Now()
	path := filepath.Join(t.TempDir(), "changes.gz")
	var b bytes.Buffer
	if err := Write(t.Context(), from, &b, now); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), f, to, now); err != nil {
		t.Fatal(err)
	}
	a, err := Take(t.Context(), from, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Take(t.Context(), to, now)
	if err != nil {
		t.Fatal(err)
	}
	if all, same := Compare(a, c); !same {
		t.Errorf("compared: %+v", all)
	}

	for what, spoil := range map[string]func([]byte) []byte{
		"cut off":   func(b []byte) []byte { return b[:len(b)-100] },
		"cut short": func(b []byte) []byte { return b[:len(b)/2] },
		"changed": func(b []byte) []byte {
			b[len(b)-5] ^= 1 // in the checksum
			return b
		},
	} {
		if err := os.WriteFile(path, spoil(bytes.Clone(b.Bytes())), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Take(t.Context(), f, now); err == nil || !strings.Contains(err.Error(), path+" is damaged") {
			t.Errorf("%s: error %v", what, err)
		}
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path); !errors.Is(err, ErrNoChanges) {
		t.Errorf("something else: error %v", err)
	}
}
