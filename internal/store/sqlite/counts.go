package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// AddCount adds n to a counter, unless n is positive and the sum would exceed
// limit: then it is store.ErrExceeded, the sum is as it was, and the count that
// is returned says so. What is added to a window that is over is not kept. A
// negative n gives back what was not needed after all. limit is store.MaxCount
// at most.
func (d *DB) AddCount(ctx context.Context, c store.Counter, n, limit int64) (store.Count, error) {
	return d.AddCountAs(ctx, "", c, n, limit)
}

// AddCountAs is AddCount of a step that has an id: the shared store may know it
// already.
func (d *DB) AddCountAs(ctx context.Context, id string, c store.Counter, n, limit int64) (store.Count, error) {
	if err := c.Check(n); err != nil {
		return store.Count{}, fmt.Errorf("add to count: %w", err)
	}
	limit = min(limit, store.MaxCount)
	now, until := time.Now().UnixMilli(), c.Until.UnixMilli()
	var total int64
	err := d.step(ctx, "add to count "+c.Name, func(t *conn) (refused, err error) {
		total = 0
		if until > now {
			if _, err := t.row(readCount, []any{c.Name, until}, &total); err != nil {
				return nil, err
			}
		}
		if n > 0 && total+n > limit {
			return store.ErrExceeded, nil
		}
		if until <= now {
			return nil, nil
		}
		total += n
		step := store.CountStep{Until: until, N: n, ID: id}
		return nil, errors.Join(t.saveCount(c.Name, until, total), t.noteStep(store.ChangeCountStep, c.Name, step))
	})
	if err != nil && !errors.Is(err, store.ErrExceeded) {
		return store.Count{}, err
	}
	return store.Count{Total: total}, err
}

// MirrorCount queues what a counter's sum is in the shared store, for the time
// when nobody can ask there.
func (d *DB) MirrorCount(c store.Counter, total int64) *store.Commit {
	o := &stepOp{newPending(), func(t *conn) (refused, err error) {
		return nil, t.saveCount(c.Name, c.Until.UnixMilli(), total)
	}}
	return d.writer.post(o, o.commit)
}

func (c *conn) saveCount(name string, until, total int64) error {
	_, err := c.exec(`INSERT OR REPLACE INTO counts (name, until_ms, total) VALUES (?, ?, ?)`, name, until, total)
	return err
}

const readCount = `SELECT total FROM counts WHERE name = ? AND until_ms = ?`

// ReadCount returns a counter's sum, zero where nothing was added yet and after
// the end of its window.
func (d *DB) ReadCount(ctx context.Context, c store.Counter) (store.Count, error) {
	if err := c.Check(0); err != nil {
		return store.Count{}, fmt.Errorf("read count: %w", err)
	}
	var count store.Count
	err := d.read.QueryRowContext(ctx, readCount, c.Name, c.Until.UnixMilli()).Scan(&count.Total)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return store.Count{}, d.failed("read count "+c.Name, err)
	}
	if !c.Until.After(time.Now()) {
		return store.Count{}, nil
	}
	return count, nil
}
