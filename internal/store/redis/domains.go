package redis

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"perezvon/internal/store"
)

// sharedDomains is what the engine needs of Redis beside the records of calls.
type sharedDomains interface {
	addCount(ctx context.Context, c store.Counter, n, limit int64, id string) (store.Count, error)
	readCount(ctx context.Context, c store.Counter) (store.Count, error)

	allow(ctx context.Context, scope string, rates []store.Rate) (store.Verdict, error)
	pause(ctx context.Context, scope string, until time.Time) error
	paused(ctx context.Context, scope string) (store.Pause, error)

	unblock(ctx context.Context, number string, u store.Unblock) error
	block(ctx context.Context, number string) (store.Block, error)
	blocks(ctx context.Context, f store.BlockFilter) ([]store.Block, string, error)

	claimJobs(ctx context.Context, owner, kind string, ttl time.Duration, limit int) ([]store.Job, error)
	finishJob(ctx context.Context, j store.Job, to store.JobState, cause string, due time.Time) error
	jobs(ctx context.Context, f store.JobFilter) ([]store.Job, string, error)
	reviveJob(ctx context.Context, kind, id string) error
	reviveSome(ctx context.Context, kind, before string) (n int, at string, err error)
	jobStats(ctx context.Context, kind string) (store.JobStats, error)
	pruneJobs(ctx context.Context) (more bool, err error)
}

// soon asks Redis behind what this node had stored before, which waits for
// callLimit at most like the question itself. Where that takes too long it is
// store.ErrAway: this node answers by what it knows.
func (d *DB) soon(ctx context.Context, op func(context.Context) error) error {
	if d.closed.Load() {
		return store.ErrClosed
	}
	switch err := d.shipper.wait(ctx, callLimit); {
	case errors.Is(err, errSlow):
		return away(err)
	case err != nil:
		return err
	}
	return d.link.ask(ctx, callLimit, op)
}

// AddCount adds n to a counter, over all nodes, see sqlite.DB.AddCount. While
// Redis is away the maximum holds for what this node knows, and the count is
// Local: whoever must not spend more than that has to refuse by himself. What is
// counted then is carried to Redis later. A sum that was counted less than a
// second before Redis crashed may be lost.
func (d *DB) AddCount(ctx context.Context, c store.Counter, n, limit int64) (store.Count, error) {
	var count store.Count
	id := uuid.NewString() // Redis may have counted it although nobody heard of that
	err := d.soon(ctx, func(ctx context.Context) (err error) {
		count, err = d.remote.addCount(ctx, c, n, limit, id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrAway):
		count, err = d.spool.AddCountAs(ctx, id, c, n, limit)
		count.Local = err == nil || errors.Is(err, store.ErrExceeded)
	case err == nil && c.Until.After(time.Now()):
		d.spool.MirrorCount(c, count.Total)
	}
	return count, err
}

// ReadCount returns a counter's sum, see sqlite.DB.ReadCount; while Redis is away
// the one that this node knows, which is Local.
func (d *DB) ReadCount(ctx context.Context, c store.Counter) (store.Count, error) {
	var count store.Count
	err := d.soon(ctx, func(ctx context.Context) (err error) {
		count, err = d.remote.readCount(ctx, c)
		return err
	})
	if errors.Is(err, store.ErrAway) {
		count, err = d.spool.ReadCount(ctx, c)
		count.Local = err == nil
	}
	return count, err
}

// Allow takes units of the rates of a scope, over all nodes, see
// sqlite.DB.Allow. While Redis is away each node has all units for itself, and
// the verdict is Local.
func (d *DB) Allow(ctx context.Context, scope string, rates ...store.Rate) (store.Verdict, error) {
	if d.closed.Load() {
		return store.Verdict{}, store.ErrClosed
	}
	var v store.Verdict
	err := d.link.ask(ctx, callLimit, func(ctx context.Context) (err error) {
		v, err = d.remote.allow(ctx, scope, rates)
		return err
	})
	if errors.Is(err, store.ErrAway) {
		v, err = d.spool.Allow(ctx, scope, rates...)
		v.Local = err == nil
	}
	return v, err
}

// Pause lets nothing of a scope be allowed until a time, at any node: at the
// others as soon as Redis has heard of it. See sqlite.DB.Pause.
func (d *DB) Pause(ctx context.Context, scope string, until time.Time) error {
	if err := d.spool.Pause(ctx, scope, until); err != nil {
		return err
	}
	return ignoreAway(d.link.ask(ctx, callLimit, func(ctx context.Context) error { return d.remote.pause(ctx, scope, until) }))
}

// Paused says until when a scope is paused; while Redis is away as far as this
// node knows, which is Local.
func (d *DB) Paused(ctx context.Context, scope string) (store.Pause, error) {
	if d.closed.Load() {
		return store.Pause{}, store.ErrClosed
	}
	var p store.Pause
	err := d.link.ask(ctx, callLimit, func(ctx context.Context) (err error) {
		p, err = d.remote.paused(ctx, scope)
		return err
	})
	if errors.Is(err, store.ErrAway) {
		p, err = d.spool.Paused(ctx, scope)
		p.Local = err == nil
	}
	return p, err
}
