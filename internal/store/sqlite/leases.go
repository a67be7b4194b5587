package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// AcquireLease takes the lease called name for ttl. While it is held, by
// whomever, also by the same owner, it is store.ErrHeld. Its Fence is greater
// than that of every earlier lease of the name.
func (d *DB) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (store.Lease, error) {
	if ttl <= 0 {
		return store.Lease{}, fmt.Errorf("acquire lease %s: %w", name, errTTL)
	}
	o := &acquireOp{pending: newPending(), name: name, owner: owner, now: time.Now(), ttl: ttl}
	if err := d.writer.do(ctx, o); err != nil {
		return store.Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return o.lease, nil
}

// RenewLease makes a lease that is still held end ttl from now. Where it ran
// out or was released it is store.ErrNotFound; where somebody else holds the
// name by now, store.ErrHeld. After either the holder must stop.
func (d *DB) RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	if ttl <= 0 {
		return store.Lease{}, fmt.Errorf("renew lease %s: %w", l.Name, errTTL)
	}
	o := &renewOp{pending: newPending(), lease: l, now: time.Now(), ttl: ttl}
	if err := d.writer.do(ctx, o); err != nil {
		return store.Lease{}, fmt.Errorf("renew lease %s: %w", l.Name, err)
	}
	l.Until = o.now.Add(ttl)
	return l, nil
}

// ReleaseLease gives a lease back. One that was lost meanwhile is no error and
// stays with its new holder.
func (d *DB) ReleaseLease(ctx context.Context, l store.Lease) error {
	o := &releaseOp{pending: newPending(), lease: l}
	if err := d.writer.do(ctx, o); err != nil {
		return fmt.Errorf("release lease %s: %w", l.Name, err)
	}
	return nil
}

// DropLeases gives back every lease of owner: those of a process that died.
func (d *DB) DropLeases(ctx context.Context, owner string) error {
	o := &dropOp{pending: newPending(), owner: owner}
	if err := d.writer.do(ctx, o); err != nil {
		return fmt.Errorf("drop leases of %s: %w", owner, err)
	}
	return nil
}

var errTTL = errors.New("a lease must last longer than zero")

type acquireOp struct {
	pending
	name, owner string
	now         time.Time
	ttl         time.Duration
	lease       store.Lease // set by apply
}

func (o *acquireOp) apply(t *conn) error {
	o.refused = nil
	var until int64
	found, err := t.row(`SELECT until FROM leases WHERE name = ?`, []any{o.name}, &until)
	if err != nil {
		return err
	}
	if found && until > store.Nanos(o.now) {
		o.refused = store.ErrHeld
		return nil
	}
	l := store.Lease{Name: o.name, Owner: o.owner, Until: o.now.Add(o.ttl)}
	if _, err := t.row(`UPDATE counters SET value = value + 1 WHERE name = 'fence' RETURNING value`, nil, &l.Fence); err != nil {
		return err
	}
	_, err = t.exec(`INSERT OR REPLACE INTO leases (name, owner, fence, until) VALUES (?, ?, ?, ?)`,
		l.Name, l.Owner, l.Fence, store.Nanos(l.Until))
	o.lease = l
	return err
}

type renewOp struct {
	pending
	lease store.Lease
	now   time.Time
	ttl   time.Duration
}

func (o *renewOp) apply(t *conn) error {
	o.refused = nil
	var owner string
	var fence int64
	found, err := t.row(`SELECT owner, fence FROM leases WHERE name = ? AND until > ?`,
		[]any{o.lease.Name, store.Nanos(o.now)}, &owner, &fence)
	switch {
	case err != nil:
		return err
	case !found:
		o.refused = store.ErrNotFound
		return nil
	case owner != o.lease.Owner || fence != o.lease.Fence:
		o.refused = store.ErrHeld
		return nil
	}
	_, err = t.exec(`UPDATE leases SET until = ? WHERE name = ?`, store.Nanos(o.now.Add(o.ttl)), o.lease.Name)
	return err
}

type releaseOp struct {
	pending
	lease store.Lease
}

func (o *releaseOp) apply(t *conn) error {
	_, err := t.exec(`DELETE FROM leases WHERE name = ? AND owner = ? AND fence = ?`,
		o.lease.Name, o.lease.Owner, o.lease.Fence)
	return err
}

type dropOp struct {
	pending
	owner string
}

func (o *dropOp) apply(t *conn) error {
	_, err := t.exec(`DELETE FROM leases WHERE owner = ?`, o.owner)
	return err
}
