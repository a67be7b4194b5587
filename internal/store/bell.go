package store

import "sync"

// Bell wakes any number of waiters. An engine rings it when there is more to be
// read.
type Bell struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu
}

// NewBell returns a bell that nobody has rung.
func NewBell() *Bell { return &Bell{ch: make(chan struct{})} }

// Next returns a channel that the next ring closes.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

// Ring wakes those who wait.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
