package redis

import (
	"context"
	"time"

	"perezvon/internal/store"
)

// Prune forgets in this node's file idempotency keys older than 24 hours and
// leases that have run out. Redis does so by itself. Whoever owns the DB calls
// it about once an hour.
func (d *DB) Prune(ctx context.Context) error { return d.spool.Prune(ctx) }

// PruneCalls removes from this node's file the calls that ended before a time,
// see sqlite.DB.PruneCalls.
func (d *DB) PruneCalls(ctx context.Context, before time.Time) (removed int, err error) {
	return d.spool.PruneCalls(ctx, before)
}

// PruneEvents removes from this node's file the events of no call from before a
// time.
func (d *DB) PruneEvents(ctx context.Context, before time.Time) (removed int, err error) {
	return d.spool.PruneEvents(ctx, before)
}

// PruneTraces forgets in this node's file traces that were saved before a time.
func (d *DB) PruneTraces(ctx context.Context, before time.Time) error {
	return d.spool.PruneTraces(ctx, before)
}

// Expired counts what PruneCalls, PruneEvents and PruneTraces would remove.
func (d *DB) Expired(ctx context.Context, e store.Expiry) (store.Expired, error) {
	return d.spool.Expired(ctx, e)
}
