package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"perezvon/internal/store"
)

// exportEvents is how many events of an export are one change.
const exportEvents = 500

// Export yields everything that the store holds, of one moment, while it goes on
// being used: first the counters, then the records of each kind, then all events
// in their order. Leases are not among it, since they are of who runs now. What
// yield returns ends it.
func (d *DB) Export(ctx context.Context, yield func(store.Change) error) error {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d.failed("export", err)
	}
	defer func() { _ = tx.Rollback() }() // only read from
	var refused error
	err = export(ctx, tx, func(ch store.Change) error {
		refused = yield(ch)
		return refused
	})
	switch {
	case refused != nil:
		return fmt.Errorf("export: %w", refused)
	case err != nil:
		return d.failed("export", err)
	}
	return nil
}

func export(ctx context.Context, tx *sql.Tx, yield func(store.Change) error) error {
	for _, counter := range []struct{ name, query string }{
		{store.CounterFence, `SELECT value FROM counters WHERE name = 'fence'`},
		{store.CounterEvents, lastEvent},
	} {
		ch := store.Change{Type: store.ChangeCounter, ID: counter.name}
		if err := tx.QueryRowContext(ctx, counter.query).Scan((*[]byte)(&ch.Data)); err != nil {
			return err
		}
		if err := yield(ch); err != nil {
			return err
		}
	}
	for _, k := range kinds() {
		err := each(ctx, tx, func(scan func(...any) error) error {
			ch, err := k.read(scan)
			if err != nil {
				return fmt.Errorf("%s %s: %w", k.change, ch.ID, err)
			}
			return yield(ch)
		}, k.query+` `+k.order)
		if err != nil {
			return err
		}
	}
	return exportAllEvents(ctx, tx, yield)
}

func exportAllEvents(ctx context.Context, tx *sql.Tx, yield func(store.Change) error) error {
	var evs []store.Event
	err := each(ctx, tx, func(scan func(...any) error) error {
		e, err := readEvent(scan)
		if err != nil {
			return err
		}
		if evs = append(evs, e); len(evs) < exportEvents {
			return nil
		}
		full := evs
		evs = nil // the other is the receiver's
		return yield(store.Change{Type: store.ChangeEvents, Events: full})
	}, `SELECT id, call_id, type, at, data FROM events ORDER BY id`)
	if err != nil || len(evs) == 0 {
		return err
	}
	return yield(store.Change{Type: store.ChangeEvents, Events: evs})
}
