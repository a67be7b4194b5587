package call

import (
	"slices"
	"sync"

	"perezvon/internal/store"
)

// errCallsIn ends the ringing of managers for a callback whose customer calls
// in at this moment: that call is served first.
var errCallsIn = &EndReason{By: store.PartyCustomer, Q850: causeNormal, Text: "the customer is calling in"}

// errCalledIn ends a callback whose customer has called in and was answered.
var errCalledIn = &EndReason{By: store.PartyCustomer, SIP: 200, Text: "the customer called in and was answered"}

// callsIn knows which customers are calling in, and which callbacks are meant
// for them.
type callsIn struct {
	mu        sync.Mutex
	callers   map[string]*calling // guarded by mu; by number
	callbacks map[string][]*Call  // guarded by mu; by number
}

// calling is a number that calls in.
type calling struct {
	calls int
	over  chan struct{} // closed with the last of them
}

func newCallsIn() *callsIn {
	return &callsIn{callers: make(map[string]*calling), callbacks: make(map[string][]*Call)}
}

// expect takes note of a callback until done is called.
func (in *callsIn) expect(number string, c *Call) (done func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.callbacks[number] = append(in.callbacks[number], c)
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		left := slices.DeleteFunc(in.callbacks[number], func(other *Call) bool { return other == c })
		if in.callbacks[number] = left; len(left) == 0 {
			delete(in.callbacks, number)
		}
	}
}

// begin is called when a number calls in: callbacks to it stop ringing
// managers and wait. An unknown number is nobody's.
func (in *callsIn) begin(number string) (end func()) {
	if number == "" {
		return func() {}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	k := in.callers[number]
	if k == nil {
		k = &calling{over: make(chan struct{})}
		in.callers[number] = k
	}
	k.calls++
	for _, c := range in.callbacks[number] {
		c.stopRinging(errCallsIn)
	}
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		if k.calls--; k.calls == 0 {
			close(k.over)
			delete(in.callers, number)
		}
	}
}

// answered ends the callbacks to a number that called in and was answered:
// there is nothing left to call back for.
func (in *callsIn) answered(number string) {
	in.mu.Lock()
	waiting := slices.Clone(in.callbacks[number])
	in.mu.Unlock()
	for _, c := range waiting {
		if !c.Record().State.Connected() {
			c.cancel(errCalledIn)
		}
	}
}

// await returns a channel that is closed when a number no longer calls in; nil
// means that it does not.
func (in *callsIn) await(number string) (over <-chan struct{}, leave func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if k := in.callers[number]; k != nil {
		return k.over, nil
	}
	return nil, nil
}
