package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

var errTTL = errors.New("a lease must last at least a millisecond")

// rememberOwner is how long the names of an owner's leases are known after the
// last one.
const rememberOwner = 7 * 24 * time.Hour

// acquireLease takes the lease called name for ttl. While it is held, by
// whomever, also by the same owner, it is store.ErrHeld. Its fence is greater
// than floor and than that of every earlier lease of the name. Until is by this
// machine's clock and not later than when Redis lets go of it, as far as the
// two run equally fast.
func (r *remote) acquireLease(ctx context.Context, name, owner string, ttl time.Duration, floor int64) (store.Lease, error) {
	if ttl < time.Millisecond {
		return store.Lease{}, fmt.Errorf("acquire lease %s: %w", name, errTTL)
	}
	until := time.Now().Add(ttl)
	token := uuid.NewString()
	fence, err := within(ctx, r, func(ctx context.Context) (int64, error) {
		p := r.data.Pipeline()
		p.SAdd(ctx, ownerSlot(owner), name)
		p.PExpire(ctx, ownerSlot(owner), rememberOwner)
		if _, err := p.Exec(ctx); err != nil {
			return 0, err
		}
		text, err := r.run(ctx, "lease_acquire", leaseSlot(name), owner, token, ttl.Milliseconds(), floor).Text()
		if errors.Is(err, goredis.Nil) {
			return 0, store.ErrHeld
		}
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(text, 10, 64)
	})
	if err != nil {
		return store.Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return store.Lease{Name: name, Owner: owner, Fence: fence, Until: until}, nil
}

// renewLease makes a lease that is still held end ttl from now. Where it ran
// out or was released it is store.ErrNotFound; where somebody else holds the
// name by now, store.ErrHeld. After either the holder must stop.
func (r *remote) renewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	if ttl < time.Millisecond {
		return store.Lease{}, fmt.Errorf("renew lease %s: %w", l.Name, errTTL)
	}
	until := time.Now().Add(ttl)
	_, err := within(ctx, r, func(ctx context.Context) (string, error) {
		word, err := r.run(ctx, "lease_renew", leaseSlot(l.Name), l.Owner, l.Fence, ttl.Milliseconds()).Text()
		switch word {
		case "gone":
			err = store.ErrNotFound
		case "held":
			err = store.ErrHeld
		}
		return word, err
	})
	if err != nil {
		return store.Lease{}, fmt.Errorf("renew lease %s: %w", l.Name, err)
	}
	l.Until = until
	return l, nil
}

// releaseLease gives a lease back. One that was lost meanwhile is no error and
// stays with its new holder.
func (r *remote) releaseLease(ctx context.Context, l store.Lease) error {
	_, err := within(ctx, r, func(ctx context.Context) (string, error) {
		return r.run(ctx, "lease_release", leaseSlot(l.Name), l.Owner, l.Fence).Text()
	})
	if err != nil {
		return fmt.Errorf("release lease %s: %w", l.Name, err)
	}
	return nil
}

// dropLeases gives back every lease of owner: those of a process that died.
func (r *remote) dropLeases(ctx context.Context, owner string) error {
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		names, err := r.data.SMembers(ctx, ownerSlot(owner)).Result()
		if err != nil || len(names) == 0 {
			return struct{}{}, err
		}
		steps := make([]step, 0, len(names))
		for _, name := range names {
			steps = append(steps, step{"lease_release", leaseSlot(name), []any{owner, ""}})
		}
		if _, err := r.runAll(ctx, steps); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, r.data.Del(ctx, ownerSlot(owner)).Err()
	})
	if err != nil {
		return fmt.Errorf("drop leases of %s: %w", owner, err)
	}
	return nil
}
