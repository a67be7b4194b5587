package redis

import (
	"context"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// Call returns a call, or store.ErrNotFound. Of its own calls this node knows
// best; Redis is asked for the others, and store.ErrAway says that it could not
// be.
func (d *DB) Call(ctx context.Context, id string) (store.Call, error) {
	c, err := d.spool.Call(ctx, id)
	if !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	missing := err
	err = d.link.ask(ctx, readLimit, func(ctx context.Context) (err error) {
		c, err = d.remote.call(ctx, id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Call{}, missing
	case err != nil:
		return store.Call{}, fmt.Errorf("read call %s: %w", id, err)
	}
	return c, nil
}

// Calls returns the calls that f selects, those of all nodes, newest first. What
// this node had stored before is among them. While Redis is away, or too far
// behind, they are those that this node still has. See sqlite.DB.Calls.
func (d *DB) Calls(ctx context.Context, f store.Filter) (calls []store.Call, next string, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		calls, next, err = d.remote.calls(ctx, f)
		return err
	})
	if errors.Is(err, store.ErrAway) {
		return d.spool.Calls(ctx, f)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list calls: %w", err)
	}
	return calls, next, nil
}

// OpenCalls returns every call of this node that is not ended, oldest first.
func (d *DB) OpenCalls(ctx context.Context) ([]store.Call, error) { return d.spool.OpenCalls(ctx) }

// Events returns events of all nodes, oldest first, in the order in which they
// came to Redis, which numbers them. While Redis is away, or too far behind what
// this node has stored, it is store.ErrAway.
// See sqlite.DB.Events.
func (d *DB) Events(ctx context.Context, f store.EventFilter) (evs []store.Event, next string, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		evs, next, err = d.remote.events(ctx, f)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	return evs, next, nil
}

// LastEvent returns the id of the newest event. Where there is none it is one
// that comes before all events. While Redis is away it is store.ErrAway.
func (d *DB) LastEvent(ctx context.Context) (id string, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		id, err = d.remote.lastEvent(ctx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("find the last event: %w", err)
	}
	return id, nil
}

// Traces returns the parts of a call's trace in the order in which they were
// saved; none is no error. While Redis is away they are those that this node
// still has.
func (d *DB) Traces(ctx context.Context, callID string) (parts []store.TracePart, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		parts, err = d.remote.traces(ctx, callID)
		return err
	})
	if errors.Is(err, store.ErrAway) {
		return d.spool.Traces(ctx, callID)
	}
	if err != nil {
		return nil, fmt.Errorf("read traces: %w", err)
	}
	return parts, nil
}

// Dialogs returns every dialog that this node has journalled, in the order in
// which they were first written.
func (d *DB) Dialogs(ctx context.Context) ([]store.Dialog, error) { return d.spool.Dialogs(ctx) }

// Bindings returns every registration at this node, in the order in which they
// were first saved.
func (d *DB) Bindings(ctx context.Context) ([]store.Binding, error) { return d.spool.Bindings(ctx) }

// DND returns the extensions of which SetDND has said something, and what.
func (d *DB) DND(ctx context.Context) (map[string]bool, error) { return d.spool.DND(ctx) }

// read asks Redis for a list, behind what this node had stored before. A list
// without that would pass for a whole one: where it does not get there in time
// Redis counts as away.
func (d *DB) read(ctx context.Context, op func(context.Context) error) error {
	if d.closed.Load() {
		return store.ErrClosed
	}
	switch err := d.shipper.await(ctx, readLimit, arrivalLimit); {
	case errors.Is(err, errSlow):
		return away(errBehind)
	case err != nil:
		return err
	}
	return d.link.ask(ctx, readLimit, op)
}
