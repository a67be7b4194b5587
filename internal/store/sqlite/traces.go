package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// SaveTrace queues a part of a call's trace, which is kept behind those that
// are there, and returns at once like SaveCall. Of one call the first
// store.MaxTraceParts are kept.
func (d *DB) SaveTrace(t store.TracePart) *store.Commit {
	if t.CallID == "" {
		return store.Settled(errors.New("save trace: trace of no call"))
	}
	o := &saveTraceOp{pending: newPending(), part: t}
	o.part.Data = bytes.Clone(t.Data)
	return d.writer.post(o, o.commit)
}

// Traces returns the parts of a call's trace in the order in which they were
// saved; none is no error.
func (d *DB) Traces(ctx context.Context, callID string) ([]store.TracePart, error) {
	return list(ctx, d, "read traces", func(scan func(...any) error) (store.TracePart, error) {
		p := store.TracePart{CallID: callID}
		var at int64
		err := scan(&at, &p.Data)
		p.At = store.FromNanos(at)
		return p, err
	}, tracesOf, callID)
}

const (
	tracesOf    = `SELECT at, data FROM traces WHERE call_id = ? ORDER BY id`
	insertTrace = `INSERT INTO traces (call_id, at, data) SELECT ?1, ?2, ?3
		WHERE (SELECT count(*) FROM traces WHERE call_id = ?1) < ?4`
)

type saveTraceOp struct {
	pending
	part store.TracePart
}

func (o *saveTraceOp) apply(t *conn) error {
	at := store.Nanos(o.part.At)
	added, err := t.exec(insertTrace, o.part.CallID, at, o.part.Data, store.MaxTraceParts)
	if err == nil && added > 0 {
		err = t.noteTrace(o.part.CallID, at)
	}
	if err != nil {
		return fmt.Errorf("save trace of %s: %w", o.part.CallID, err)
	}
	return nil
}
