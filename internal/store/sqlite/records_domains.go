package sqlite

import (
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

func writeBlock(t *conn, ch store.Change) error {
	b, err := recordOf[store.Block](ch)
	if err != nil {
		return err
	}
	if b.Number == "" || b.Number != ch.ID {
		return fmt.Errorf("it is the record of number %q", b.Number)
	}
	return t.saveBlock(b)
}

func readJob(scan func(...any) error) (store.Change, error) {
	var row jobRow
	if err := scan(row.columns()...); err != nil {
		return store.Change{}, err
	}
	j := row.job()
	return changeOf(store.ChangeJob, store.JobID(j.Kind, j.ID), j)
}

// writeJob puts a job at the end of its lane, as it is: claimed by whoever has
// it, done or dead.
func writeJob(t *conn, ch store.Change) error {
	j, err := recordOf[store.Job](ch)
	if err != nil {
		return err
	}
	if err := j.Check(); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO jobs (kind, id, lane, state, due_ms, joined_ms, tries, cause, owner, fence, until_ms, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT)) ON CONFLICT (kind, id) DO UPDATE SET lane = excluded.lane,
			state = excluded.state, due_ms = excluded.due_ms, joined_ms = excluded.joined_ms, tries = excluded.tries,
			cause = excluded.cause, owner = excluded.owner, fence = excluded.fence, until_ms = excluded.until_ms, data = excluded.data`,
		j.Kind, j.ID, j.Lane, string(j.State), store.DueMillis(j.Due), store.DueMillis(j.At), j.Tries, j.Cause, j.Owner, j.Fence, store.DueMillis(j.Until),
		[]byte(orNothing(j.Data)))
	return errors.Join(err, t.lane(j.Kind, j.Lane))
}

func readCountStep(scan func(...any) error) (store.Change, error) {
	var name string
	var c store.CountStep
	if err := scan(&name, &c.Until, &c.N); err != nil {
		return store.Change{}, err
	}
	return changeOf(store.ChangeCount, name, c)
}

func writeCountStep(t *conn, ch store.Change) error {
	c, err := recordOf[store.CountStep](ch)
	if err != nil {
		return err
	}
	return t.saveCount(ch.ID, c.Until, c.N)
}

func readPause(scan func(...any) error) (store.Change, error) {
	var scope string
	var until int64
	if err := scan(&scope, &until); err != nil {
		return store.Change{}, err
	}
	return changeOf(store.ChangePause, scope, store.PauseUntil{Until: time.UnixMicro(until).UTC()})
}

func writePause(t *conn, ch store.Change) error {
	p, err := recordOf[store.PauseUntil](ch)
	if err != nil {
		return err
	}
	_, err = t.exec(writeRate, ch.ID, paused, p.Until.UnixMicro())
	return err
}

func readRateUse(scan func(...any) error) (store.Change, error) {
	var scope string
	var r store.RateUse
	var full int64
	if err := scan(&scope, &r.Name, &full); err != nil {
		return store.Change{}, err
	}
	r.Full = time.UnixMicro(full).UTC()
	return changeOf(store.ChangeRate, scope, r)
}

func writeRateUse(t *conn, ch store.Change) error {
	r, err := recordOf[store.RateUse](ch)
	if err != nil {
		return err
	}
	_, err = t.exec(writeRate, ch.ID, r.Name, r.Full.UnixMicro())
	return err
}
