package sqlite

import (
	"context"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// SaveDialog queues a dialog's journal entry, replacing an older one of the
// same id. It keeps the order of all writes and blocks only while the queue is
// full. The data must not change any more.
func (d *DB) SaveDialog(dl store.Dialog) *store.Commit {
	if dl.ID == "" {
		return store.Settled(errors.New("save dialog: dialog without an id"))
	}
	o := &saveDialogOp{pending: newPending(), dialog: dl}
	return d.writer.post(o, o.commit)
}

// DeleteDialog queues the end of a dialog's journal entry. That there is none
// is no error.
func (d *DB) DeleteDialog(id string) *store.Commit {
	o := &deleteDialogOp{pending: newPending(), id: id}
	return d.writer.post(o, o.commit)
}

// Dialogs returns every journalled dialog, in the order in which they were
// first written.
func (d *DB) Dialogs(ctx context.Context) ([]store.Dialog, error) {
	return list(ctx, d, "read dialogs", func(scan func(...any) error) (dl store.Dialog, err error) {
		err = scan(&dl.ID, &dl.CallID, &dl.LegID, (*[]byte)(&dl.Data))
		return dl, err
	}, `SELECT id, call_id, leg_id, data FROM dialogs ORDER BY rowid`)
}

type saveDialogOp struct {
	pending
	dialog     store.Dialog
	superseded bool // the same transaction saves it again, or deletes it
}

func (o *saveDialogOp) apply(t *conn) error {
	if o.superseded {
		return nil
	}
	t.note(store.ChangeDialog, o.dialog.ID)
	if err := t.saveDialog(&o.dialog); err != nil {
		return fmt.Errorf("save dialog %s: %w", o.dialog.ID, err)
	}
	return nil
}

func (c *conn) saveDialog(dl *store.Dialog) error {
	_, err := c.exec(`INSERT INTO dialogs (id, call_id, leg_id, data) VALUES (?, ?, ?, CAST(? AS TEXT))
		ON CONFLICT (id) DO UPDATE SET call_id = excluded.call_id, leg_id = excluded.leg_id, data = excluded.data`,
		dl.ID, dl.CallID, dl.LegID, []byte(dl.Data))
	return err
}

type deleteDialogOp struct {
	pending
	id string
}

func (o *deleteDialogOp) apply(t *conn) error {
	t.note(store.ChangeDialog, o.id)
	_, err := t.exec(`DELETE FROM dialogs WHERE id = ?`, o.id)
	return err
}
