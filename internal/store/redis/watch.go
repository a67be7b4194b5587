package redis

import (
	"context"
	"time"
)

// EventsChanged returns a channel that is closed when further events can be
// read, whichever node they are from. A follower takes the channel first, then
// reads to the end, then waits.
func (d *DB) EventsChanged() <-chan struct{} { return d.grown.Next() }

// watch rings for followers when the log in Redis has grown, until ctx ends.
func (d *DB) watch(ctx context.Context) {
	for ctx.Err() == nil {
		up, changed := d.link.state()
		if !up {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := d.grownBehind(ctx)
		for err == nil {
			grown := false
			err = d.link.ask(ctx, followLimit, func(ctx context.Context) (err error) {
				grown, err = d.remote.follow(ctx, d.seen)
				return err
			})
			if grown && err == nil {
				err = d.grownBehind(ctx)
			}
		}
		pause(ctx, probeFirst, nil)
	}
}

// grownBehind rings if the log has grown behind the last event that was seen.
func (d *DB) grownBehind(ctx context.Context) error {
	return d.link.ask(ctx, callLimit, func(ctx context.Context) error {
		last, err := d.remote.lastEvent(ctx)
		if err == nil && last != d.seen {
			d.seen = last
			d.grown.Ring()
		}
		return err
	})
}

// followLimit is a little longer than follow waits for an event.
const followLimit = followFor + 2*time.Second
