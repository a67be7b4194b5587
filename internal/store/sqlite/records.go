package sqlite

import (
	"bytes"
	"encoding/json"
	"time"

	"perezvon/internal/store"
)

// kind is a table whose records travel between stores.
type kind struct {
	change store.ChangeType
	table  string
	query  string // the columns that read takes, of all records
	where  string // finds the record of a row of the outbox; empty: the row tells all
	order  string
	args   func(note) []any // of where
	read   func(scan func(...any) error) (store.Change, error)
	write  func(*conn, store.Change) error // replaces a record of the same id; a part of a trace is added
}

// note is a row of the outbox.
type note struct {
	seq         int64
	kind        store.ChangeType
	id          string
	first, last int64
	data        []byte // what happened, where no record tells
}

// kinds are all tables of records but the events, in an order in which what is
// named comes before what names it.
func kinds() []kind {
	byID := func(n note) []any { return []any{n.id} }
	return []kind{
		{
			store.ChangeCall, "calls", `SELECT id, data FROM calls`, `WHERE id = ?`, `ORDER BY rowid`,
			byID, readData(store.ChangeCall), writeCall,
		},
		{
			store.ChangeDialog, "dialogs", `SELECT id, call_id, leg_id, data FROM dialogs`, `WHERE id = ?`, `ORDER BY rowid`,
			byID, readDialog, writeDialog,
		},
		{
			store.ChangeBinding, "bindings", `SELECT id, data FROM bindings`, `WHERE id = ?`, `ORDER BY rowid`,
			byID, readBinding, writeBinding,
		},
		{
			store.ChangeTrace, "traces", `SELECT call_id, at, data FROM traces`, `WHERE id = ? AND call_id = ? AND at = ?`, `ORDER BY call_id, id`,
			func(n note) []any { return []any{n.first, n.id, n.last} }, readTrace, writeTrace,
		},
		{
			store.ChangeDND, "extensions", `SELECT number, dnd FROM extensions`, `WHERE number = ?`, `ORDER BY number`,
			byID, readDND, writeDND,
		},
		{
			store.ChangeKey, "idempotency_keys", `SELECT scope, value, hash, call_id, created_at FROM idempotency_keys`,
			`WHERE scope = ? AND value = ?`, `ORDER BY scope, value`,
			func(n note) []any {
				scope, value := store.ParseKeyID(n.id)
				return []any{scope, value}
			}, readKey, writeKey,
		},
		{
			store.ChangeBlock, "blocks", `SELECT number, data FROM blocks`, ``, `ORDER BY number`,
			nil, readData(store.ChangeBlock), writeBlock,
		},
		{
			store.ChangeJob, "jobs", `SELECT ` + columns + ` FROM jobs`, ``, `ORDER BY seq`,
			nil, readJob, writeJob,
		},
		{
			store.ChangeCount, "counts", `SELECT name, until_ms, total FROM counts`, ``, `ORDER BY name, until_ms`,
			nil, readCountStep, writeCountStep,
		},
		{
			store.ChangePause, "rates", `SELECT scope, full_us FROM rates WHERE name = ''`, ``, `ORDER BY scope`,
			nil, readPause, writePause,
		},
		{
			store.ChangeRate, "rates", `SELECT scope, name, full_us FROM rates WHERE name <> ''`, ``, `ORDER BY scope, name`,
			nil, readRateUse, writeRateUse,
		},
	}
}

// readData reads a record that is stored as JSON.
func readData(change store.ChangeType) func(scan func(...any) error) (store.Change, error) {
	return func(scan func(...any) error) (store.Change, error) {
		ch := store.Change{Type: change}
		if err := scan(&ch.ID, (*[]byte)(&ch.Data)); err != nil {
			return store.Change{}, err
		}
		return ch, nil
	}
}

func readDialog(scan func(...any) error) (store.Change, error) {
	var dl store.Dialog
	if err := scan(&dl.ID, &dl.CallID, &dl.LegID, (*[]byte)(&dl.Data)); err != nil {
		return store.Change{}, err
	}
	return changeOf(store.ChangeDialog, dl.ID, dl)
}

func readBinding(scan func(...any) error) (store.Change, error) {
	var b store.Binding
	if err := scan(&b.ID, (*[]byte)(&b.Data)); err != nil {
		return store.Change{}, err
	}
	return changeOf(store.ChangeBinding, b.ID, b)
}

func readTrace(scan func(...any) error) (store.Change, error) {
	var p store.TracePart
	var at int64
	if err := scan(&p.CallID, &at, &p.Data); err != nil {
		return store.Change{}, err
	}
	p.At = store.FromNanos(at)
	return changeOf(store.ChangeTrace, p.CallID, p)
}

func readDND(scan func(...any) error) (store.Change, error) {
	var number string
	var said store.DND
	if err := scan(&number, &said.DND); err != nil {
		return store.Change{}, err
	}
	return changeOf(store.ChangeDND, number, said)
}

func readKey(scan func(...any) error) (store.Change, error) {
	var k store.KeyUse
	var at int64
	if err := scan(&k.Scope, &k.Value, &k.Hash, &k.CallID, &at); err != nil {
		return store.Change{}, err
	}
	k.CreatedAt = store.FromNanos(at).Truncate(time.Microsecond)
	return changeOf(store.ChangeKey, store.KeyID(k.Scope, k.Value), k)
}

// changeOf writes a record. Unlike json.Marshal it leaves what it holds as it
// is, as far as JSON lets it.
func changeOf(kind store.ChangeType, id string, record any) (store.Change, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(record)
	return store.Change{Type: kind, ID: id, Data: bytes.TrimSpace(b.Bytes())}, err
}

func readEvent(scan func(...any) error) (e store.Event, err error) {
	var id, at int64
	err = scan(&id, &e.CallID, &e.Type, &at, (*[]byte)(&e.Data))
	e.ID, e.At = store.EventID(id), store.FromNanos(at)
	return e, err
}
