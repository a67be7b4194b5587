package store

import "time"

// Expiry says when each kind of record has served its time. What is kept
// without an end has the zero time.
type Expiry struct {
	Calls  time.Time // calls that ended before, with their events and traces
	Events time.Time // events of no call from before
	Traces time.Time // what went over the wire and was saved before
}

// Expired is how many records have served their time.
type Expired struct {
	Calls  int `json:"calls"`
	Events int `json:"events"` // of no call
	Traces int `json:"traces"` // parts of traces; those of the calls above are not counted twice
}
