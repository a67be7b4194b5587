package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"perezvon/internal/store"
)

// callRow is a call on its way into the table.
type callRow store.Call

var errNoID = errors.New("call without an id")

// take takes the call's record as it is now: what its owner puts into it
// afterwards, lists included, changes nothing. What it points to is shared. It
// is encoded when it is written: half of all saves are superseded before.
func (r *callRow) take(c *store.Call) {
	*r = callRow(*c)
	r.Attempts = slices.Clone(c.Attempts)
	r.Legs = slices.Clone(c.Legs)
}

func (r *callRow) open() bool { return r.State != store.StateEnded }

func (r *callRow) insert(t *conn) error {
	data, err := t.encode(r)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO calls (id, kind, state, result, line, number, created_at, open, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))`,
		r.ID, string(r.Kind), string(r.State), string(r.Result), r.Line, r.Number, store.Nanos(r.CreatedAt), r.open(), data)
	return err
}

// save writes the row. Most saves change nothing but the state, and most of
// the others only end the call; these leave alone the indexes that they do not
// concern, which halves their cost.
func (r *callRow) save(t *conn) error {
	data, err := t.encode(r)
	if err != nil {
		return err
	}
	if r.open() {
		done, err := r.update(t, `UPDATE calls SET state = ?, data = CAST(? AS TEXT)
			WHERE id = ? AND open = 1 AND result = ? AND kind = ? AND line = ? AND number = ? AND created_at = ?`,
			string(r.State), data, r.ID, string(r.Result), string(r.Kind), r.Line, r.Number, store.Nanos(r.CreatedAt))
		if done || err != nil {
			return err
		}
	}
	done, err := r.update(t, `UPDATE calls SET state = ?, result = ?, open = ?, data = CAST(? AS TEXT)
		WHERE id = ? AND kind = ? AND line = ? AND number = ? AND created_at = ?`,
		string(r.State), string(r.Result), r.open(), data, r.ID, string(r.Kind), r.Line, r.Number, store.Nanos(r.CreatedAt))
	if done || err != nil {
		return err
	}
	return r.replace(t, data)
}

// replace writes the row, whatever it was before, with its record as given.
func (r *callRow) replace(t *conn, data []byte) error {
	_, err := t.exec(`INSERT INTO calls (id, kind, state, result, line, number, created_at, open, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))
		ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, state = excluded.state, result = excluded.result,
			line = excluded.line, number = excluded.number, created_at = excluded.created_at,
			open = excluded.open, data = excluded.data`,
		r.ID, string(r.Kind), string(r.State), string(r.Result), r.Line, r.Number, store.Nanos(r.CreatedAt), r.open(), data)
	return err
}

// update says whether the statement found its row.
func (r *callRow) update(t *conn, query string, args ...any) (bool, error) {
	n, err := t.exec(query, args...)
	return n > 0, err
}

func decodeCall(data string) (store.Call, error) {
	var c store.Call
	if err := json.Unmarshal([]byte(data), &c); err != nil {
		return store.Call{}, fmt.Errorf("stored call is damaged: %w", err)
	}
	return c, nil
}

// encode returns the call's JSON, valid until the next encode. It is bound as
// bytes and cast to text by SQLite, which spares a copy of the largest column.
func (c *conn) encode(r *callRow) ([]byte, error) {
	data, err := (*store.Call)(r).AppendJSON(c.json[:0])
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", r.ID, err)
	}
	c.json = data
	return data, nil
}
