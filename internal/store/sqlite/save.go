package sqlite

import (
	"fmt"

	"perezvon/internal/store"
)

// SaveCall queues the call's record and its events and returns at once; it
// blocks only while the queue is full. Saves reach the disk in the order in
// which they were queued, each with all of its events or not at all. The record
// is taken before SaveCall returns; what it points to, such as times, must not
// change afterwards. A call that was never created is created, without a look
// for duplicates.
func (d *DB) SaveCall(c store.Call, evs ...store.Event) *store.Commit {
	if c.ID == "" {
		return store.Settled(fmt.Errorf("save call: %w", errNoID))
	}
	o := &saveOp{pending: newPending(), events: evs}
	o.row.take(&c)
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
	o.commit.Settle(err)
}

func (o *saveOp) apply(t *conn) error {
	if !o.superseded {
		if err := o.row.save(t); err != nil {
			return err
		}
		t.note(store.ChangeCall, o.row.ID)
	}
	t.addEvents(o.row.ID, o.events)
	return nil
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
	o.commit.Settle(err)
}

func (o *saveEventsOp) apply(t *conn) error {
	t.addEvents("", o.events)
	return nil
}

// addEvents appends to the event log, in order; flush writes. Events that
// name no call are those of callID.
func (c *conn) addEvents(callID string, evs []store.Event) {
	for i := range evs {
		e := &evs[i]
		id := e.CallID
		if id == "" {
			id = callID
		}
		c.lastID++
		c.events++
		c.rows = append(c.rows, c.lastID, id, e.Type, store.Nanos(e.At), []byte(e.Data))
	}
}

// eventColumns is how many values a row of events has.
const eventColumns = 5

// A statement costs more than a row, so that several rows share one.
const (
	eventRow   = `(?, ?, ?, ?, CAST(? AS TEXT))`
	fourRows   = eventRow + `, ` + eventRow + `, ` + eventRow + `, ` + eventRow
	insertOne  = `INSERT INTO events (id, call_id, type, at, data) VALUES ` + eventRow
	insertFour = `INSERT INTO events (id, call_id, type, at, data) VALUES ` + fourRows
	insertMany = insertFour + `, ` + fourRows + `, ` + fourRows + `, ` + fourRows
)

// flush writes what a transaction has collected.
func (c *conn) flush() error {
	if err := c.insert(c.rows, eventColumns, insertOne, insertFour, insertMany); err != nil {
		return err
	}
	return c.flushOutbox()
}

// insert writes rows, whose values stand one after the other, with statements
// for one, four and sixteen of them.
func (c *conn) insert(rows []any, columns int, one, four, sixteen string) error {
	for len(rows) > 0 {
		query, n := one, 1
		switch left := len(rows) / columns; {
		case left >= 16:
			query, n = sixteen, 16
		case left >= 4:
			query, n = four, 4
		}
		if _, err := c.exec(query, rows[:n*columns]...); err != nil {
			return err
		}
		rows = rows[n*columns:]
	}
	return nil
}
