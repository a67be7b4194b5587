package call

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"perezvon/internal/route"
)

// portBudget shares out the pairs of media ports. A call takes what it may
// need at once before it begins: a burst that exceeds the ports waits for its
// turn instead of ringing managers who could never be joined with anybody.
type portBudget struct {
	pairs int64
	free  *semaphore.Weighted
	legs  func(route.Target) int // how many a target is dialled with at once
}

func newPortBudget(pairs int, legs func(route.Target) int) *portBudget {
	return &portBudget{pairs: int64(pairs), free: semaphore.NewWeighted(int64(pairs)), legs: legs}
}

// portRest is how long the ports of a call are left alone when it is over:
// most of the time that they rest before they serve again.
const portRest = 3 * time.Second

// noPorts is why a call cannot begin.
const noPorts = "all media ports are in use"

// need is how many pairs a call takes at the most: the phones that ring
// together, and the other side.
func (b *portBudget) need(plan route.Plan) int64 {
	together := 1
	for _, s := range plan.Steps {
		legs := 0
		for _, t := range s.Targets {
			if s.Strategy == route.All {
				legs += b.legs(t)
			} else {
				legs = max(legs, b.legs(t))
			}
		}
		together = max(together, legs)
	}
	return min(int64(together)+1, b.pairs)
}

// hold waits for n pairs, first come, first served, until ctx ends.
func (b *portBudget) hold(ctx context.Context, n int64) (release func(), err error) {
	if err := b.free.Acquire(ctx, n); err != nil {
		return nil, context.Cause(ctx)
	}
	return b.releaser(n), nil
}

// tryHold takes n pairs if they are free.
func (b *portBudget) tryHold(n int64) (release func(), ok bool) {
	if !b.free.TryAcquire(n) {
		return nil, false
	}
	return b.releaser(n), true
}

func (b *portBudget) releaser(n int64) func() {
	return func() { time.AfterFunc(portRest, func() { b.free.Release(n) }) }
}
