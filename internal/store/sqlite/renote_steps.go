package sqlite

import (
	"context"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// keepSteps empties the outbox but for what only its rows tell. They get new
// numbers, in their order: the shared store may know the old ones from before a
// backup that this file was restored from.
func (c *conn) keepSteps() error {
	var first int64
	_, err := c.exec(`DELETE FROM outbox WHERE data IS NULL`)
	found, e := c.row(`SELECT seq FROM outbox ORDER BY seq LIMIT 1`, nil, &first)
	if err = errors.Join(err, e); err != nil || !found {
		return err
	}
	move := c.outbox.last + 1 - first
	c.outbox.last += move
	c.outbox.renoted = true
	// SQLite looks for equal numbers at each row, so that none may come between.
	_, err = c.exec(`UPDATE outbox SET seq = -seq`)
	_, e = c.exec(`UPDATE outbox SET seq = ? - seq`, move)
	return errors.Join(err, e)
}

// renoteSteps notes what no row of the outbox can name, whole. Jobs of the time
// before there was an outbox are handed over: they are claimed elsewhere now.
func (c *conn) renoteSteps() error {
	ctx := context.Background() // nothing may interrupt the writer
	for _, k := range kinds() {
		if k.where != "" || k.change == store.ChangeRate { // what was taken of rates comes back anyway
			continue
		}
		err := each(ctx, c.sql, func(scan func(...any) error) error {
			ch, err := k.read(scan)
			if err != nil {
				return fmt.Errorf("%s %s: %w", k.change, ch.ID, err)
			}
			return c.noteStep(ch.Type, ch.ID, ch.Data)
		}, k.query+` `+k.order)
		if err != nil {
			return err
		}
	}
	for _, table := range []string{"jobs", "lanes"} {
		if _, err := c.exec(`DELETE FROM ` + table); err != nil {
			return err
		}
	}
	return nil
}
