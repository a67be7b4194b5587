package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// SaveBinding queues a phone's registration, replacing an older one of the same
// id. It keeps the order of all writes and blocks only while the queue is full.
func (d *DB) SaveBinding(b store.Binding) *store.Commit {
	if b.ID == "" {
		return store.Settled(errors.New("save binding: binding without an id"))
	}
	o := &saveBindingOp{pending: newPending(), id: b.ID, data: bytes.Clone(b.Data)}
	return d.writer.post(o, o.commit)
}

// DeleteBinding queues the end of a phone's registration. That there is none is
// no error.
func (d *DB) DeleteBinding(id string) *store.Commit {
	o := &deleteBindingOp{pending: newPending(), id: id}
	return d.writer.post(o, o.commit)
}

// Bindings returns every registration that is kept, in the order in which they
// were first saved.
func (d *DB) Bindings(ctx context.Context) ([]store.Binding, error) {
	return list(ctx, d, "read bindings", func(scan func(...any) error) (b store.Binding, err error) {
		err = scan(&b.ID, (*[]byte)(&b.Data))
		return b, err
	}, `SELECT id, data FROM bindings ORDER BY rowid`)
}

type saveBindingOp struct {
	pending
	id   string
	data []byte // taken when it was queued
}

func (o *saveBindingOp) apply(t *conn) error {
	t.note(store.ChangeBinding, o.id)
	if err := t.saveBinding(o.id, o.data); err != nil {
		return fmt.Errorf("save binding %s: %w", o.id, err)
	}
	return nil
}

func (c *conn) saveBinding(id string, data []byte) error {
	_, err := c.exec(`INSERT INTO bindings (id, data) VALUES (?, CAST(? AS TEXT))
		ON CONFLICT (id) DO UPDATE SET data = excluded.data`, id, data)
	return err
}

type deleteBindingOp struct {
	pending
	id string
}

func (o *deleteBindingOp) apply(t *conn) error {
	t.note(store.ChangeBinding, o.id)
	_, err := t.exec(`DELETE FROM bindings WHERE id = ?`, o.id)
	return err
}
