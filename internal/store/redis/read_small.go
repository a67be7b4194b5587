package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"perezvon/internal/store"
)

// entry is a small record in its table.
type entry struct {
	order string // sorts as the records were first written
	id    string
	data  string // JSON
}

// orderLen is the length of order.
const orderLen = 16

// table returns all small records of a type, in the order in which they were
// first written.
func (r *remote) table(ctx context.Context, t store.ChangeType) ([]entry, error) {
	all, err := within(ctx, r, func(ctx context.Context) ([]entry, error) {
		records, err := r.data.HGetAll(ctx, tableSlot(t)+":records").Result()
		if err != nil {
			return nil, err
		}
		all := make([]entry, 0, len(records))
		for id, text := range records {
			if len(text) < orderLen {
				return nil, fmt.Errorf("%s is damaged", id)
			}
			all = append(all, entry{order: text[:orderLen], id: id, data: text[orderLen:]})
		}
		slices.SortFunc(all, byOrder)
		return all, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read every %s: %w", t, err)
	}
	return all, nil
}

// decodeTable reads all records of a type.
func decodeTable[T any](ctx context.Context, r *remote, t store.ChangeType) ([]T, []entry, error) {
	entries, err := r.table(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	var all []T
	for _, e := range entries {
		var v T
		if err := json.Unmarshal([]byte(e.data), &v); err != nil {
			return nil, nil, fmt.Errorf("%s %s is damaged: %w", t, e.id, err)
		}
		all = append(all, v)
	}
	return all, entries, nil
}

// dialogs returns every journalled dialog, in the order in which they were
// first written.
func (r *remote) dialogs(ctx context.Context) ([]store.Dialog, error) {
	all, _, err := decodeTable[store.Dialog](ctx, r, store.ChangeDialog)
	return all, err
}

// bindings returns every registration that is kept, in the order in which they
// were first saved.
func (r *remote) bindings(ctx context.Context) ([]store.Binding, error) {
	all, _, err := decodeTable[store.Binding](ctx, r, store.ChangeBinding)
	return all, err
}

// dnd returns the extensions of which something was said about do not disturb,
// and what.
func (r *remote) dnd(ctx context.Context) (map[string]bool, error) {
	all, entries, err := decodeTable[store.DND](ctx, r, store.ChangeDND)
	if err != nil {
		return nil, err
	}
	said := make(map[string]bool, len(all))
	for i, d := range all {
		said[entries[i].id] = d.DND
	}
	return said, nil
}

// traces returns the parts of a call's trace in the order in which they were
// saved; none is no error.
func (r *remote) traces(ctx context.Context, callID string) ([]store.TracePart, error) {
	all, err := within(ctx, r, func(ctx context.Context) ([]store.TracePart, error) {
		texts, err := r.data.LRange(ctx, callSlot(callID)+":traces", 0, -1).Result()
		if err != nil {
			return nil, err
		}
		var all []store.TracePart
		for _, text := range texts {
			at, err := parseTime(text[:min(timeLen, len(text))])
			if err != nil {
				return nil, fmt.Errorf("a part is damaged: %w", err)
			}
			all = append(all, store.TracePart{CallID: callID, At: at, Data: []byte(text[timeLen:])})
		}
		return all, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read traces of %s: %w", callID, err)
	}
	return all, nil
}
