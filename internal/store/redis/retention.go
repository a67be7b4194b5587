package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// keepHere is how long a node keeps what Redis has: what was looked at a moment
// ago is there while Redis is away.
const keepHere = 24 * time.Hour

// Prune forgets idempotency keys older than 24 hours, leases that have run out,
// jobs that were done a day or given up 30 days ago, and of this node's file what Redis has for long: calls that ended more
// than 24 hours ago, with their events and traces. Whoever owns the DB calls it
// about once an hour.
func (d *DB) Prune(ctx context.Context) error {
	if err := d.spool.Prune(ctx); err != nil {
		return err
	}
	if err := ignoreAway(d.pruneJobs(ctx)); err != nil {
		return err
	}
	// What is on its way names records of the file. While something waits,
	// nothing goes.
	if err := d.shipper.wait(ctx, readLimit); err != nil {
		return ignoreWait(err)
	}
	before := time.Now().Add(-keepHere)
	if _, err := d.spool.PruneCalls(ctx, before); err != nil {
		return err
	}
	if _, err := d.spool.PruneEvents(ctx, before); err != nil {
		return err
	}
	return d.spool.PruneTraces(ctx, before)
}

// ignoreWait makes no error of Redis not being as far as this node.
func ignoreWait(err error) error {
	if errors.Is(err, store.ErrAway) || errors.Is(err, errSlow) {
		return nil
	}
	return err
}

// PruneCalls removes the calls that ended before a time, those of all nodes, and
// returns how many. While Redis is away it is store.ErrAway. See
// sqlite.DB.PruneCalls.
func (d *DB) PruneCalls(ctx context.Context, before time.Time) (removed int, err error) {
	err = d.both(ctx, func(ctx context.Context) error {
		_, err := d.spool.PruneCalls(ctx, before)
		return err
	}, func(ctx context.Context) (err error) {
		removed, err = d.remote.pruneEnded(ctx, before)
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("prune calls: %w", err)
	}
	return removed, nil
}

// PruneEvents removes the events of no call from before a time, and returns how
// many. While Redis is away it is store.ErrAway.
func (d *DB) PruneEvents(ctx context.Context, before time.Time) (removed int, err error) {
	err = d.both(ctx, func(ctx context.Context) error {
		_, err := d.spool.PruneEvents(ctx, before)
		return err
	}, func(ctx context.Context) (err error) {
		removed, err = d.remote.pruneEvents(ctx, before)
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("prune events: %w", err)
	}
	return removed, nil
}

// PruneTraces forgets traces that were saved before a time; while Redis is away,
// those that this node has.
func (d *DB) PruneTraces(ctx context.Context, before time.Time) error {
	err := d.both(ctx, func(ctx context.Context) error { return d.spool.PruneTraces(ctx, before) },
		func(ctx context.Context) error {
			_, err := d.remote.pruneTraces(ctx, before)
			return err
		})
	if err = ignoreAway(err); err != nil {
		return fmt.Errorf("prune traces: %w", err)
	}
	return nil
}

// Expired counts what PruneCalls, PruneEvents and PruneTraces would remove.
func (d *DB) Expired(ctx context.Context, e store.Expiry) (n store.Expired, err error) {
	err = d.both(ctx, func(context.Context) error { return nil }, func(ctx context.Context) (err error) {
		n, err = d.remote.expired(ctx, e)
		return err
	})
	if err != nil {
		return store.Expired{}, fmt.Errorf("count what has expired: %w", err)
	}
	return n, nil
}

// pruneLimit is how long one round of removal in Redis may take, which it does
// a little at a time.
const pruneLimit = 30 * time.Minute

// both removes something here and then in Redis, when that has all that was
// stored before: nothing that is gone is sent there again.
func (d *DB) both(ctx context.Context, here, there func(context.Context) error) error {
	if d.closed.Load() {
		return store.ErrClosed
	}
	wait := d.shipper.wait(ctx, readLimit)
	if err := here(ctx); err != nil {
		return err
	}
	if wait != nil {
		return away(wait)
	}
	return d.link.ask(ctx, pruneLimit, there)
}
