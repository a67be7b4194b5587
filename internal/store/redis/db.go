// Package redis keeps the records of package store on one Redis that nodes
// share, with a file of its own in front of it on each node.
//
// Every write goes to that file first, the spool, an engine of package sqlite,
// and is durable when it is there. A shipper carries it to Redis behind that, so
// that the path of a call never waits for Redis, except to ask whether a call
// may be created and who holds a lease; where there is no answer within 300 ms
// this node decides by what it knows, and nobody waits again until Redis is
// back.
package redis

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
)

// sharedStore is what the engine needs of Redis. Nothing of it waits longer than the
// context says.
type sharedStore interface {
	carrier
	onClash(tell func(clash))
	check(ctx context.Context) (serverInfo, []Problem, error)
	reopened(ctx context.Context, runID string) error
	ready(ctx context.Context) error
	claim(ctx context.Context, me holder) (claim, error)
	served(ctx context.Context, node string) error
	leave(ctx context.Context, node string) error
	applied(ctx context.Context, node string) (int64, error)
	raiseEvents(ctx context.Context, floor int64) error

	admit(ctx context.Context, c store.Call, adm store.Admission) (existing *store.Call, undo func(context.Context) error, err error)
	retract(ctx context.Context, id string, c store.Call, adm store.Admission) error
	call(ctx context.Context, id string) (store.Call, error)
	calls(ctx context.Context, f store.Filter) ([]store.Call, string, error)
	events(ctx context.Context, f store.EventFilter) ([]store.Event, string, error)
	lastEvent(ctx context.Context) (string, error)
	follow(ctx context.Context, after string) (grown bool, err error)
	traces(ctx context.Context, callID string) ([]store.TracePart, error)

	openCalls(ctx context.Context) ([]store.Call, error)
	dialogs(ctx context.Context) ([]store.Dialog, error)
	bindings(ctx context.Context) ([]store.Binding, error)
	dnd(ctx context.Context) (map[string]bool, error)

	acquireLease(ctx context.Context, name, owner string, ttl time.Duration, floor int64) (store.Lease, error)
	renewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error)
	releaseLease(ctx context.Context, l store.Lease) error
	dropLeases(ctx context.Context, owner string) error

	pruneEnded(ctx context.Context, before time.Time) (removed int, err error)
	pruneEvents(ctx context.Context, before time.Time) (removed int, err error)
	pruneTraces(ctx context.Context, before time.Time) (removed int, err error)
	expired(ctx context.Context, e store.Expiry) (store.Expired, error)
	export(ctx context.Context, yield func(store.Change) error) error
	importAll(ctx context.Context, batch []store.Change) error
	empty(ctx context.Context) (bool, error)

	sharedDomains
	close() error
}

// DB is the engine of one node. Its methods may be called from any goroutine.
type DB struct {
	log     *slog.Logger
	spool   *sqlite.DB
	remote  sharedStore
	link    *link
	shipper *shipper
	grown   *store.Bell // of the log of events in Redis
	node    string
	me      holder

	owed debts

	importing atomic.Bool // a part of an import was stored

	// Used by Open, then by the goroutine of link.keep.
	runID    string          // of Redis, as last met
	stranger string          // the node that used it meanwhile
	told     map[string]bool // what was said of it

	seen string // the last event, as followers know it; used by Open, then by watch

	end    context.CancelFunc // ends the goroutines
	wg     sync.WaitGroup
	closed atomic.Bool
	once   sync.Once
	err    error // of Close; written inside once
}
