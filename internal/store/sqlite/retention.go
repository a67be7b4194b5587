package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"perezvon/internal/store"
)

// What has served its time is removed a little at a time, so that whoever sets
// up a call meanwhile waits for a few milliseconds at most.
const (
	pruneRows = 256                   // rows that one transaction removes at most
	pruneRest = 20 * time.Millisecond // the shortest rest between two of them
	pruneIdle = 4                     // a rest is so many times as long as the transaction took
)

// PruneCalls removes the calls that ended before a time, each with its events
// and its trace, and returns how many. An open call stays. A call with a great
// many events loses the oldest of them first and is removed with the last.
func (d *DB) PruneCalls(ctx context.Context, before time.Time) (removed int, err error) {
	err = d.eachEnded(ctx, before, func(ids []string) error {
		for len(ids) > 0 {
			o := &pruneCallsOp{pending: newPending(), ids: ids}
			if err := d.pruneStep(ctx, o); err != nil {
				return err
			}
			removed += o.removed
			ids = ids[o.done:]
		}
		return nil
	})
	if err != nil {
		return removed, fmt.Errorf("prune calls: %w", err)
	}
	return removed, nil
}

// PruneEvents removes the events of no call from before a time, and returns how
// many.
func (d *DB) PruneEvents(ctx context.Context, before time.Time) (removed int, err error) {
	for last := int64(0); ; {
		ids, err := list(ctx, d, "prune events", scanID, oldEvents, store.Nanos(before), last, pruneRows)
		if err != nil || len(ids) == 0 {
			return removed, err
		}
		last = ids[len(ids)-1]
		o := &pruneRowsOp{pending: newPending(), query: deleteEvents, args: []any{store.Nanos(before), ids[0], last}}
		if err := d.pruneStep(ctx, o); err != nil {
			return removed, fmt.Errorf("prune events: %w", err)
		}
		removed += o.removed
	}
}

// PruneTraces forgets traces that were saved before a time.
func (d *DB) PruneTraces(ctx context.Context, before time.Time) error {
	if err := d.pruneAll(ctx, deleteTraces, store.Nanos(before)); err != nil {
		return fmt.Errorf("prune traces: %w", err)
	}
	return nil
}

// Prune forgets idempotency keys older than 24 hours, leases that have run out,
// counts whose window is over, and jobs that were done a day or given up 30 days
// ago. Whoever owns the DB calls it now and then, about once an hour.
func (d *DB) Prune(ctx context.Context) error {
	now := time.Now()
	err := d.pruneAll(ctx, deleteKeys, store.Nanos(now.Add(-keepKeys)))
	if err == nil {
		err = d.pruneAll(ctx, deleteLeases, store.Nanos(now))
	}
	if err == nil {
		err = d.pruneDomains(ctx, now)
	}
	if err != nil {
		return fmt.Errorf("prune store: %w", err)
	}
	return nil
}

// Expired counts what PruneCalls, PruneEvents and PruneTraces would remove.
func (d *DB) Expired(ctx context.Context, e store.Expiry) (store.Expired, error) {
	var n store.Expired
	calls := 0 // rows of their traces
	err := d.eachEnded(ctx, e.Calls, func(ids []string) error {
		n.Calls += len(ids)
		for _, id := range ids {
			var traces int
			if err := d.read.QueryRowContext(ctx, countTraces, id, store.Nanos(e.Traces)).Scan(&traces); err != nil {
				return d.failed("count traces", err)
			}
			calls += traces
		}
		return nil
	})
	if err != nil {
		return store.Expired{}, fmt.Errorf("count what has expired: %w", err)
	}
	row := d.read.QueryRowContext(ctx, countExpired, store.Nanos(e.Events), store.Nanos(e.Traces))
	if err := row.Scan(&n.Events, &n.Traces); err != nil {
		return store.Expired{}, d.failed("count what has expired", err)
	}
	n.Traces -= calls
	return n, nil
}

const (
	endedCalls = `SELECT created_at, id, coalesce(data ->> '$.ended_at', '') FROM calls
		WHERE created_at < ?1 AND (created_at, id) > (?2, ?3) AND +open = 0 ORDER BY created_at, id LIMIT ?4`
	oldEvents      = `SELECT id FROM events WHERE call_id = '' AND at < ?1 AND id > ?2 ORDER BY id LIMIT ?3`
	deleteEvents   = `DELETE FROM events WHERE call_id = '' AND at < ?1 AND id BETWEEN ?2 AND ?3`
	deleteTimeline = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE call_id = ? ORDER BY id LIMIT ?)`
	deleteTrace    = `DELETE FROM traces WHERE call_id = ?`
	deleteCall     = `DELETE FROM calls WHERE id = ? AND open = 0`
	deleteTraces   = `DELETE FROM traces WHERE id IN (SELECT id FROM traces WHERE at < ? ORDER BY at LIMIT ?)`
	deleteKeys     = `DELETE FROM idempotency_keys WHERE (scope, value) IN
		(SELECT scope, value FROM idempotency_keys WHERE created_at <= ? ORDER BY created_at LIMIT ?)`
	deleteLeases = `DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE until <= ? LIMIT ?)`
	countTraces  = `SELECT count(*) FROM traces WHERE call_id = ? AND at < ?`
	countExpired = `SELECT (SELECT count(*) FROM events WHERE call_id = '' AND at < ?), (SELECT count(*) FROM traces WHERE at < ?)`

	// The newest event's id is remembered when events go: no other event ever
	// gets it.
	rememberEvent = `INSERT INTO counters (name, value) VALUES ('` + store.CounterEvents + `', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	lastEvent     = `SELECT max((SELECT coalesce(max(id), 0) FROM events), (SELECT coalesce(max(value), 0) FROM counters WHERE name = '` + store.CounterEvents + `'))`
)

func scanID(scan func(...any) error) (id int64, err error) {
	err = scan(&id)
	return id, err
}

// eachEnded calls f with the ids of the calls that ended before a time, some at
// a time. Those that were created before are looked at once each, also where f
// removes what it is given.
func (d *DB) eachEnded(ctx context.Context, before time.Time, f func(ids []string) error) error {
	at := store.CallCursor{Created: math.MinInt64}
	for {
		var ids []string
		seen, err := list(ctx, d, "find ended calls", func(scan func(...any) error) (c store.CallCursor, err error) {
			var text string
			if err := scan(&c.Created, &c.ID, &text); err != nil {
				return c, err
			}
			ended, err := time.Parse(time.RFC3339, text)
			if err != nil {
				ended = store.FromNanos(c.Created) // a record without its end
			}
			if ended.Before(before) {
				ids = append(ids, c.ID)
			}
			return c, nil
		}, endedCalls, store.Nanos(before), at.Created, at.ID, pruneRows)
		if err != nil || len(seen) == 0 {
			return err
		}
		if at = seen[len(seen)-1]; len(ids) > 0 {
			if err := f(ids); err != nil {
				return err
			}
		}
	}
}

// pruneAll repeats a statement that removes at most so many rows, its last
// argument, until there are no more.
func (d *DB) pruneAll(ctx context.Context, query string, args ...any) error {
	for {
		o := &pruneRowsOp{pending: newPending(), query: query, args: append(args, pruneRows)}
		if err := d.pruneStep(ctx, o); err != nil || o.removed < pruneRows {
			return err
		}
	}
}

// pruneStep makes one transaction's worth of a removal and rests, so that
// others have the writer and the disk for most of the time.
func (d *DB) pruneStep(ctx context.Context, o op) error {
	began := time.Now()
	if err := d.writer.do(ctx, o); err != nil {
		return err
	}
	rest := time.NewTimer(max(pruneRest, pruneIdle*time.Since(began)))
	defer rest.Stop()
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pruneRowsOp runs a statement that removes rows.
type pruneRowsOp struct {
	pending
	query   string
	args    []any
	removed int // set by apply
}

func (o *pruneRowsOp) apply(t *conn) error {
	if o.query == deleteEvents {
		if _, err := t.exec(rememberEvent, t.lastID); err != nil {
			return err
		}
	}
	n, err := t.exec(o.query, o.args...)
	o.removed = int(n)
	return err
}

// pruneCallsOp removes calls, as many as its rows allow.
type pruneCallsOp struct {
	pending
	ids     []string
	done    int // set by apply: so many of ids need no further look
	removed int // set by apply
}

func (o *pruneCallsOp) apply(t *conn) error {
	o.done, o.removed = 0, 0
	if _, err := t.exec(rememberEvent, t.lastID); err != nil {
		return err
	}
	for left := int64(pruneRows); left > 0 && o.done < len(o.ids); {
		id := o.ids[o.done]
		var open bool
		if found, err := t.row(`SELECT open FROM calls WHERE id = ?`, []any{id}, &open); err != nil {
			return err
		} else if !found || open {
			o.done++
			continue
		}
		events, err := t.exec(deleteTimeline, id, left)
		if err != nil {
			return err
		}
		if left -= events; left == 0 {
			break // there may be more of them
		}
		traces, err := t.exec(deleteTrace, id)
		if err != nil {
			return err
		}
		if _, err := t.exec(deleteCall, id); err != nil {
			return err
		}
		left -= traces + 1
		o.done++
		o.removed++
	}
	return nil
}
