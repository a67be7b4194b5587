package sqlite

import (
	"time"

	"perezvon/internal/store"
)

// eventsAtOnce is how many events at most are one change.
const eventsAtOnce = 256

// outbox collects the changes of a transaction.
type outbox struct {
	last  int64 // the highest seq so far, also of one that was rolled back
	at    int64 // when the transaction began
	noted map[record]bool
	rows  []any // the values of the rows one after the other

	renoted bool // rows were added beside rows
}

// record names what changed.
type record struct {
	kind store.ChangeType
	id   string
}

// outboxColumns is how many values a row of the outbox has.
const outboxColumns = 7

func (b *outbox) begin() {
	b.at = store.Nanos(time.Now())
	clear(b.noted)
	clear(b.rows)
	b.rows = b.rows[:0]
	b.renoted = false
}

func (b *outbox) add(kind store.ChangeType, id string, first, last int64) {
	b.last++
	b.rows = append(b.rows, b.last, b.at, string(kind), id, first, last, nil)
}

// note leaves a row in the outbox, if there is one: that a record was written or
// deleted. One row does for all that a transaction does to it.
func (c *conn) note(kind store.ChangeType, id string) {
	if c.outbox == nil {
		return
	}
	if r := (record{kind, id}); !c.outbox.noted[r] {
		c.outbox.noted[r] = true
		c.outbox.add(kind, id, 0, 0)
	}
}

// noteStep leaves a row that carries itself what happened, for what is nothing
// that a record tells.
func (c *conn) noteStep(kind store.ChangeType, id string, step any) error {
	if c.outbox == nil {
		return nil
	}
	ch, err := changeOf(kind, id, step)
	if err != nil {
		return err
	}
	c.outbox.add(kind, id, 0, 0)
	c.outbox.rows[len(c.outbox.rows)-1] = []byte(ch.Data)
	return nil
}

// noteTrace is note for the part of a trace that was just inserted.
func (c *conn) noteTrace(callID string, at int64) error {
	if c.outbox == nil {
		return nil
	}
	var id int64
	_, err := c.row(`SELECT max(id) FROM traces`, nil, &id)
	c.outbox.add(store.ChangeTrace, callID, id, at)
	return err
}

// flushOutbox writes the rows of a transaction. Its events come last: who reads
// of an event finds the record that came with it.
func (c *conn) flushOutbox() error {
	if c.outbox == nil {
		return nil
	}
	for first := c.lastID - int64(c.events) + 1; first <= c.lastID; first += eventsAtOnce {
		c.outbox.add(store.ChangeEvents, "", first, min(first+eventsAtOnce-1, c.lastID))
	}
	return c.insert(c.outbox.rows, outboxColumns, noteOne, noteFour, noteMany)
}

const (
	noteRow  = `(?, ?, ?, ?, ?, ?, CAST(? AS TEXT))`
	noteFew  = noteRow + `, ` + noteRow + `, ` + noteRow + `, ` + noteRow
	noteOne  = `INSERT INTO outbox (seq, at, type, id, first, last, data) VALUES ` + noteRow
	noteFour = `INSERT INTO outbox (seq, at, type, id, first, last, data) VALUES ` + noteFew
	noteMany = noteFour + `, ` + noteFew + `, ` + noteFew + `, ` + noteFew
)
