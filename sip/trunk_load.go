package sip

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// load is how many calls a trunk carries, and how fast they are begun. The zero
// value has no limits.
type load struct {
	mu      sync.Mutex
	most    int         // guarded by mu; calls at one time; 0: no limit
	pace    int         // guarded by mu; calls to it that are begun within a second; 0: no limit
	out, in int         // guarded by mu
	refused uint64      // guarded by mu; calls that were too many, both directions
	begun   []time.Time // guarded by mu; the last pace calls, a ring
	next    int         // guarded by mu; the oldest of begun
}

// limit sets other limits; the calls there are stay counted.
func (l *load) limit(most, pace int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pace != pace {
		l.begun, l.next = nil, 0
	}
	l.most, l.pace = most, pace
}

// take counts a call until release is called, once. It is false where the trunk
// carries all it may.
func (l *load) take(incoming bool) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most > 0 && l.out+l.in >= l.most {
		l.refused++
		return nil, false
	}
	n := &l.out
	if incoming {
		n = &l.in
	}
	*n++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		*n--
	}), true
}

// turn reserves the moment at which a call may begin so that none of the pace
// calls before it is less than a second old, and says how long that is from
// now. It is false, and nothing is reserved, where it is more than patience.
func (l *load) turn(now time.Time, patience time.Duration) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pace <= 0 {
		return 0, true
	}
	at := now
	if len(l.begun) == l.pace {
		if free := l.begun[l.next].Add(time.Second); free.After(at) {
			at = free
		}
	}
	if wait = at.Sub(now); wait > patience {
		l.refused++
		return 0, false
	}
	if len(l.begun) < l.pace {
		l.begun = append(l.begun, at)
	} else {
		l.begun[l.next] = at
	}
	if l.next++; l.next == l.pace {
		l.next = 0
	}
	return wait, true
}

// counts are for the state of the trunk.
func (l *load) counts() (out, in int, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out, l.in, l.refused
}

// begin waits for the turn of a call to the trunk, at most inv.Turn, and counts
// it until release is called.
func (t *trunk) begin(ctx context.Context, turn time.Duration) (release func(), f *Failure) {
	full := func(format string, args ...any) *Failure {
		return &Failure{Kind: Full, Destination: t.Name, Err: fmt.Errorf(format, args...)}
	}
	release, ok := t.load.take(false)
	if !ok {
		return nil, full("all of its %d calls are in use", t.MaxCalls)
	}
	wait, ok := t.load.turn(time.Now(), turn)
	if !ok {
		release()
		return nil, full("more than %d calls a second", t.CPS)
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			release()
			return nil, &Failure{Kind: Cancelled, Err: context.Cause(ctx)}
		}
	}
	return release, nil
}

// Claim says which of Trunks the call came by, where the addresses alone leave
// that open: the number that was dialled tells. Called, From and FromDisplay are
// then as that trunk has them, and the call counts as one of its MaxCalls. A
// call that can have come by one trunk only is counted before it is handed out;
// what its room was then is what Claim says.
//
// It is false where that is too many. The caller should hear that it is busy,
// for that is what a line is all of whose channels are taken. 503 would say that
// this server is overloaded: the provider may then send nothing at all for a
// while, not even calls of other lines (RFC 3261 21.5.4), where one that ends
// makes room at once.
func (in *Incoming) Claim(trunk string) bool {
	t := in.a.peers.trunk(trunk)
	if t == nil || in.d.seated() {
		return true
	}
	if in.crowded() == trunk {
		return false
	}
	in.identify(t)
	release, ok := t.load.take(true)
	if !ok {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.full = trunk
		return false
	}
	in.d.seat(release)
	in.d.update(func(r *DialogRecord) { r.Trunk = trunk })
	return true
}

// crowded is the trunk that had no room for the call; empty: none.
func (in *Incoming) crowded() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.full
}

// seat has release called when nothing of the dialog is left, at once if that
// is so.
func (d *Dialog) seat(release func()) {
	d.mu.Lock()
	d.unseat = release
	d.mu.Unlock()
	select {
	case <-d.gone:
		release()
	default:
	}
}

func (d *Dialog) seated() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unseat != nil
}
