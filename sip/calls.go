package sip

import "sync"

// phase is where a dialog is, for the counters and for Close.
type phase int

const (
	phaseInviting phase = iota // our INVITE has no final response yet
	phaseIncoming              // the peer's has none
	phaseOpen                  // confirmed
	phaseLate                  // over, but messages of it may still come
	phases
)

// calls holds every dialog by its local tag, which is ours and random: a
// message that names it is looked up without looking at anything else first.
type calls struct {
	mu     sync.Mutex
	byTag  map[string]*Dialog // guarded by mu
	phases [phases]int        // guarded by mu
	wake   chan struct{}      // guarded by mu; closed at the next change of a count
}

func (c *calls) init() { c.byTag, c.wake = make(map[string]*Dialog), make(chan struct{}) }

func (c *calls) add(d *Dialog, p phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byTag[d.id] = d
	d.phase = p
	c.phases[p]++
}

// move changes a dialog's phase; it does nothing to one that was removed.
func (c *calls) move(d *Dialog, p phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byTag[d.id] != d {
		return
	}
	c.phases[d.phase]--
	c.phases[p]++
	d.phase = p
	c.notify()
}

// remove reports whether the dialog was there.
func (c *calls) remove(d *Dialog) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byTag[d.id] != d {
		return false
	}
	delete(c.byTag, d.id)
	c.phases[d.phase]--
	c.notify()
	return true
}

func (c *calls) notify() {
	close(c.wake)
	c.wake = make(chan struct{})
}

func (c *calls) get(tag string) *Dialog {
	if tag == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byTag[tag]
}

// has is get for a tag that is looked at before its message is parsed.
func (c *calls) has(tag []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byTag[string(tag)] != nil
}

// open returns the confirmed dialogs.
func (c *calls) open() []*Dialog {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Dialog
	for _, d := range c.byTag {
		if d.phase == phaseOpen {
			all = append(all, d)
		}
	}
	return all
}

func (c *calls) count() (inviting, incoming, open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phases[phaseInviting], c.phases[phaseIncoming], c.phases[phaseOpen]
}

// going is how many dialogs are not over.
func (c *calls) going() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phases[phaseInviting] + c.phases[phaseIncoming] + c.phases[phaseOpen]
}

// busy returns how many dialogs are not over, and a channel that is closed
// when that may have changed.
func (c *calls) busy() (int, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phases[phaseInviting] + c.phases[phaseIncoming] + c.phases[phaseOpen], c.wake
}
