package sqlite

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// Renote has the outbox hold everything that the file does, as if all of it had
// changed just now: the shared store has lost what was there, or never had it.
func (d *DB) Renote(ctx context.Context) error {
	if err := d.writer.do(ctx, &renoteOp{newPending()}); err != nil {
		return fmt.Errorf("note everything: %w", err)
	}
	return nil
}

type renoteOp struct{ pending }

func (o *renoteOp) apply(t *conn) error {
	if t.outbox == nil {
		return nil
	}
	if err := t.keepSteps(); err != nil {
		return err
	}
	at := store.Nanos(time.Now())
	for _, query := range renotes {
		n, err := t.exec(query, t.outbox.last, at)
		if err != nil {
			return err
		}
		t.outbox.last += n
		t.outbox.renoted = t.outbox.renoted || n > 0
	}
	if err := t.renoteSteps(); err != nil {
		return err
	}
	return t.raise("outbox", t.outbox.last)
}

// RaiseOutbox has every later change get a Seq greater than floor.
func (d *DB) RaiseOutbox(ctx context.Context, floor int64) error {
	if err := d.writer.do(ctx, &raiseOutboxOp{pending: newPending(), floor: floor}); err != nil {
		return fmt.Errorf("raise outbox: %w", err)
	}
	return nil
}

type raiseOutboxOp struct {
	pending
	floor int64
}

func (o *raiseOutboxOp) apply(t *conn) error {
	if t.outbox == nil {
		return nil
	}
	t.outbox.last = max(t.outbox.last, o.floor)
	return t.raise("outbox", o.floor)
}

// Each of renotes adds rows behind the seq ?1 that were noted at ?2. Calls come
// first, their events last.
var renotes = [...]string{
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY rowid), ?2, 'call', id, 0, 0 FROM calls`,
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY rowid), ?2, 'dialog', id, 0, 0 FROM dialogs`,
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY rowid), ?2, 'binding', id, 0, 0 FROM bindings`,
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY number), ?2, 'dnd', number, 0, 0 FROM extensions`,
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY created_at), ?2, 'key', scope || char(0) || value, 0, 0 FROM idempotency_keys`,
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY id), ?2, 'trace', call_id, id, at FROM traces`,
	`INSERT INTO outbox (seq, at, type, id, first, last) SELECT ?1 + row_number() OVER (ORDER BY min(id)), ?2, 'events', '', min(id), max(id) FROM events GROUP BY id / 256`,
}

// Refence gives a lease that is held another fence, and has every later one get
// a greater fence still. A lease that was lost meanwhile is left alone.
func (d *DB) Refence(ctx context.Context, l store.Lease, fence int64) error {
	if err := d.writer.do(ctx, &refenceOp{pending: newPending(), lease: l, fence: fence}); err != nil {
		return fmt.Errorf("fence lease %s: %w", l.Name, err)
	}
	return nil
}

type refenceOp struct {
	pending
	lease store.Lease
	fence int64
}

func (o *refenceOp) apply(t *conn) error {
	if err := t.raise(store.CounterFence, o.fence); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE leases SET fence = ? WHERE name = ? AND owner = ? AND fence = ?`,
		o.fence, o.lease.Name, o.lease.Owner, o.lease.Fence)
	return err
}

// KeepKey ties an idempotency key to a call, as the shared store has done,
// unless it has been tied to one within 24 hours.
func (d *DB) KeepKey(ctx context.Context, k store.Key, callID string) error {
	if err := d.writer.do(ctx, &keepKeyOp{pending: newPending(), key: k, call: callID, now: time.Now()}); err != nil {
		return fmt.Errorf("keep idempotency key: %w", err)
	}
	return nil
}

type keepKeyOp struct {
	pending
	key  store.Key
	call string
	now  time.Time
}

func (o *keepKeyOp) apply(t *conn) error {
	_, err := t.exec(`INSERT INTO idempotency_keys (scope, value, hash, call_id, created_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (scope, value) DO UPDATE SET hash = excluded.hash, call_id = excluded.call_id, created_at = excluded.created_at
		WHERE created_at <= ?`,
		o.key.Scope, o.key.Value, o.key.Hash, o.call, store.Nanos(o.now), store.Nanos(o.now.Add(-keepKeys)))
	return err
}
