package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"perezvon/internal/store"
)

// Call returns a call, or store.ErrNotFound. Like all reads it sees what has
// been committed, not what is still queued.
func (d *DB) Call(ctx context.Context, id string) (store.Call, error) {
	var data string
	err := d.read.QueryRowContext(ctx, `SELECT data FROM calls WHERE id = ?`, id).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Call{}, fmt.Errorf("call %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return store.Call{}, d.failed("read call", err)
	}
	c, err := decodeCall(data)
	if err != nil {
		return store.Call{}, fmt.Errorf("read call %s: %w", id, err)
	}
	return c, nil
}

// Calls returns the calls that f selects, newest first, those of the same
// instant by descending id. next is the cursor of the following page, empty
// after the last. A cursor that Calls did not give is store.ErrBadCursor.
func (d *DB) Calls(ctx context.Context, f store.Filter) (calls []store.Call, next string, err error) {
	limit := store.PageSize(f.Limit, 50)
	query, args, err := selectCalls(f)
	if err != nil {
		return nil, "", fmt.Errorf("list calls: %w", err)
	}
	// One more than asked for tells whether there is another page.
	var places []store.CallCursor
	calls, err = list(ctx, d, "list calls", func(scan func(...any) error) (store.Call, error) {
		var at store.CallCursor
		var data string
		if err := scan(&at.Created, &at.ID, &data); err != nil {
			return store.Call{}, err
		}
		places = append(places, at)
		c, err := decodeCall(data)
		if err != nil {
			return store.Call{}, fmt.Errorf("%s: %w", at.ID, err)
		}
		return c, nil
	}, query, append(args, limit+1)...)
	if err != nil || len(calls) <= limit {
		return calls, "", err
	}
	return calls[:limit:limit], places[limit-1].String(), nil
}

// selectCalls builds the query of a page; the limit is its last argument.
func selectCalls(f store.Filter) (string, []any, error) {
	var where []string
	var args []any
	add := func(cond string, values ...any) {
		where = append(where, cond)
		args = append(args, values...)
	}
	if f.Kind != "" {
		add(`kind = ?`, string(f.Kind))
	}
	switch f.State {
	case "":
	case store.StateEnded:
		add(`open = 0`)
	default:
		add(`open = 1 AND state = ?`, string(f.State))
	}
	if f.Result != "" {
		add(`result = ?`, string(f.Result))
	}
	if f.Number != "" {
		add(`number = ?`, f.Number)
	}
	if f.Line != "" {
		add(`line = ?`, f.Line)
	}
	if !f.From.IsZero() {
		add(`created_at >= ?`, store.Nanos(f.From))
	}
	if !f.To.IsZero() {
		add(`created_at < ?`, store.Nanos(f.To))
	}
	if f.Cursor != "" {
		c, err := store.ParseCallCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		add(`(created_at, id) < (?, ?)`, c.Created, c.ID)
	}
	query := `SELECT created_at, id, data FROM calls`
	if f.State != "" && f.State != store.StateEnded {
		query += onlyOpen
	}
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, ` AND `)
	}
	return query + ` ORDER BY created_at DESC, id DESC LIMIT ?`, args, nil
}

// onlyOpen keeps SQLite from looking for the few calls that are open among all
// there ever were.
const onlyOpen = ` INDEXED BY calls_open`

const openCalls = `SELECT data FROM calls` + onlyOpen + ` WHERE open = 1 ORDER BY created_at, id`

// OpenCalls returns every call that is not ended, oldest first.
func (d *DB) OpenCalls(ctx context.Context) ([]store.Call, error) {
	return list(ctx, d, "read open calls", func(scan func(...any) error) (store.Call, error) {
		var data string
		if err := scan(&data); err != nil {
			return store.Call{}, err
		}
		return decodeCall(data)
	}, openCalls)
}

// countCalls counts the calls to a number since a time that somebody has asked
// for. Calls that come from the number do not count, nor those that people dial.
const countCalls = `SELECT count(*) FROM calls WHERE number = ? AND created_at >= ? AND +kind NOT IN ('inbound', 'outbound', 'internal')`
