package sqlite

import (
	"context"
	"fmt"
)

// SetDND keeps whether an extension is set to do not disturb, until it is said
// otherwise; when it returns without an error that is durable.
func (d *DB) SetDND(ctx context.Context, extension string, on bool) error {
	o := &dndOp{pending: newPending(), extension: extension, on: on}
	if err := d.writer.do(ctx, o); err != nil {
		return fmt.Errorf("set do not disturb of %s: %w", extension, err)
	}
	return nil
}

// DND returns the extensions of which SetDND has said something, and what.
func (d *DB) DND(ctx context.Context) (map[string]bool, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT number, dnd FROM extensions`)
	if err != nil {
		return nil, d.failed("read do not disturb", err)
	}
	defer func() { _ = rows.Close() }() // only read from
	said := make(map[string]bool)
	for rows.Next() {
		var number string
		var on bool
		if err := rows.Scan(&number, &on); err != nil {
			return nil, d.failed("read do not disturb", err)
		}
		said[number] = on
	}
	if err := rows.Err(); err != nil {
		return nil, d.failed("read do not disturb", err)
	}
	return said, nil
}

type dndOp struct {
	pending
	extension string
	on        bool
}

func (o *dndOp) apply(t *conn) error {
	_, err := t.exec(`INSERT OR REPLACE INTO extensions (number, dnd) VALUES (?, ?)`, o.extension, o.on)
	return err
}
