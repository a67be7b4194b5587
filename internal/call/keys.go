package call

import (
	"sync"

	"perezvon/media"
)

// maxKeys is how many keys may wait to be pressed.
const maxKeys = 64

// keyQueue presses keys one after the other.
type keyQueue struct {
	mu      sync.Mutex
	waiting []keyPress // guarded by mu
	running bool       // guarded by mu
	closed  bool       // guarded by mu
}

type keyPress struct {
	to  *leg
	key rune
}

func (q *keyQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting = true, nil
}

// run runs something that belongs to the talk, unless that is over.
func (q *keyQueue) run(c *Call, f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		c.legs.Go(f)
	}
}

// next takes the key that is to be pressed now.
func (q *keyQueue) next() (keyPress, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		return keyPress{}, false
	}
	k := q.waiting[0]
	q.waiting = q.waiting[1:]
	return k, true
}

// pressed passes a key on that came by SIP INFO; those that come as telephone
// events take the path of the sound.
func (b *bridge) pressed(from place, l *leg, contentType string, body []byte) {
	l.media.InfoDigit(contentType, body)
	key, ok := media.InfoKey(contentType, body)
	b.mu.Lock()
	at, has := b.placeOf(l)
	to, through := b.sides[1-from], b.way == both
	b.mu.Unlock()
	if ok && has && at == from && through {
		b.press(to, string(key))
	}
}

// press presses keys on a leg, behind those that wait already. It is false where
// too many do.
func (b *bridge) press(to *leg, keys string) bool {
	q := &b.keys
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting)+len(keys) > maxKeys {
		return false
	}
	for _, key := range keys {
		q.waiting = append(q.waiting, keyPress{to, key})
	}
	if !q.running && len(q.waiting) > 0 {
		q.running = true
		b.call.legs.Go(func() { // its end is waited for with the legs
			for k, ok := q.next(); ok; k, ok = q.next() {
				_ = k.to.media.Press(k.to.ctx, string(k.key)) // who has gone needs no keys
			}
		})
	}
	return true
}
