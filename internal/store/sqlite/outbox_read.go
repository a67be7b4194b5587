package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// Bounds of one answer of Outbox.
const (
	outboxPage  = 500     // rows, where nobody asks for another number
	outboxBytes = 4 << 20 // of records, about
)

// Outbox returns changes that were noted behind the one with the Seq after,
// oldest first, with their records as they are now. limit is how many rows of
// the outbox are looked at, 1 to 1000; 0 means 500. Large records make it fewer.
// Each row is a change, also where several are of one record: whoever has seen
// an earlier one of them only must not take the others for old. Nothing is what
// comes at the end of the outbox, and only there.
//
// A record that is damaged is told in the log and comes as an event would that
// has gone: with neither Data nor Events and no ID.
func (d *DB) Outbox(ctx context.Context, after int64, limit int) ([]store.Change, error) {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, d.failed("read outbox", err)
	}
	defer func() { _ = tx.Rollback() }() // only read from
	var notes []note
	err = each(ctx, tx, func(scan func(...any) error) error {
		var n note
		err := scan(&n.seq, &n.kind, &n.id, &n.first, &n.last, &n.data)
		notes = append(notes, n)
		return err
	}, `SELECT seq, type, id, first, last, data FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`, after, store.PageSize(limit, outboxPage))
	if err != nil {
		return nil, d.failed("read outbox", err)
	}
	r := reader{tx: tx, kinds: make(map[store.ChangeType]*lookup), seen: make(map[record]int)}
	defer r.close()
	for _, n := range notes {
		err := r.take(ctx, n)
		if bad, ok := errors.AsType[*damagedError](err); ok {
			d.log.Error("a damaged record is not carried to the shared store", "type", n.kind, "id", n.id, "error", bad.err)
			r.changes = append(r.changes, store.Change{Type: store.ChangeEvents})
		} else if err != nil {
			return nil, d.failed("read outbox", fmt.Errorf("%s %s: %w", n.kind, n.id, err))
		}
		r.changes[len(r.changes)-1].Seq = n.seq
		if r.bytes >= outboxBytes {
			break
		}
	}
	return r.changes, nil
}

// reader joins rows of the outbox with their records, all of one moment.
type reader struct {
	tx      *sql.Tx
	kinds   map[store.ChangeType]*lookup
	seen    map[record]int // where in changes a record stands
	changes []store.Change
	bytes   int // of their records
}

// lookup is a kind with its prepared query for one record.
type lookup struct {
	kind
	stmt *sql.Stmt
}

// damagedError is about a record that is no JSON.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }

// take adds the change of a row.
func (r *reader) take(ctx context.Context, n note) error {
	switch {
	case n.kind == store.ChangeEvents:
		return r.takeEvents(ctx, n)
	case n.data != nil:
		r.changes = append(r.changes, store.Change{Type: n.kind, ID: n.id, Data: n.data})
		r.bytes += len(n.data)
		return nil
	}
	if n.kind != store.ChangeTrace {
		if i, ok := r.seen[record{n.kind, n.id}]; ok {
			r.changes = append(r.changes, r.changes[i])
			r.bytes += len(r.changes[i].Data)
			return nil
		}
		r.seen[record{n.kind, n.id}] = len(r.changes)
	}
	k, err := r.lookup(ctx, n.kind)
	if err != nil {
		return err
	}
	ch, err := k.read(func(dest ...any) error { return k.stmt.QueryRowContext(ctx, k.args(n)...).Scan(dest...) })
	switch {
	case errors.Is(err, sql.ErrNoRows):
		ch = store.Change{Type: n.kind, ID: n.id}
	case isJSONError(err):
		return &damagedError{err}
	case err != nil:
		return err
	case !json.Valid(ch.Data):
		return &damagedError{errors.New("it is no JSON")}
	}
	r.bytes += len(ch.Data)
	r.changes = append(r.changes, ch)
	return nil
}

func isJSONError(err error) bool {
	_, ok := errors.AsType[*json.MarshalerError](err)
	return ok
}

func (r *reader) lookup(ctx context.Context, change store.ChangeType) (*lookup, error) {
	if k := r.kinds[change]; k != nil {
		return k, nil
	}
	for _, k := range kinds() {
		if k.change == change && k.where != "" {
			stmt, err := r.tx.PrepareContext(ctx, k.query+` `+k.where)
			if err != nil {
				return nil, err
			}
			r.kinds[change] = &lookup{k, stmt}
			return r.kinds[change], nil
		}
	}
	return nil, errors.New("it is of no kind that is known here")
}

func (r *reader) close() {
	for _, k := range r.kinds {
		_ = k.stmt.Close() // only read from
	}
}

func (r *reader) takeEvents(ctx context.Context, n note) error {
	ch := store.Change{Type: store.ChangeEvents}
	err := each(ctx, r.tx, func(scan func(...any) error) error {
		e, err := readEvent(scan)
		if err == nil && len(e.Data) > 0 && !json.Valid(e.Data) {
			e.Data = nil // nobody could pass it on
		}
		r.bytes += len(e.Data)
		ch.Events = append(ch.Events, e)
		return err
	}, eventsBetween, n.first, n.last)
	r.changes = append(r.changes, ch)
	return err
}

const eventsBetween = `SELECT id, call_id, type, at, data FROM events WHERE id BETWEEN ? AND ? ORDER BY id`
