package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"perezvon/internal/store"
)

// Import stores a part of what Export has yielded, each part whole or not at
// all, events with the ids that they had. The first part, and one with nothing
// in it, is store.ErrNotEmpty where the store holds anything. Nothing is noted in
// the outbox.
func (d *DB) Import(ctx context.Context, batch []store.Change) error {
	o := &importOp{pending: newPending(), batch: batch, first: len(batch) == 0 || !d.importing.Load()}
	if err := d.writer.do(ctx, o); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	d.importing.Store(true)
	return nil
}

// ImportQuietly stores what a new node takes over from the shared store: calls,
// dialogs, bindings and what else is a record, over those of the same ids. There
// may be others already. Nothing is noted in the outbox, since the shared store
// knows all of it. Events are refused: the ids of the shared store are no ids
// here.
func (d *DB) ImportQuietly(ctx context.Context, batch []store.Change) error {
	for _, ch := range batch {
		if ch.Type == store.ChangeEvents {
			return errors.New("import: events cannot be taken over")
		}
	}
	if err := d.writer.do(ctx, &importOp{pending: newPending(), batch: batch}); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// Empty reports whether the store holds no record and no event. Counters and
// leases are neither.
func (d *DB) Empty(ctx context.Context) (bool, error) {
	var holds bool
	if err := d.read.QueryRowContext(ctx, holdsAnything()).Scan(&holds); err != nil {
		return false, d.failed("look whether the store is empty", err)
	}
	return !holds, nil
}

// holdsAnything is a query that says whether there is any record or event.
func holdsAnything() string {
	parts := []string{`SELECT EXISTS (SELECT 1 FROM events)`}
	for _, k := range kinds() {
		parts = append(parts, `EXISTS (SELECT 1 FROM `+k.table+`)`)
	}
	return strings.Join(parts, ` OR `)
}

type importOp struct {
	pending
	batch []store.Change
	first bool // nothing may be there yet
}

func (o *importOp) apply(t *conn) error {
	o.refused = nil
	if o.first {
		var holds bool
		if _, err := t.row(holdsAnything(), nil, &holds); err != nil {
			return err
		}
		if holds {
			o.refused = store.ErrNotEmpty
			return nil
		}
	}
	known := make(map[store.ChangeType]kind)
	for _, k := range kinds() {
		known[k.change] = k
	}
	for _, ch := range o.batch {
		if err := t.importOne(known, ch); err != nil {
			return fmt.Errorf("%s %q: %w", ch.Type, ch.ID, err)
		}
	}
	return nil
}

func (c *conn) importOne(known map[store.ChangeType]kind, ch store.Change) error {
	if ch.Type == store.ChangeEvents {
		return c.importEvents(ch.Events)
	}
	if ch.Data == nil {
		return errors.New("it is empty")
	}
	if ch.Type == store.ChangeCounter {
		return c.importCounter(ch)
	}
	k, ok := known[ch.Type]
	if !ok {
		return errors.New("a newer perezvon has written it")
	}
	return k.write(c, ch)
}

func (c *conn) importCounter(ch store.Change) error {
	var n int64
	if err := json.Unmarshal(ch.Data, &n); err != nil {
		return err
	}
	switch ch.ID {
	case store.CounterFence:
		return c.raise(ch.ID, n)
	case store.CounterEvents:
		c.lastID = max(c.lastID, n)
		_, err := c.exec(rememberEvent, c.lastID)
		return err
	}
	return errors.New("a newer perezvon has written it")
}

// importEvents writes events with the ids that they have.
func (c *conn) importEvents(evs []store.Event) error {
	rows := make([]any, 0, len(evs)*eventColumns)
	for i := range evs {
		e := &evs[i]
		id, err := store.ParseEventID(e.ID)
		if err != nil || id == 0 {
			return fmt.Errorf("event %q: %w", e.ID, store.ErrBadCursor)
		}
		rows = append(rows, id, e.CallID, e.Type, store.Nanos(e.At), []byte(e.Data))
		c.lastID = max(c.lastID, id)
	}
	return c.insert(rows, eventColumns, insertOne, insertFour, insertMany)
}

func writeCall(t *conn, ch store.Change) error {
	c, err := recordOf[store.Call](ch)
	if err != nil {
		return err
	}
	if c.ID == "" || c.ID != ch.ID {
		return fmt.Errorf("it is the record of call %q", c.ID)
	}
	return (*callRow)(&c).replace(t, ch.Data) // as it is: what this version does not know stays
}

func writeDialog(t *conn, ch store.Change) error {
	dl, err := recordOf[store.Dialog](ch)
	if err != nil {
		return err
	}
	dl.Data = orNothing(dl.Data)
	return t.saveDialog(&dl)
}

func writeBinding(t *conn, ch store.Change) error {
	b, err := recordOf[store.Binding](ch)
	if err != nil {
		return err
	}
	return t.saveBinding(b.ID, orNothing(b.Data))
}

func writeTrace(t *conn, ch store.Change) error {
	p, err := recordOf[store.TracePart](ch)
	if err != nil {
		return err
	}
	if p.Data == nil {
		p.Data = []byte{}
	}
	_, err = t.exec(`INSERT INTO traces (call_id, at, data) VALUES (?, ?, ?)`, p.CallID, store.Nanos(p.At), p.Data)
	return err
}

func writeDND(t *conn, ch store.Change) error {
	said, err := recordOf[store.DND](ch)
	if err != nil {
		return err
	}
	return t.setDND(ch.ID, said.DND)
}

func writeKey(t *conn, ch store.Change) error {
	k, err := recordOf[store.KeyUse](ch)
	if err != nil {
		return err
	}
	return t.saveKey(&store.Key{Scope: k.Scope, Value: k.Value, Hash: k.Hash}, k.CallID, k.CreatedAt)
}

// recordOf reads the record of a change.
func recordOf[T any](ch store.Change) (v T, err error) {
	err = json.Unmarshal(ch.Data, &v)
	return v, err
}

// orNothing is data, or nothing where JSON says null for it.
func orNothing(data json.RawMessage) json.RawMessage {
	if string(data) == "null" {
		return nil
	}
	return data
}
