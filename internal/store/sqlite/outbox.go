package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"perezvon/internal/store"
)

// trimAtOnce is how many rows of the outbox go in one write, so that the calls
// of a moment do not wait behind a backlog of days.
const trimAtOnce = 2000

// NodeID returns the name, 32 hex digits, that this file has among those that
// share a store. The first call makes it, durably.
func (d *DB) NodeID(ctx context.Context) (string, error) {
	o := &nodeOp{pending: newPending()}
	if err := d.writer.do(ctx, o); err != nil {
		return "", fmt.Errorf("name the node: %w", err)
	}
	return o.id, nil
}

// Fresh reports that nothing had ever been noted in the outbox when the file
// was opened: whatever it may hold came from elsewhere, and the shared store
// cannot lack any change of this node.
func (d *DB) Fresh() bool { return d.fresh }

// LastOutbox returns the Seq of the newest change that was committed, 0 before
// the first one. What was settled before the call is not newer.
func (d *DB) LastOutbox() int64 { return d.writer.noted.Load() }

// OutboxChanged returns a channel that is closed when the outbox has grown. Who
// empties it takes the channel first, then reads to the end, then waits.
func (d *DB) OutboxChanged() <-chan struct{} { return d.writer.grown.Next() }

// Shipped returns the highest Seq that MarkShipped was told. After a crash it
// may be an earlier one.
func (d *DB) Shipped() int64 { return d.shipped.Load() }

// MarkShipped notes that all changes up to seq have reached the shared store. It
// costs nothing: TrimOutbox and Close make it durable.
func (d *DB) MarkShipped(seq int64) {
	for {
		old := d.shipped.Load()
		if seq <= old || d.shipped.CompareAndSwap(old, seq) {
			return
		}
	}
}

// TrimOutbox forgets changes up to the Seq upTo that were noted before a time.
func (d *DB) TrimOutbox(ctx context.Context, upTo int64, before time.Time) error {
	for {
		o := &trimOp{pending: newPending(), upTo: upTo, before: before, shipped: d.shipped.Load()}
		if err := d.writer.do(ctx, o); err != nil {
			return fmt.Errorf("trim outbox: %w", err)
		}
		if o.removed < trimAtOnce {
			return nil
		}
	}
}

// OutboxStats is how much of an outbox waits.
type OutboxStats struct {
	Rows   int64
	Oldest time.Time // when the first of them was noted; zero: there are none
}

// OutboxStats tells of the changes after one with the Seq after.
func (d *DB) OutboxStats(ctx context.Context, after int64) (OutboxStats, error) {
	var s OutboxStats
	var oldest int64
	err := d.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM outbox WHERE seq > ?1),
		coalesce((SELECT at FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT 1), 0)`, after).Scan(&s.Rows, &oldest)
	if err != nil {
		return OutboxStats{}, d.failed("look at the outbox", err)
	}
	if s.Rows > 0 {
		s.Oldest = store.FromNanos(oldest)
	}
	return s, nil
}

// RaiseFence has every later lease get a fence greater than floor, however many
// were given elsewhere meanwhile.
func (d *DB) RaiseFence(ctx context.Context, floor int64) error {
	if err := d.writer.do(ctx, &raiseOp{pending: newPending(), counter: store.CounterFence, floor: floor}); err != nil {
		return fmt.Errorf("raise fence: %w", err)
	}
	return nil
}

type nodeOp struct {
	pending
	id string // set by apply
}

func (o *nodeOp) apply(t *conn) error {
	found, err := t.row(`SELECT id FROM node`, nil, &o.id)
	if found || err != nil {
		return err
	}
	made := uuid.New()
	o.id = fmt.Sprintf("%x", made[:])
	_, err = t.exec(`INSERT INTO node (id) VALUES (?)`, o.id)
	return err
}

type trimOp struct {
	pending
	upTo    int64
	before  time.Time
	shipped int64
	removed int64 // set by apply
}

func (o *trimOp) apply(t *conn) (err error) {
	if o.shipped > 0 {
		if err := t.raise("shipped", o.shipped); err != nil {
			return err
		}
	}
	if t.outbox != nil { // no seq comes twice, also when no row is left
		if err := errors.Join(t.raise("outbox", t.outbox.last), t.raise("outbox_event", t.lastID)); err != nil {
			return err
		}
	}
	o.removed, err = t.exec(trimOutbox, o.upTo, store.Nanos(o.before), trimAtOnce)
	return err
}

const trimOutbox = `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE seq <= ? AND at < ? ORDER BY seq LIMIT ?)`

type raiseOp struct {
	pending
	counter string
	floor   int64
}

func (o *raiseOp) apply(t *conn) error { return t.raise(o.counter, o.floor) }

// raise has a counter be floor at least.
func (c *conn) raise(counter string, floor int64) error {
	_, err := c.exec(`UPDATE counters SET value = ? WHERE name = ? AND value < ?`, floor, counter, floor)
	return err
}
