package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"
)

const (
	serviceTTL = 30 * time.Second // how long the right to use Redis lasts unrenewed
	lookEvery  = 5 * time.Second  // how often it is renewed
)

// serviceSlot tells who uses the Redis, and which node has taken over what was
// in it. It never runs out: where it is missing, Redis has none of our data.
const serviceSlot = prefix + "{service}"

// ErrInUse says that another server uses the Redis.
var ErrInUse = errors.New("another perezvon uses it")

// errUnfit says that Redis answers and can nevertheless not be used.
var errUnfit = errors.New("redis cannot be used")

// holder is a server that uses a Redis, alone for now.
type holder struct {
	Node string
	Host string
	PID  int
}

// self is this process as the node.
func self(node string) holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return holder{Node: node, Host: host, PID: os.Getpid()}
}

// claim is what Redis knew when its use was claimed.
type claim struct {
	Served string // the node that last took over everything; empty: none ever did
}

// claim takes or renews the right to use this Redis, for serviceTTL. While
// another server has it, it is errUnfit.
func (r *remote) claim(ctx context.Context, me holder) (claim, error) {
	words, err := within(ctx, r, func(ctx context.Context) ([]string, error) {
		return r.run(ctx, "service_claim", serviceSlot, me.Node, me.Host, me.PID, serviceTTL.Milliseconds()).StringSlice()
	})
	if err != nil {
		return claim{}, fmt.Errorf("claim the use of redis: %w", err)
	}
	switch {
	case len(words) == 2 && words[0] == "yours":
		return claim{Served: words[1]}, nil
	case len(words) == 4 && words[0] == "held":
		left, err := strconv.ParseFloat(words[3], 64)
		if err != nil {
			return claim{}, fmt.Errorf("claim the use of redis: %w", err)
		}
		return claim{}, &inUseError{host: words[1], pid: words[2], left: time.Duration(left) * time.Microsecond}
	}
	return claim{}, fmt.Errorf("claim the use of redis: answer %q", words)
}

// served notes that the node has taken over what was in Redis.
func (r *remote) served(ctx context.Context, node string) error {
	_, err := within(ctx, r, func(ctx context.Context) (int64, error) {
		return r.data.HSet(ctx, serviceSlot, "served", node).Result()
	})
	return err
}

// raiseEvents has every later event get a number greater than floor.
func (r *remote) raiseEvents(ctx context.Context, floor int64) error {
	_, err := within(ctx, r, func(ctx context.Context) (string, error) {
		return r.run(ctx, "events_raise", eventsSlot, floor).Text()
	})
	if err != nil {
		return fmt.Errorf("go on with the numbers of events: %w", err)
	}
	return nil
}

// leave gives the right to use this Redis back, if the node has it.
func (r *remote) leave(ctx context.Context, node string) error {
	_, err := within(ctx, r, func(ctx context.Context) (string, error) {
		return r.run(ctx, "service_leave", serviceSlot, node).Text()
	})
	return err
}

// inUseError tells who uses the Redis. It is errUnfit and ErrInUse.
type inUseError struct {
	host, pid string
	left      time.Duration // until the right to use it is over, if it is not renewed
}

func (e *inUseError) Error() string {
	return fmt.Sprintf("%v: %v (host %s, pid %s); stop that one, or give this one another database. One that died gives it free within %v",
		errUnfit, ErrInUse, e.host, e.pid, max(time.Second, e.left.Round(time.Second)))
}

func (*inUseError) Unwrap() []error { return []error{errUnfit, ErrInUse} }

// outwait calls f until no other server uses the Redis, for as long as that one
// does not renew its right: it has died, and its right runs out.
func outwait(ctx context.Context, log *slog.Logger, f func() error) error {
	var over time.Time
	for {
		err := f()
		var other *inUseError
		if !errors.As(err, &other) {
			return err
		}
		now := time.Now()
		switch until := now.Add(other.left); {
		case over.IsZero():
			log.Warn("another perezvon uses this redis, or did until a moment ago; waiting to see whether it is alive", "host", other.host, "pid", other.pid)
			over = until
		case until.Sub(over) > time.Second:
			return err
		}
		pause(ctx, min(other.left+time.Millisecond, lookEvery+time.Second), nil)
		if ctx.Err() != nil {
			return err
		}
	}
}
