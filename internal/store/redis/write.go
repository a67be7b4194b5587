package redis

import (
	"context"

	"perezvon/internal/store"
)

// SaveCall queues the call's record and its events and returns at once. The
// commit settles when they are durable on this node, which carries them to
// Redis behind it. See sqlite.DB.SaveCall.
func (d *DB) SaveCall(c store.Call, evs ...store.Event) *store.Commit {
	return d.spool.SaveCall(c, evs...)
}

// SaveEvents queues events like SaveCall does.
func (d *DB) SaveEvents(evs ...store.Event) *store.Commit { return d.spool.SaveEvents(evs...) }

// SaveDialog queues a dialog's journal entry, replacing an older one of the
// same id.
func (d *DB) SaveDialog(dl store.Dialog) *store.Commit { return d.spool.SaveDialog(dl) }

// DeleteDialog queues the end of a dialog's journal entry.
func (d *DB) DeleteDialog(id string) *store.Commit { return d.spool.DeleteDialog(id) }

// SaveBinding queues a phone's registration, replacing an older one of the same
// id.
func (d *DB) SaveBinding(b store.Binding) *store.Commit { return d.spool.SaveBinding(b) }

// DeleteBinding queues the end of a phone's registration.
func (d *DB) DeleteBinding(id string) *store.Commit { return d.spool.DeleteBinding(id) }

// SaveTrace queues a part of a call's trace, see sqlite.DB.SaveTrace.
func (d *DB) SaveTrace(p store.TracePart) *store.Commit { return d.spool.SaveTrace(p) }

// SetDND keeps whether an extension is set to do not disturb, until it is said
// otherwise; when it returns without an error that is durable on this node.
func (d *DB) SetDND(ctx context.Context, extension string, on bool) error {
	return d.spool.SetDND(ctx, extension, on)
}

// Ping says whether calls can be stored, which is a matter of this node's disk:
// they can be while Redis is away. Of Redis tells Health.
func (d *DB) Ping(ctx context.Context) error { return d.spool.Ping(ctx) }
