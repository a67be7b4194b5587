package call

import (
	"context"
	"errors"
	"sync/atomic"

	"perezvon/internal/route"
	"perezvon/sip"
)

// Several phones may be registered as one extension: they ring together, and
// count as one phone.

// phones is a target for every phone that is registered as an extension. Where
// none is there is one target still: the fixed contact, or nobody.
func (c *Call) phones(t target) []target {
	var all []target
	for _, b := range c.svc.phones.Registered(t.at.Extension) {
		one := t
		one.at.Binding = b.ID
		all = append(all, one)
	}
	if len(all) == 0 {
		return []target{t}
	}
	return all
}

// legsOf is how many legs a target is dialled with at once.
func (s *Service) legsOf(t route.Target) int {
	if t.Extension == "" {
		return 1
	}
	return max(1, len(s.phones.Registered(t.Extension)))
}

// dialPhones dials all phones of an extension at once. The first that answers
// wins, the others get CANCEL, or BYE where their 2xx was on its way. A phone
// that declines for everybody (RFC 3261 section 21.6) ends the ringing of all.
func (c *Call) dialPhones(ctx context.Context, phones []target, d dialling) (*leg, error) {
	if len(phones) == 1 {
		return c.dial(ctx, phones[0], d)
	}
	race, stop := context.WithCancelCause(ctx)
	defer stop(errElsewhere)
	var winner atomic.Pointer[leg]
	results := make(chan error, len(phones))
	for _, t := range phones {
		c.legs.Go(func() {
			l, err := c.dial(race, t, d)
			if err == nil && !winner.CompareAndSwap(nil, l) {
				l.hangup(errElsewhere)
				err = errElsewhere
			}
			results <- err
		})
	}
	var last error
	for range phones {
		err := <-results
		if err == nil {
			return winner.Load(), nil
		}
		if last == nil || says(err) > says(last) {
			last = err
		}
		if says(err) == declines {
			stop(errElsewhere)
		}
	}
	return nil, last
}

// What the failure of one phone says of the extension, the most last.
const (
	saysNothing = iota // it is away, or we stopped
	rangInVain
	refuses  // somebody, or the phone, refused the call
	declines // for all phones
)

func says(err error) int {
	f, ok := errors.AsType[*sip.Failure](err)
	switch {
	case !ok:
	case f.Kind == sip.RingTimeout:
		return rangInVain
	case f.Kind == sip.Rejected && f.Status >= 600:
		return declines
	case f.Kind == sip.Rejected:
		return refuses
	}
	return saysNothing
}
