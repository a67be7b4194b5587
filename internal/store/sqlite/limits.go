package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// Allow takes units of the rates of a scope: of all or, where one of them has
// too few or the scope is paused, of none. What was taken is kept over a
// restart.
func (d *DB) Allow(ctx context.Context, scope string, rates ...store.Rate) (store.Verdict, error) {
	if err := store.CheckRates(scope, rates); err != nil {
		return store.Verdict{}, fmt.Errorf("take of rates: %w", err)
	}
	now := time.Now().UnixMicro()
	var v store.Verdict
	err := d.step(ctx, "take of rates of "+scope, func(t *conn) (refused, err error) {
		v, err = allow(t, scope, rates, now)
		return nil, err
	})
	if err != nil {
		return store.Verdict{}, err
	}
	return v, nil
}

const (
	readRate  = `SELECT full_us FROM rates WHERE scope = ? AND name = ?`
	writeRate = `INSERT OR REPLACE INTO rates (scope, name, full_us) VALUES (?, ?, ?)`
	paused    = "" // the name under which a scope's pause is kept
)

func allow(t *conn, scope string, rates []store.Rate, now int64) (store.Verdict, error) {
	var longest int64
	var v store.Verdict
	if _, err := t.row(readRate, []any{scope, paused}, &longest); err != nil {
		return v, err
	}
	longest = max(0, longest-now)
	then := make([]int64, len(rates))
	for i, r := range rates {
		var full, wait int64
		if _, err := t.row(readRate, []any{scope, r.Name}, &full); err != nil {
			return v, err
		}
		if then[i], wait = r.Take(full, now); wait > longest {
			longest, v.Rate = wait, r.Name
		}
	}
	if longest > 0 {
		v.RetryAfter = time.Duration(longest) * time.Microsecond
		return v, nil
	}
	for i, r := range rates {
		if _, err := t.exec(writeRate, scope, r.Name, then[i]); err != nil {
			return v, err
		}
	}
	v.Allowed = true
	return v, nil
}

// Pause lets nothing of a scope be allowed until a time; one that ends earlier
// than another that is in force changes nothing.
func (d *DB) Pause(ctx context.Context, scope string, until time.Time) error {
	if err := store.CheckRates(scope, nil); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	return d.step(ctx, "pause "+scope, func(t *conn) (refused, err error) {
		if err := t.noteStep(store.ChangePause, scope, store.PauseUntil{Until: until}); err != nil {
			return nil, err
		}
		_, err = t.exec(`INSERT INTO rates (scope, name, full_us) VALUES (?, ?, ?)
			ON CONFLICT (scope, name) DO UPDATE SET full_us = max(full_us, excluded.full_us)`, scope, paused, until.UnixMicro())
		return nil, err
	})
}

// Paused says until when a scope is paused.
func (d *DB) Paused(ctx context.Context, scope string) (store.Pause, error) {
	var full int64
	err := d.read.QueryRowContext(ctx, readRate, scope, paused).Scan(&full)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return store.Pause{}, d.failed("read the pause of "+scope, err)
	}
	if full <= time.Now().UnixMicro() {
		return store.Pause{}, nil
	}
	return store.Pause{Until: time.UnixMicro(full).UTC()}, nil
}
