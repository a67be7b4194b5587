package call

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// Blocks remembers which numbers could not be reached, and which of them are
// not called any more. *sqlite.DB is one.
type Blocks interface {
	// Block returns what is known of a number; that there is nothing is no error.
	Block(ctx context.Context, number string) (store.Block, error)
	Blocks(ctx context.Context, f store.BlockFilter) (blocks []store.Block, next string, err error)
	// AddFailure counts a failure and returns what is known of the number then.
	AddFailure(ctx context.Context, f store.Failure) (store.Block, error)
	// ClearFailures begins the count anew; a number that is blocked stays so.
	ClearFailures(ctx context.Context, number string) error
	// Unblock returns store.ErrNotFound where the number is not blocked.
	Unblock(ctx context.Context, number string, u store.Unblock) error
}

// blockLimit is how long a flow waits for the list of blocked numbers.
const blockLimit = 5 * time.Second

// blocked returns the outcome of an informational call to a number that is
// blocked; nil: it is not. A list that cannot be read blocks nobody.
func (s *Service) blocked(ctx context.Context, number string) *outcome {
	ctx, cancel := context.WithTimeout(ctx, blockLimit)
	defer cancel()
	b, err := s.records.Block(ctx, number)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			s.log.Error("whether a number is blocked could not be read; it is called", "err", err)
		}
		return nil
	case !b.Blocked():
		return nil
	}
	return &outcome{
		result: store.ResultBlocked, code: codeBlocked, owner: store.PartyUs,
		reason: fmt.Sprintf("the number is blocked since %s, after %d failed attempts in a row; the last one: %s",
			b.BlockedAt.Format(time.RFC3339), b.Failures, b.Reason),
	}
}

// missed counts an attempt that was not answered, where that lay with the
// callee. With too many in a row his number is blocked, and is not tried again.
func (c *Call) missed(o outcome) outcome {
	if o.owner != store.PartyCustomer {
		return o
	}
	ctx, cancel := context.WithTimeout(c.svc.quit, blockLimit)
	defer cancel()
	b, err := c.svc.records.AddFailure(ctx, store.Failure{
		Number: c.Record().Number, At: time.Now(), Reason: o.reason, Limit: c.svc.set().Infocall.BlockAfter,
	})
	if err != nil {
		c.log.Error("a failed attempt could not be counted", "err", err)
		return o
	}
	if b.Blocked() {
		c.log.Warn("a number is blocked: no informational call is placed to it any more", "number", b.Number, "failures", b.Failures, "last", b.Reason)
		c.change(store.EventNumberBlocked, blockedData{b.Number, b.Failures, b.Reason}, func(*store.Call) {})
		o.retry = retryNever
	}
	return o
}

// reached begins the count of a number's failures anew.
func (c *Call) reached() {
	ctx, cancel := context.WithTimeout(c.svc.quit, blockLimit)
	defer cancel()
	if err := c.svc.records.ClearFailures(ctx, c.Record().Number); err != nil {
		c.log.Error("the failed attempts of a number that was reached could not be cleared", "err", err)
	}
}

// blockedData is the content of a number.blocked event.
type blockedData struct {
	Number   string `json:"number"`
	Failures int    `json:"failures"` // in a row
	Reason   string `json:"reason"`   // of the last one
}

// BlockedNumbers lists the numbers that informational calls are not placed to,
// those that were blocked last first. A foreign cursor is store.ErrBadCursor.
func (s *Service) BlockedNumbers(ctx context.Context, f store.BlockFilter) ([]store.Block, string, error) {
	return s.records.Blocks(ctx, f)
}

// Unblock lets a number be called again, and begins the count of its failures
// anew. by names who asks, reason says why: both are logged, and kept with the
// number. It returns the block that was taken away, and store.ErrNotFound where
// there is none.
func (s *Service) Unblock(ctx context.Context, number, by, reason string) (store.Block, error) {
	b, err := s.records.Block(ctx, number)
	if err == nil {
		err = s.records.Unblock(ctx, number, store.Unblock{By: by, Reason: reason, At: time.Now()})
	}
	if err != nil {
		return store.Block{}, fmt.Errorf("unblock number: %w", err)
	}
	s.log.Info("a number is unblocked", "number", number, "by", by, "reason", reason, "failures", b.Failures)
	return b, nil
}
