package call

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"perezvon/internal/route"
)

// presence knows which phones of the office are in a call of ours, from the
// first ring on, and since when the others are free.
type presence struct {
	mu      sync.Mutex
	engaged map[string]int       // guarded by mu; how many legs a phone has
	idle    map[string]time.Time // guarded by mu; when its last talk ended
	waiting []*vacancy           // guarded by mu; first come, first served
}

// vacancy waits for one of several phones to become free.
type vacancy struct {
	phones []string
	free   chan struct{} // closed when one of them is
}

func newPresence() *presence {
	return &presence{engaged: make(map[string]int), idle: make(map[string]time.Time)}
}

// phoneOf names the phone behind a target. It is empty for a number that needs
// no confirmation: that may be a whole office, which takes many calls at once.
func phoneOf(t route.Target) string {
	switch {
	case t.Extension != "":
		return "extension " + t.Extension
	case t.Confirm:
		return t.Display
	}
	return ""
}

// engage takes note that a phone is rung. Where it must be free, false means
// that it is not. leave is called once, when the leg is over.
func (p *presence) engage(phone string, mustBeFree bool) (leave func(talked bool), ok bool) {
	if phone == "" {
		return func(bool) {}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if mustBeFree && p.engaged[phone] > 0 {
		return nil, false
	}
	p.engaged[phone]++
	return func(talked bool) { p.leave(phone, talked) }, true
}

func (p *presence) leave(phone string, talked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if talked {
		p.idle[phone] = time.Now()
	}
	if p.engaged[phone]--; p.engaged[phone] > 0 {
		return
	}
	delete(p.engaged, phone)
	// One phone serves one who waits; the others keep their places.
	if i := slices.IndexFunc(p.waiting, func(v *vacancy) bool { return slices.Contains(v.phones, phone) }); i >= 0 {
		close(p.waiting[i].free)
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

// await returns a channel that is closed when one of the phones is free, and
// nil if one is already, or there is nobody to wait for. Who gives up calls
// cancel.
func (p *presence) await(phones []string) (free <-chan struct{}, cancel func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(phones) == 0 || slices.ContainsFunc(phones, func(phone string) bool { return p.engaged[phone] == 0 }) {
		return nil, func() {}
	}
	v := &vacancy{phones: phones, free: make(chan struct{})}
	p.waiting = append(p.waiting, v)
	return v.free, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting = slices.DeleteFunc(p.waiting, func(w *vacancy) bool { return w == v })
	}
}

// byIdleTime puts first who has not talked for the longest time; who has not
// talked at all comes before, in the order given, and who is in a call of ours
// comes last.
func (p *presence) byIdleTime(targets []route.Target) []route.Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	sorted := slices.Clone(targets)
	slices.SortStableFunc(sorted, func(a, b route.Target) int {
		one, other := phoneOf(a), phoneOf(b)
		return cmp.Or(
			cmp.Compare(min(1, p.engaged[one]), min(1, p.engaged[other])),
			p.idle[one].Compare(p.idle[other]),
		)
	})
	return sorted
}
