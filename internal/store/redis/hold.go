package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"perezvon/internal/store"
)

// AcquireLease takes the lease called name for ttl, on this node first and in
// Redis then, where other nodes see it. While Redis is away it holds here alone
// and is claimed there when it is renewed. See sqlite.DB.AcquireLease.
func (d *DB) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (store.Lease, error) {
	l, err := d.spool.AcquireLease(ctx, name, owner, ttl)
	if err != nil {
		return l, err
	}
	d.owed.forget(name)
	return d.takeLease(ctx, l, ttl)
}

// takeLease takes in Redis a lease that this node has given already. Its fence
// is the one that Redis gives then.
func (d *DB) takeLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	var there store.Lease
	err := d.link.ask(ctx, callLimit, func(ctx context.Context) (err error) {
		there, err = d.remote.acquireLease(ctx, l.Name, l.Owner, ttl, l.Fence-1)
		return err
	})
	if err == nil {
		err = d.spool.Refence(context.WithoutCancel(ctx), l, there.Fence)
		l.Fence = there.Fence
	}
	if err == nil || errors.Is(err, store.ErrAway) {
		return l, nil
	}
	return store.Lease{}, errors.Join(err, d.spool.ReleaseLease(context.WithoutCancel(ctx), l))
}

// RenewLease makes a lease that is still held end ttl from now, see
// sqlite.DB.RenewLease. The lease that it returns may have a greater fence:
// Redis had not heard of it before.
func (d *DB) RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	renewed, err := d.spool.RenewLease(ctx, l, ttl)
	if err != nil {
		return renewed, err
	}
	err = d.link.ask(ctx, callLimit, func(ctx context.Context) error {
		_, err := d.remote.renewLease(ctx, renewed, ttl)
		return err
	})
	switch {
	case err == nil || errors.Is(err, store.ErrAway):
		return renewed, nil
	case errors.Is(err, store.ErrNotFound):
		return d.takeLease(ctx, renewed, ttl)
	}
	return store.Lease{}, errors.Join(err, d.spool.ReleaseLease(context.WithoutCancel(ctx), renewed))
}

// ReleaseLease gives a lease back. One that was lost meanwhile is no error and
// stays with its new holder.
func (d *DB) ReleaseLease(ctx context.Context, l store.Lease) error {
	if err := d.spool.ReleaseLease(ctx, l); err != nil {
		return err
	}
	err := d.link.ask(ctx, callLimit, func(ctx context.Context) error { return d.remote.releaseLease(ctx, l) })
	if err != nil {
		d.owed.note(l)
	}
	return ignoreAway(err)
}

// DropLeases gives back every lease of owner: those of a process that died.
func (d *DB) DropLeases(ctx context.Context, owner string) error {
	if err := d.spool.DropLeases(ctx, owner); err != nil {
		return err
	}
	err := d.link.ask(ctx, callLimit, func(ctx context.Context) error { return d.remote.dropLeases(ctx, owner) })
	if err != nil {
		d.owed.drop(owner)
	}
	return ignoreAway(err)
}

func ignoreAway(err error) error {
	if errors.Is(err, store.ErrAway) {
		return nil
	}
	return err
}

// debts are leases that were given back while Redis was away, which holds them
// until they run out or hears of it.
type debts struct {
	mu     sync.Mutex
	leases map[string]store.Lease // guarded by mu; by name
	owners map[string]bool        // guarded by mu; all leases of theirs
}

// maxDebts bounds what is remembered; the rest runs out.
const maxDebts = 10_000

func (o *debts) note(l store.Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leases == nil {
		o.leases = make(map[string]store.Lease)
	}
	if len(o.leases) < maxDebts {
		o.leases[l.Name] = l
	}
}

func (o *debts) drop(owner string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.owners == nil {
		o.owners = make(map[string]bool)
	}
	o.owners[owner] = true
}

// forget is for a lease that was taken again.
func (o *debts) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.leases, name)
}

// take returns the debts and forgets them.
func (o *debts) take() (leases map[string]store.Lease, owners map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	leases, owners = o.leases, o.owners
	o.leases, o.owners = nil, nil
	return leases, owners
}

// settleDebts gives back in Redis what was given back here during an outage.
func (d *DB) settleDebts(ctx context.Context) error {
	leases, owners := d.owed.take()
	var err error
	for owner := range owners {
		if err == nil {
			err = d.remote.dropLeases(ctx, owner)
		}
		if err != nil {
			d.owed.drop(owner)
		}
	}
	for _, l := range leases {
		if err == nil {
			err = d.remote.releaseLease(ctx, l)
		}
		if err != nil {
			d.owed.note(l)
		}
	}
	return err
}
