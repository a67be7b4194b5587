package sqlite

import (
	"fmt"

	"perezvon/internal/store"
)

// SaveCall queues the call's record and its events and returns at once; it
// blocks only while the queue is full. Saves reach the disk in the order in
// which they were queued, each with all of its events or not at all. The record
// is taken before SaveCall returns. A call that was never created is created,
// without a look for duplicates.
func (d *DB) SaveCall(c store.Call, evs ...store.Event) *store.Commit {
	row, err := newCallRow(c)
	if err != nil {
		commit, settle := store.NewCommit()
		settle(fmt.Errorf("save call: %w", err))
		return commit
	}
	o := &saveOp{pending: newPending(), row: row, events: evs}
	return d.writer.post(o, o.commit)
}

type saveOp struct {
	pending
	row        callRow
	events     []store.Event
	superseded bool // a later save of the same transaction writes the row
}

func (o *saveOp) settle(err error) {
	if err != nil {
		err = fmt.Errorf("save call %s: %w", o.row.ID, err)
	}
	o.settled(err)
}

func (o *saveOp) apply(t *conn) error {
	if !o.superseded {
		if err := o.row.save(t); err != nil {
			return err
		}
	}
	return insertEvents(t, o.row.ID, o.events)
}

// SaveEvents queues events that belong to no call, or to the one that each of
// them names, and returns at once like SaveCall. They keep the order of all
// writes and are stored together or not at all.
func (d *DB) SaveEvents(evs ...store.Event) *store.Commit {
	o := &saveEventsOp{pending: newPending(), events: evs}
	return d.writer.post(o, o.commit)
}

type saveEventsOp struct {
	pending
	events []store.Event
}

func (o *saveEventsOp) settle(err error) {
	if err != nil {
		err = fmt.Errorf("save events: %w", err)
	}
	o.settled(err)
}

func (o *saveEventsOp) apply(t *conn) error { return insertEvents(t, "", o.events) }

// insertEvents appends to the event log, in order. Events that name no call are
// those of callID.
func insertEvents(t *conn, callID string, evs []store.Event) error {
	for i := range evs {
		e := &evs[i]
		id := e.CallID
		if id == "" {
			id = callID
		}
		t.lastID++
		if _, err := t.exec(`INSERT INTO events (id, call_id, type, at, data) VALUES (?, ?, ?, ?, CAST(? AS TEXT))`,
			t.lastID, id, e.Type, nanos(e.At), []byte(e.Data)); err != nil {
			return err
		}
		t.events++
	}
	return nil
}
