package store

import (
	"context"
	"sync"
)

// Commit is a write on its way to the disk. The zero Commit is pending.
type Commit struct {
	mu      sync.Mutex
	settled bool          // guarded by mu
	err     error         // guarded by mu
	done    chan struct{} // guarded by mu; nil: nobody has asked for it
}

// Settled returns a commit that was made or, with an error, failed.
func Settled(err error) *Commit { return &Commit{settled: true, err: err} }

// Settle is for the engine: the write is durable or has failed. It is to be
// called exactly once.
func (c *Commit) Settle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled, c.err = true, err
	if c.done != nil {
		close(c.done)
	}
}

// Poll reports whether the write is settled, and the error where it failed.
func (c *Commit) Poll() (settled bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled, c.err
}

// Done is closed when the write is durable or has failed. Most writes are
// never waited for, so that the channel is made here.
func (c *Commit) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.settled {
			close(c.done)
		}
	}
	return c.done
}

// Wait returns when the write is durable, has failed, or ctx ends.
func (c *Commit) Wait(ctx context.Context) error {
	if settled, err := c.Poll(); settled {
		return err
	}
	select {
	case <-c.Done():
		_, err := c.Poll()
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
