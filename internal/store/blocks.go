package store

import (
	"errors"
	"time"
)

// Block is what is remembered of a number that could not be reached: how often
// in a row, and from when on it is not dialled any more.
type Block struct {
	Number    string    `json:"number"`
	Failures  int       `json:"failures"`            // in a row
	FailedAt  time.Time `json:"failed_at,omitzero"`  // when the last one ended
	Reason    string    `json:"reason,omitempty"`    // of the last one, for people
	BlockedAt time.Time `json:"blocked_at,omitzero"` // zero: the number is not blocked
	Unblocked *Unblock  `json:"unblocked,omitempty"` // the last time that somebody did
	Local     bool      `json:"-"`                   // the shared store is away: what this node knows alone
}

// Blocked reports whether the number is not to be dialled.
func (b Block) Blocked() bool { return !b.BlockedAt.IsZero() }

// Failure is an attempt that dialled a number and was not answered, for a
// reason that lies with the callee.
type Failure struct {
	Number string
	At     time.Time
	Reason string // for people
	Limit  int    // with so many failures in a row the number is blocked; 0: never
}

// Unblock says who took a number's block away, and why.
type Unblock struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// BlockFilter selects numbers that are blocked.
type BlockFilter struct {
	Cursor string // from the previous page
	Limit  int    // 1 to 1000; 0 means 50
}

// Fail counts a failure. Times are kept to the millisecond.
func (b *Block) Fail(f Failure) {
	b.Failures++
	b.FailedAt, b.Reason = f.At.UTC().Truncate(time.Millisecond), f.Reason
	if f.Limit > 0 && b.Failures >= f.Limit && !b.Blocked() {
		b.BlockedAt = b.FailedAt
	}
}

// Check says whether a failure can be counted.
func (f Failure) Check() error {
	switch {
	case f.Number == "":
		return errors.New("a failure of no number")
	case f.At.Year() < 1970 || f.At.Year() > 2261:
		return errors.New("a failure at no time that can be kept")
	}
	return nil
}
