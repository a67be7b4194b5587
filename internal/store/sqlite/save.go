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
		err = fmt.Errorf("save call %s: %w", o.row.id, err)
	}
	o.settled(err)
}

func (o *saveOp) apply(t *conn) error {
	if !o.superseded {
		if err := o.row.save(t); err != nil {
			return err
		}
	}
	return insertEvents(t, o.row.id, o.events)
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

// save writes the row. Most saves change nothing but the state, and most of
// the others only end the call; these leave alone the indexes that they do not
// concern, which halves their cost.
func (r *callRow) save(t *conn) error {
	if r.open {
		done, err := r.update(t, `UPDATE calls SET state = ?, data = ?
			WHERE id = ? AND open = 1 AND result = ? AND kind = ? AND line = ? AND number = ? AND created_at = ?`,
			string(r.state), r.data, r.id, string(r.result), string(r.kind), r.line, r.number, r.created)
		if done || err != nil {
			return err
		}
	}
	done, err := r.update(t, `UPDATE calls SET state = ?, result = ?, open = ?, data = ?
		WHERE id = ? AND kind = ? AND line = ? AND number = ? AND created_at = ?`,
		string(r.state), string(r.result), r.open, r.data, r.id, string(r.kind), r.line, r.number, r.created)
	if done || err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO calls (id, kind, state, result, line, number, created_at, open, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, state = excluded.state, result = excluded.result,
			line = excluded.line, number = excluded.number, created_at = excluded.created_at,
			open = excluded.open, data = excluded.data`,
		r.id, string(r.kind), string(r.state), string(r.result), r.line, r.number, r.created, r.open, r.data)
	return err
}

// update says whether the statement found its row.
func (r *callRow) update(t *conn, query string, args ...any) (bool, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

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
		if _, err := t.exec(`INSERT INTO events (id, call_id, type, at, data) VALUES (?, ?, ?, ?, ?)`,
			t.lastID, id, e.Type, nanos(e.At), nullable(e.Data)); err != nil {
			return err
		}
		t.events++
	}
	return nil
}

// nullable keeps absent JSON apart from an empty text.
func nullable(data []byte) any {
	if data == nil {
		return nil
	}
	return string(data)
}
