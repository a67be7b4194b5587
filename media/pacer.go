package media

import (
	"sync"
	"time"
)

// A pacer has a wheel of slots of one millisecond each. It holds more slots
// than the longest packet has milliseconds, so every player is due within one
// turn.
const (
	wheelSlots = 64
	spread     = 2   // slots among which a new player is put: who answers hears the first packet at once
	catchUp    = 100 // ms of lateness made up for; five packets of 20 ms
)

// pacer sends every frame of every player from one goroutine on an absolute
// schedule. While nothing plays it waits without a timer.
type pacer struct {
	now  func() time.Duration
	wake chan struct{}
	quit chan struct{}
	once sync.Once

	mu    sync.Mutex
	slots [wheelSlots][]*player // guarded by mu
	spare []*player             // guarded by mu; storage for the slot being worked on
	count int                   // guarded by mu; players in slots
	tick  int64                 // guarded by mu; next millisecond to work on
}

func newPacer(now func() time.Duration) *pacer {
	return &pacer{now: now, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (c *pacer) close() { c.once.Do(func() { close(c.quit) }) }

// add puts a player into the emptiest of the next slots. Slots that have gone
// by while the pacer slept would let its second frame follow the first at
// once.
func (c *pacer) add(p *player) {
	c.mu.Lock()
	next := int64(c.now()/time.Millisecond) + 1
	if c.count == 0 {
		c.tick = next
	}
	next = max(next, c.tick)
	best := next
	for t := next; t < next+spread; t++ {
		if len(c.slots[t%wheelSlots]) < len(c.slots[best%wheelSlots]) {
			best = t
		}
	}
	c.slots[best%wheelSlots] = append(c.slots[best%wheelSlots], p)
	c.count++
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *pacer) run() {
	buf := make([]byte, headerLen+wheelSlots*sampleRate/1000)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait, busy := c.next()
		if !busy {
			timer.Stop()
		} else if wait > 0 {
			timer.Reset(wait)
		}
		if !busy || wait > 0 {
			select {
			case <-c.quit:
				return
			case <-c.wake:
				continue
			case <-timer.C:
			}
		}
		c.turn(buf)
	}
}

// next is the time until the next slot with something in it.
func (c *pacer) next() (wait time.Duration, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == 0 {
		return 0, false
	}
	t := c.tick
	for len(c.slots[t%wheelSlots]) == 0 {
		t++
	}
	return time.Duration(t)*time.Millisecond - c.now(), true
}

// turn works on every slot that is due.
func (c *pacer) turn(buf []byte) {
	now := c.now()
	due := int64(now / time.Millisecond)
	c.mu.Lock()
	c.tick = max(c.tick, due-catchUp)
	for c.count > 0 && c.tick <= due {
		i := c.tick % wheelSlots
		c.tick++
		if len(c.slots[i]) > 0 {
			c.slot(i, buf, now)
		}
	}
	c.mu.Unlock()
}

// slot lets each player of a slot send, without holding the lock while it
// does, and puts it where it is due next. c.mu is held before and after.
func (c *pacer) slot(i int64, buf []byte, now time.Duration) {
	work := c.slots[i]
	c.slots[i], c.spare = c.spare[:0], nil
	for k, p := range work {
		c.mu.Unlock()
		ms := p.step(buf, now)
		c.mu.Lock()
		work[k] = nil
		if ms == 0 {
			c.count--
			continue
		}
		j := (i + int64(ms)) % wheelSlots
		c.slots[j] = append(c.slots[j], p)
	}
	c.spare = work[:0]
}
