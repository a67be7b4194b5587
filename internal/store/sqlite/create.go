package sqlite

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/store"

	codes "modernc.org/sqlite/lib"
)

// CreateCall stores a new call with its events; when it returns without an
// error they are durable. It is one step: of any number of identical requests
// at once one creates the call and the others get that call as a duplicate.
//
// A duplicate is a request with a key of the last 24 hours and the same hash,
// or a callback to a line and number that have one which is not ended. Nothing
// but the key is stored then. The same key with another hash gives
// store.ErrKeyReused. A call that is none of these and exceeds the limit of its
// number gives store.ErrTooMany.
//
// When ctx ends the call may have been stored nevertheless; the same key tells.
func (d *DB) CreateCall(ctx context.Context, c store.Call, adm store.Admission, evs ...store.Event) (store.Call, bool, error) {
	if c.ID == "" {
		return store.Call{}, false, fmt.Errorf("create call: %w", errNoID)
	}
	o := &createOp{pending: newPending(), limit: adm.PerNumber, events: evs, now: time.Now()}
	o.row.take(&c)
	if adm.Key != nil {
		k := *adm.Key
		o.key = &k
	}
	if err := d.writer.do(ctx, o); err != nil {
		return store.Call{}, false, fmt.Errorf("create call: %w", err)
	}
	if o.existing == "" {
		return c, false, nil
	}
	stored, err := decodeCall(o.existing)
	if err != nil {
		return store.Call{}, false, fmt.Errorf("create call: %w", err)
	}
	return stored, true, nil
}

type createOp struct {
	pending
	row      callRow
	key      *store.Key
	limit    store.Limit
	events   []store.Event
	now      time.Time
	existing string // record of the call that was there already; set by apply
}

func (o *createOp) apply(t *conn) error {
	o.existing, o.refused = "", nil
	found, err := o.byKey(t)
	if err != nil || found || o.refused != nil {
		return err
	}
	id, err := o.openCallback(t)
	if err != nil {
		return err
	}
	if id != "" {
		return o.remember(t, id)
	}
	if over, err := o.overLimit(t); over || err != nil {
		o.refused = store.ErrTooMany
		return err
	}
	if err := o.row.insert(t); err != nil {
		if primaryCode(err) == codes.SQLITE_CONSTRAINT {
			o.refused = fmt.Errorf("call %s exists already", o.row.ID)
			return nil
		}
		return err
	}
	t.note(store.ChangeCall, o.row.ID)
	if err := o.remember(t, o.row.ID); err != nil {
		return err
	}
	t.addEvents(o.row.ID, o.events)
	return nil
}

// byKey finds the call that the same request created.
func (o *createOp) byKey(t *conn) (bool, error) {
	if o.key == nil {
		return false, nil
	}
	var hash, data string
	found, err := t.row(`SELECT k.hash, c.data FROM idempotency_keys k JOIN calls c ON c.id = k.call_id
		WHERE k.scope = ? AND k.value = ? AND k.created_at > ?`,
		[]any{o.key.Scope, o.key.Value, store.Nanos(o.now.Add(-keepKeys))}, &hash, &data)
	if err != nil || !found {
		return false, err
	}
	if hash != o.key.Hash {
		o.refused = store.ErrKeyReused
		return false, nil
	}
	o.existing = data
	return true, nil
}

// findOpenCallback finds the oldest open callback to a line and number. SQLite
// would rather walk through all callbacks there ever were, in the order of their
// creation.
const findOpenCallback = `SELECT id, data FROM calls INDEXED BY calls_open
	WHERE open = 1 AND line = ? AND number = ? AND kind = ? AND id <> ? ORDER BY rowid LIMIT 1`

// openCallback finds the callback to the same line and number that is still
// open and returns its id.
func (o *createOp) openCallback(t *conn) (id string, err error) {
	if o.row.Kind != store.KindCallback || o.row.Number == "" {
		return "", nil
	}
	_, err = t.row(findOpenCallback, []any{o.row.Line, o.row.Number, string(store.KindCallback), o.row.ID}, &id, &o.existing)
	return id, err
}

// overLimit reports whether the number has had all the calls it may have.
func (o *createOp) overLimit(t *conn) (bool, error) {
	if o.limit.Count <= 0 {
		return false, nil
	}
	var n int
	_, err := t.row(countCalls, []any{o.row.Number, store.Nanos(o.limit.Since)}, &n)
	return n >= o.limit.Count, err
}

// remember ties the key to a call, so that a repetition gets that call also
// when it has ended.
func (o *createOp) remember(t *conn, id string) error {
	if o.key == nil {
		return nil
	}
	t.note(store.ChangeKey, store.KeyID(o.key.Scope, o.key.Value))
	return t.saveKey(o.key, id, o.now)
}

func (c *conn) saveKey(k *store.Key, callID string, at time.Time) error {
	_, err := c.exec(`INSERT OR REPLACE INTO idempotency_keys (scope, value, hash, call_id, created_at) VALUES (?, ?, ?, ?, ?)`,
		k.Scope, k.Value, k.Hash, callID, store.Nanos(at))
	return err
}
