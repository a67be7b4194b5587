package lab

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// keyNames are the keys of a telephone by their event number (RFC 4733
// section 3.2).
const keyNames = "0123456789*#ABCD"

const (
	keyTicks = 5 // packets while a key is held: 100 ms at 20 ms each
	gapTicks = 3 // of silence between two keys
)

// keyPress is one key on its way out.
type keyPress struct {
	event     byte
	sent      int // ticks so far
	timestamp uint32
	done      chan struct{} // closed when it is out or given up
}

// press queues keys; done is closed when the last one is out.
func (a *audio) press(keys string) (done <-chan struct{}, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.digits < 0 {
		return nil, fmt.Errorf("press %q: telephone-event was not agreed on", keys)
	}
	if !a.sending {
		return nil, fmt.Errorf("press %q: the party does not send", keys)
	}
	var last chan struct{}
	for _, k := range keys {
		event := strings.IndexRune(keyNames, k)
		if event < 0 {
			return nil, fmt.Errorf("press %q: no such key", k)
		}
		last = make(chan struct{})
		a.keys = append(a.keys, keyPress{event: byte(event), done: last})
	}
	if last == nil {
		last = make(chan struct{})
		close(last)
	}
	return last, nil
}

func (a *audio) dropKeys() {
	for _, k := range a.keys {
		close(k.done)
	}
	a.keys = nil
}

// tickKey makes the event packets of this tick: one while the key is held,
// three at its end, then none for the pause. mu is held.
func (a *audio) tickKey(samples int) [][]byte {
	k := &a.keys[0]
	if k.sent == 0 {
		k.timestamp = a.out.timestamp
		a.out.resumed = true
	}
	k.sent++
	switch {
	case k.sent <= keyTicks:
		return [][]byte{a.packet(a.digits, k.timestamp, eventPayload(k.event, k.sent*samples, false))}
	case k.sent == keyTicks+1:
		payload := eventPayload(k.event, keyTicks*samples, true)
		return [][]byte{
			a.packet(a.digits, k.timestamp, payload),
			a.packet(a.digits, k.timestamp, payload),
			a.packet(a.digits, k.timestamp, payload),
		}
	case k.sent < keyTicks+gapTicks:
		return nil
	}
	close(k.done)
	a.keys = a.keys[1:]
	a.out.resumed = true
	return nil
}

func eventPayload(event byte, duration int, end bool) []byte {
	flags := byte(10) // volume, -10 dBm0
	if end {
		flags |= 0x80
	}
	return binary.BigEndian.AppendUint16([]byte{event, flags}, uint16(duration))
}
