package sqlite

import (
	"context"
	"fmt"

	"perezvon/internal/store"
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
	type word struct {
		number string
		on     bool
	}
	words, err := list(ctx, d, "read do not disturb", func(scan func(...any) error) (w word, err error) {
		err = scan(&w.number, &w.on)
		return w, err
	}, `SELECT number, dnd FROM extensions`)
	if err != nil {
		return nil, err
	}
	said := make(map[string]bool, len(words))
	for _, w := range words {
		said[w.number] = w.on
	}
	return said, nil
}

type dndOp struct {
	pending
	extension string
	on        bool
}

func (o *dndOp) apply(t *conn) error {
	t.note(store.ChangeDND, o.extension)
	return t.setDND(o.extension, o.on)
}

func (c *conn) setDND(extension string, on bool) error {
	_, err := c.exec(`INSERT OR REPLACE INTO extensions (number, dnd) VALUES (?, ?)`, extension, on)
	return err
}
