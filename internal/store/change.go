package store

import (
	"encoding/json"
	"strings"
	"time"
)

// Change is one write on its way from a node's own file to the store that
// several share, and one record on its way from one store into another.
type Change struct {
	// Seq is the place in the node's outbox. It grows from change to change,
	// not always by one; zero where a whole store is exported.
	Seq int64 `json:"seq,omitempty"`
	// Type says what changed, and what ID, Data and Events hold.
	Type ChangeType `json:"type"`
	// ID names the record. It is empty for events, each of which names its
	// call, if it has one.
	ID string `json:"id,omitempty"`
	// Data is the record as it is now, not as the change left it: one that
	// changed again comes again. Nil: it is gone.
	Data json.RawMessage `json:"data,omitempty"`
	// Events are those of a ChangeEvents, in order. In an outbox their ids are
	// the node's own and mean nothing elsewhere; in an export they are to be
	// kept.
	Events []Event `json:"events,omitempty"`
}

// ChangeType is what a Change is about.
type ChangeType string

// Types of changes, with what their ID and Data are.
const (
	ChangeCall    ChangeType = "call"    // id of the call; as Call.AppendJSON writes it
	ChangeEvents  ChangeType = "events"  // none; Events instead of Data
	ChangeDialog  ChangeType = "dialog"  // id of the dialog; a Dialog
	ChangeBinding ChangeType = "binding" // id of the binding; a Binding
	ChangeTrace   ChangeType = "trace"   // id of the call; a TracePart, which is added to those that are there
	ChangeDND     ChangeType = "dnd"     // number of the extension; a DND
	ChangeKey     ChangeType = "key"     // as KeyID writes it; a KeyUse
	ChangePause   ChangeType = "pause"   // the scope of rates; a PauseUntil
	ChangeRate    ChangeType = "rate"    // the scope of rates; a RateUse. In exports only
	ChangeBlock   ChangeType = "block"   // the number; a Block. In exports only
	ChangeCount   ChangeType = "count"   // name of the counter; a CountStep without an ID. In exports only
	ChangeJob     ChangeType = "job"     // as JobID writes it; a Job. In exports in the order in which jobs joined their lanes
	ChangeCounter ChangeType = "counter" // CounterFence or CounterEvents; a number. In exports only

	ChangeBlockStep ChangeType = "block.step" // the number; a BlockStep, on its way only
	ChangeCountStep ChangeType = "count.step" // name of the counter; a CountStep, on its way only
)

// Counters that a copy of a store goes on from.
const (
	CounterFence  = "fence"  // no lease of any name and no job had a greater fence
	CounterEvents = "events" // no event had an id with a greater number
)

// DND is what was said about do not disturb of an extension.
type DND struct {
	DND bool `json:"dnd"`
}

// KeyUse is what is remembered of a Key: the call that it belongs to.
type KeyUse struct {
	Scope     string    `json:"scope"`
	Value     string    `json:"value"`
	Hash      string    `json:"hash"`
	CallID    string    `json:"call_id"`
	CreatedAt time.Time `json:"created_at"` // to the microsecond; it is forgotten 24 hours later
}

// PauseUntil is until when a scope of rates is paused.
type PauseUntil struct {
	Until time.Time `json:"until"`
}

// RateUse is what was taken of one Rate.
type RateUse struct {
	Name string    `json:"name"`
	Full time.Time `json:"full"` // when all will have come back, to the microsecond
}

// BlockStep is something that happened to a number. What it makes of the number
// is a matter of what happened to it at other nodes.
type BlockStep struct {
	Op     BlockOp   `json:"op"`
	At     time.Time `json:"at,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Limit  int       `json:"limit,omitempty"` // of a Failure
	By     string    `json:"by,omitempty"`    // of an Unblock
}

// BlockOp is what happened to a number.
type BlockOp string

// What happens to numbers.
const (
	BlockFailed    BlockOp = "failed"    // AddFailure
	BlockReached   BlockOp = "reached"   // ClearFailures
	BlockUnblocked BlockOp = "unblocked" // Unblock
)

// CountStep is what was added to a counter.
type CountStep struct {
	Until int64  `json:"until"` // the window's end, milliseconds since 1970
	N     int64  `json:"n"`
	ID    string `json:"id,omitempty"` // of the step: one that comes twice counts once
}

// JobID names a job in a Change.
func JobID(kind, id string) string { return KeyID(kind, id) }

// KeyID names a key in a Change.
func KeyID(scope, value string) string { return scope + "\x00" + value }

// ParseKeyID takes apart what KeyID has made.
func ParseKeyID(id string) (scope, value string) {
	scope, value, _ = strings.Cut(id, "\x00")
	return scope, value
}
