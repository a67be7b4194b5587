package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// adopt copies into the spool what another node has left behind in Redis and a
// service has to know at its start: calls in progress with their dialogs,
// phones, what was said of do not disturb, and which numbers are blocked. A call that is open here and has
// ended there was brought to its end by another node meanwhile.
func (d *DB) adopt(ctx context.Context) error {
	var all []store.Change
	for _, collect := range []func(context.Context) ([]store.Change, error){
		d.foreignCalls, d.settledCalls, d.foreignDialogs, d.foreignBindings, d.foreignDND, d.foreignBlocks,
	} {
		found, err := collect(ctx)
		if err != nil {
			return fmt.Errorf("take over what is in redis: %w", err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil
	}
	if err := d.spool.ImportQuietly(ctx, all); err != nil {
		return fmt.Errorf("take over what is in redis: %w", err)
	}
	d.log.Info("took over what another node has left in redis", "records", len(all))
	return nil
}

// foreignCalls are those that are open in Redis, but for those that ended here.
func (d *DB) foreignCalls(ctx context.Context) ([]store.Change, error) {
	calls, err := d.remote.openCalls(ctx)
	if err != nil {
		return nil, err
	}
	var out []store.Change
	for i := range calls {
		own, err := d.spool.Call(ctx, calls[i].ID)
		switch {
		case err == nil && own.State == store.StateEnded:
			continue
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
		data, err := calls[i].AppendJSON(nil)
		if err != nil {
			return nil, err
		}
		out = append(out, store.Change{Type: store.ChangeCall, ID: calls[i].ID, Data: data})
	}
	return out, nil
}

// settledCalls are those that are open here and have ended in Redis.
func (d *DB) settledCalls(ctx context.Context) ([]store.Change, error) {
	calls, err := d.spool.OpenCalls(ctx)
	if err != nil {
		return nil, err
	}
	var out []store.Change
	for i := range calls {
		there, err := d.remote.call(ctx, calls[i].ID)
		if errors.Is(err, store.ErrNotFound) || (err == nil && there.State != store.StateEnded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		data, err := there.AppendJSON(nil)
		if err != nil {
			return nil, err
		}
		out = append(out, store.Change{Type: store.ChangeCall, ID: there.ID, Data: data})
	}
	return out, nil
}

func (d *DB) foreignDialogs(ctx context.Context) ([]store.Change, error) {
	all, err := d.remote.dialogs(ctx)
	return changesOf(store.ChangeDialog, all, func(dl store.Dialog) string { return dl.ID }, err)
}

func (d *DB) foreignBindings(ctx context.Context) ([]store.Change, error) {
	all, err := d.remote.bindings(ctx)
	return changesOf(store.ChangeBinding, all, func(b store.Binding) string { return b.ID }, err)
}

func (d *DB) foreignDND(ctx context.Context) ([]store.Change, error) {
	said, err := d.remote.dnd(ctx)
	if err != nil {
		return nil, err
	}
	var out []store.Change
	for extension, on := range said {
		data, err := json.Marshal(store.DND{DND: on})
		if err != nil {
			return nil, err
		}
		out = append(out, store.Change{Type: store.ChangeDND, ID: extension, Data: data})
	}
	return out, nil
}

// changesOf are records on their way into the spool; err is that of reading them.
func changesOf[T any](kind store.ChangeType, all []T, id func(T) string, err error) ([]store.Change, error) {
	if err != nil {
		return nil, err
	}
	out := make([]store.Change, 0, len(all))
	for _, one := range all {
		data, err := json.Marshal(one)
		if err != nil {
			return nil, err
		}
		out = append(out, store.Change{Type: kind, ID: id(one), Data: data})
	}
	return out, nil
}

// resend has everything that the spool holds sent to Redis, which has nothing
// of it: it is new, or has lost it.
func (d *DB) resend(ctx context.Context, lost bool) error {
	if lost {
		// Readers have seen numbers of events that Redis does not know any
		// more. There never were as many events as microseconds.
		if err := d.remote.raiseEvents(ctx, time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	if err := d.spool.Renote(ctx); err != nil {
		return fmt.Errorf("send everything to redis: %w", err)
	}
	return nil
}
