// Package storetest says in tests what every engine of package store must do.
package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"perezvon/internal/store"
)

// Store is everything that an engine offers. Users define smaller interfaces
// of their own.
type Store interface {
	CreateCall(ctx context.Context, c store.Call, adm store.Admission, evs ...store.Event) (stored store.Call, duplicate bool, err error)
	SaveCall(c store.Call, evs ...store.Event) *store.Commit
	Call(ctx context.Context, id string) (store.Call, error)
	Calls(ctx context.Context, f store.Filter) (calls []store.Call, next string, err error)
	OpenCalls(ctx context.Context) ([]store.Call, error)

	Events(ctx context.Context, f store.EventFilter) (evs []store.Event, next string, err error)
	LastEvent(ctx context.Context) (id string, err error)
	SaveEvents(evs ...store.Event) *store.Commit
	EventsChanged() <-chan struct{}

	SaveDialog(d store.Dialog) *store.Commit
	DeleteDialog(id string) *store.Commit
	Dialogs(ctx context.Context) ([]store.Dialog, error)

	SaveBinding(b store.Binding) *store.Commit
	DeleteBinding(id string) *store.Commit
	Bindings(ctx context.Context) ([]store.Binding, error)

	SaveTrace(p store.TracePart) *store.Commit
	Traces(ctx context.Context, callID string) ([]store.TracePart, error)
	PruneTraces(ctx context.Context, before time.Time) error

	AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (store.Lease, error)
	RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error)
	ReleaseLease(ctx context.Context, l store.Lease) error
	DropLeases(ctx context.Context, owner string) error

	SetDND(ctx context.Context, extension string, on bool) error
	DND(ctx context.Context) (map[string]bool, error)

	Ping(ctx context.Context) error
	Prune(ctx context.Context) error
	PruneCalls(ctx context.Context, before time.Time) (removed int, err error)
	PruneEvents(ctx context.Context, before time.Time) (removed int, err error)
	Expired(ctx context.Context, e store.Expiry) (store.Expired, error)
	Close() error
}

// Engine is what the suite runs on.
//
// Of a write the suite waits for its commit, of a lease or a count for the
// answer, and reads afterwards: an engine whose reads come from somewhere else
// than its writes go to must let them wait until they have got there.
type Engine struct {
	// Open opens the store that lies in dir, or a new one where there is none.
	// The suite closes what it opens and opens some directories again.
	Open func(t *testing.T, dir string) Store

	// RealTime says that the engine asks a clock outside of this process, which
	// a bubble of testing/synctest cannot turn: the tests of time let fractions
	// of a second pass then, and those that need hours are left out.
	RealTime bool

	// Restless says that the engine looks after something every few seconds,
	// also when nobody asks it anything: tests that let days go by, or open it
	// again and again, are left out.
	Restless bool
}

// Run runs the whole suite. Tests of time run in a bubble of testing/synctest
// unless the engine has RealTime, so it must work inside of one.
func Run(t *testing.T, eng Engine) {
	t.Run("create", func(t *testing.T) { runCreate(t, eng) })
	t.Run("save", func(t *testing.T) { runSave(t, eng) })
	t.Run("list", func(t *testing.T) { runList(t, eng) })
	t.Run("events", func(t *testing.T) { runEvents(t, eng) })
	t.Run("dialogs", func(t *testing.T) { runDialogs(t, eng) })
	t.Run("bindings", func(t *testing.T) { runBindings(t, eng) })
	t.Run("traces", func(t *testing.T) { runTraces(t, eng) })
	t.Run("leases", func(t *testing.T) { runLeases(t, eng) })
	t.Run("extensions", func(t *testing.T) { runExtensions(t, eng) })
	t.Run("retention", func(t *testing.T) { runRetention(t, eng) })
	t.Run("export", func(t *testing.T) { runExport(t, eng) })
	t.Run("life", func(t *testing.T) { runLife(t, eng) })
}

// opened opens a store in a new directory and closes it when the test ends.
func opened(t *testing.T, eng Engine) Store {
	t.Helper()
	s := eng.Open(t, t.TempDir())
	t.Cleanup(func() { closed(t, s) })
	return s
}

func closed(t *testing.T, s Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// timed runs f with a store of its own, under virtual time if the engine can.
func timed(t *testing.T, eng Engine, f func(t *testing.T, s Store)) {
	t.Helper()
	if eng.RealTime {
		f(t, opened(t, eng))
		return
	}
	bubble(t, eng, f)
}

// span is how long something lasts that a test sees run out: a minute, or as
// much of it as one can wait for. Nothing may depend on the span not being over
// yet, since in real time any step may take longer.
func (eng Engine) span() time.Duration {
	if eng.RealTime {
		return 300 * time.Millisecond
	}
	return time.Minute
}

// pass lets a span that has begun before go by, by any clock that runs like
// ours.
func (eng Engine) pass() { time.Sleep(eng.span() + eng.span()/10) }

// bubble runs f under virtual time with a store of its own.
func bubble(t *testing.T, eng Engine, f func(t *testing.T, s Store)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := eng.Open(t, dir)
		f(t, s)
		closed(t, s)
	})
}

// start is when the suite's calls are created.
func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// newCall returns an open callback, created n seconds after start.
func newCall(n int) store.Call {
	return store.Call{
		ID:        fmt.Sprintf("%032x", n),
		Kind:      store.KindCallback,
		State:     store.StateQueued,
		Line:      "main",
		Number:    fmt.Sprintf("+7916%07d", n),
		CreatedAt: start().Add(time.Duration(n) * time.Second),
		Deadline:  start().Add(time.Hour),
	}
}

// fullCall returns a call with something in every field.
func fullCall() store.Call {
	c := newCall(1)
	at := start().In(time.FixedZone("", 3*3600)).Add(123456789)
	lost, jitter, rtt := int64(-2), 1.25, 31.5
	c.State, c.Result, c.Code = store.StateEnded, store.ResultCompleted, "200"
	c.Reason, c.ReasonOwner, c.HangupBy = "all talked \u2028 \"<&>\"", store.PartyCustomer, store.PartyManager
	c.Manager = &store.Endpoint{Number: "+74950000000", Extension: "101", Name: "Анна"}
	c.Customer = &store.Endpoint{Number: c.Number}
	c.AnsweredAt, c.EndedAt, c.NextAt = &at, &at, &at
	c.TalkMS, c.RingMS, c.CustomerReached, c.Interrupted = 61000, 4200, true, 1
	c.Request = store.Request{Text: "Перезвоните", Voice: "anna", Manager: "101", Key: "site"}
	c.Attempts = []store.Attempt{{N: 1, StartedAt: at, EndedAt: &at, Result: store.ResultInterrupted, Code: "OTHER", Reason: "x", ReasonOwner: store.PartyUs}}
	c.Legs = []store.Leg{{
		ID: "leg", Attempt: 1, Role: store.RoleManager, Number: "101", Trunk: "t", Extension: "101", State: store.LegEnded,
		SIPCode: 200, Q850: 16, Reason: "r", StartedAt: at, RingAt: &at, AnsweredAt: &at, EndedAt: &at,
		Quality: &store.Quality{Codec: "PCMA", PacketsIn: 1, PacketsOut: 2, Lost: &lost, JitterMS: &jitter, RoundTripMS: &rtt},
	}}
	c.Recording = &store.Recording{File: "a.wav", DurationMS: 61000, Bytes: 976000}
	return c
}

func ended(c store.Call) store.Call {
	c.State, c.Result, c.Code = store.StateEnded, store.ResultCompleted, "200"
	return c
}

func event(kind string) store.Event {
	return store.Event{Type: kind, At: start(), Data: json.RawMessage(`{"n":1}`)}
}

// wait fails the test when a commit does.
func wait(t *testing.T, c *store.Commit) {
	t.Helper()
	if err := c.Wait(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// create fails the test when the call is not a new one.
func create(t *testing.T, s Store, c store.Call, evs ...store.Event) {
	t.Helper()
	if _, dup, err := s.CreateCall(t.Context(), c, store.Admission{}, evs...); err != nil || dup {
		t.Fatalf("create %s: duplicate %v, error %v", c.ID, dup, err)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// ids returns the calls' ids, in their order.
func ids(calls []store.Call) []string {
	out := make([]string, 0, len(calls))
	for i := range calls {
		out = append(out, calls[i].ID)
	}
	return out
}

// types returns the events' types, in their order.
func types(evs []store.Event) []string {
	out := make([]string, 0, len(evs))
	for i := range evs {
		out = append(out, evs[i].Type)
	}
	return out
}
