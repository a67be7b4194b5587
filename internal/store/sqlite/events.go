package sqlite

import (
	"context"
	"fmt"

	"perezvon/internal/store"
)

// Events returns events oldest first, in the order in which they were queued.
// next is the value of After that gives the following page, empty when there
// was nothing more. An After that is not an event's id is store.ErrBadCursor.
func (d *DB) Events(ctx context.Context, f store.EventFilter) (evs []store.Event, next string, err error) {
	after, err := store.ParseEventID(f.After)
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	limit := store.PageSize(f.Limit, 100)
	query, args := `SELECT id, call_id, type, at, data FROM events WHERE id > ? ORDER BY id LIMIT ?`, []any{after, limit + 1}
	if f.CallID != "" {
		query = `SELECT id, call_id, type, at, data FROM events WHERE call_id = ? AND id > ? ORDER BY id LIMIT ?`
		args = []any{f.CallID, after, limit + 1}
	}
	evs, err = list(ctx, d, "list events", readEvent, query, args...)
	if err != nil || len(evs) <= limit {
		return evs, "", err
	}
	return evs[:limit:limit], evs[limit-1].ID, nil
}

// LastEvent returns the id of the newest event. Where there is none it is one
// that comes before all events.
func (d *DB) LastEvent(ctx context.Context) (string, error) {
	var id int64
	if err := d.read.QueryRowContext(ctx, lastEvent).Scan(&id); err != nil {
		return "", d.failed("find the last event", err)
	}
	return store.EventID(id), nil
}
