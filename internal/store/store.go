// Package store holds the records that outlive a process: calls with their
// attempts and legs, SIP dialogs, registrations of phones, events, idempotency
// keys and leases.
//
// It has no behaviour of its own. Engines (store/sqlite) keep the records,
// users (internal/call, internal/api) define the interfaces they need of an
// engine, and store/storetest says in tests what every engine must do.
package store

import (
	"encoding/json"
	"errors"
	"time"
)

// Errors that every engine returns, to be tested with errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrKeyReused = errors.New("idempotency key was used with another request")
	ErrHeld      = errors.New("lease is held by another owner")
	ErrTooMany   = errors.New("there were too many calls to this number")
	ErrBadCursor = errors.New("cursor is not one of ours")
	ErrClosed    = errors.New("store is closed")
	ErrNotEmpty  = errors.New("the store is not empty")
	ErrAway      = errors.New("the shared store is away") // and nothing here can answer instead
)

// Kind says what business event a call is.
type Kind string

// Kinds of calls.
const (
	KindCallback Kind = "callback"
	KindInbound  Kind = "inbound"
	KindOutbound Kind = "outbound" // from a phone of the office, or by click-to-call, to a number outside
	KindInternal Kind = "internal" // from one phone of the office to another
	KindInfocall Kind = "infocall" // plays a message to a number
)

// State is where a call is. Every call ends in StateEnded.
type State string

// States of a call.
const (
	StateQueued          State = "queued"
	StateScheduled       State = "scheduled"
	StateRendering       State = "rendering"
	StateWaitingRetry    State = "waiting_retry"
	StateRingingManager  State = "ringing_manager"
	StateAnnouncing      State = "announcing"
	StateRingingCustomer State = "ringing_customer"
	StateRinging         State = "ringing"
	StatePlaying         State = "playing" // the caller hears an announcement, or leaves a message; infocall: the message is played
	StateTalking         State = "talking"
	StateHeld            State = "held" // the two are connected, and one of them waits
	StateEnded           State = "ended"
)

// Connected reports whether the two are joined, though one of them may wait.
func (s State) Connected() bool { return s == StateTalking || s == StateHeld }

// Result is how a call ended.
type Result string

// Results of calls.
const (
	ResultCompleted           Result = "completed"
	ResultManagerUnavailable  Result = "manager_unavailable"
	ResultManagerHungUp       Result = "manager_hung_up"
	ResultCustomerBusy        Result = "customer_busy"
	ResultCustomerNoAnswer    Result = "customer_no_answer"
	ResultCustomerDeclined    Result = "customer_declined"
	ResultCustomerUnavailable Result = "customer_unavailable"
	ResultInvalidNumber       Result = "invalid_number"
	ResultDirection           Result = "direction_unavailable"
	ResultTrunkFailed         Result = "trunk_failed"
	ResultNoAudio             Result = "no_audio"
	ResultSpeechFailed        Result = "speech_failed"
	ResultExpired             Result = "expired"
	ResultInterrupted         Result = "interrupted"
	ResultCancelled           Result = "cancelled"
	ResultNotAllowed          Result = "not_allowed"
	ResultMissed              Result = "missed"            // nobody answered
	ResultAbandoned           Result = "abandoned"         // the caller gave up
	ResultBusy                Result = "busy"              // everybody was busy
	ResultOutOfHours          Result = "out_of_hours"      // inbound: nobody answered outside the working hours
	ResultVoicemail           Result = "voicemail"         // inbound: nobody answered, and the caller left a message
	ResultCustomerCalled      Result = "customer_called"   // callback: the customer called in and was answered
	ResultDelivered           Result = "delivered"         // infocall: enough of the message was heard
	ResultHungUpEarly         Result = "hung_up_early"     // infocall: not enough of it was
	ResultMachine             Result = "answering_machine" // infocall: a machine answered, and was not spoken to
	ResultNoAnswer            Result = "no_answer"         // infocall
	ResultDeclined            Result = "declined"          // infocall
	ResultUnavailable         Result = "unavailable"       // infocall: the phone is off, or out of coverage
	ResultBlocked             Result = "blocked"           // infocall: the number is not called any more
)

// Party is a side of a call: who owned a failure, who hung up.
type Party string

// Parties of a call.
const (
	PartyUs       Party = "us"
	PartyTrunk    Party = "trunk"
	PartyManager  Party = "manager"
	PartyCustomer Party = "customer"
)

// Role is what a leg is in its call.
type Role string

// Roles of legs. Callbacks and outbound calls have a manager and a customer,
// inbound and internal calls a caller and callees, informational calls a
// customer alone.
const (
	RoleManager  Role = "manager"
	RoleCustomer Role = "customer"
	RoleCaller   Role = "caller"
	RoleCallee   Role = "callee"
)

// LegState is where a leg is.
type LegState string

// States of a leg.
const (
	LegDialling LegState = "dialling"
	LegRinging  LegState = "ringing"
	LegAnswered LegState = "answered"
	LegEnded    LegState = "ended"
)

// Call is one business event with one terminal result. It is a value: engines
// store and return copies.
type Call struct {
	ID          string `json:"id"` // UUIDv7, 32 hex digits
	Kind        Kind   `json:"kind"`
	State       State  `json:"state"`
	Result      Result `json:"result,omitempty"` // set when State is ended
	Code        string `json:"code,omitempty"`   // Bitrix24 STATUS_CODE: "200", "304", "603-S", …
	Reason      string `json:"reason,omitempty"` // for people
	ReasonOwner Party  `json:"reason_owner,omitempty"`
	HangupBy    Party  `json:"hangup_by,omitempty"`

	Line     string    `json:"line"`   // empty: none, the call is internal
	Number   string    `json:"number"` // the customer's, E.164 or as given on raw lines; of an internal call the extension
	Manager  *Endpoint `json:"manager,omitempty"`
	Customer *Endpoint `json:"customer,omitempty"`

	CreatedAt  time.Time  `json:"created_at"`
	AnsweredAt *time.Time `json:"answered_at,omitempty"` // when the two were bridged; infocall: when somebody picked up
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	TalkMS     int64      `json:"talk_ms"` // customer talk time, monotonic
	RingMS     int64      `json:"ring_ms"` // how long the customer's phone rang

	Request   Request    `json:"request"`
	Attempts  []Attempt  `json:"attempts"`
	Legs      []Leg      `json:"legs"`
	Recording *Recording `json:"recording,omitempty"`
	Info      *Info      `json:"info,omitempty"` // of an infocall that was answered, or has ended

	NextAt          *time.Time `json:"next_at,omitempty"`    // when the next attempt is due
	Deadline        time.Time  `json:"deadline"`             // no dialling after it
	CustomerReached bool       `json:"customer_reached"`     // a 2xx of the customer's was seen
	Interrupted     int        `json:"interrupted,omitzero"` // how often a crash ended an attempt

	// Durability is set only in what CreateCall returns, and never stored:
	// DurabilityLocal, or empty where the call is as durable as it should be.
	Durability string `json:"durability,omitempty"`
}

// DurabilityLocal says that a call is on this machine's disk alone, because the
// shared store was away when it was created.
const DurabilityLocal = "local"

// Endpoint is who took part.
type Endpoint struct {
	Number    string `json:"number,omitempty"`
	Extension string `json:"extension,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Request is what was asked for, as far as a restart needs it.
type Request struct {
	Text    string `json:"text,omitempty"`
	Voice   string `json:"voice,omitempty"`
	Manager string `json:"manager,omitempty"` // replaces the line's route: an extension or a number
	Key     string `json:"key,omitempty"`     // name of the API key that asked

	Mode      string     `json:"mode,omitempty"`       // manager_first or customer_first
	NotBefore *time.Time `json:"not_before,omitempty"` // no dialling before it

	Sound  string `json:"sound,omitempty"`  // what an infocall plays instead of Text: the name of a file or a URL
	Repeat int    `json:"repeat,omitempty"` // how many times an infocall plays its message; 0: once
	Gather int    `json:"gather,omitempty"` // how many keys it waits for; 0: none

	AnsweringMachine string `json:"answering_machine,omitempty"` // what is done where one answers; empty: what the configuration says
}

// Info is the result of an informational call, as a business process needs it.
type Info struct {
	OK      string `json:"ok,omitempty"`     // Y or N; empty until the call has ended
	Text    string `json:"text,omitempty"`   // a sentence and the code, such as "Success (200)"
	Code    string `json:"code,omitempty"`   // that of the call
	HeardMS int64  `json:"heard_ms"`         // how much of the message was sent to who picked up, repetitions included
	Digits  string `json:"digits,omitempty"` // the keys that he pressed, where they were waited for

	AnsweredBy string `json:"answered_by,omitempty"` // person, machine, silent or unsure; empty: nobody has looked
}

// Attempt is one try to complete a call.
type Attempt struct {
	N           int        `json:"n"`                // from 1
	Asked       bool       `json:"asked,omitempty"`  // brought forward because the customer asked again: uses no budget
	Waited      bool       `json:"waited,omitempty"` // everybody was talking: uses no budget
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Result      Result     `json:"result,omitempty"`
	Code        string     `json:"code,omitempty"`
	Reason      string     `json:"reason,omitempty"`
	ReasonOwner Party      `json:"reason_owner,omitempty"`
}

// Leg is one SIP dialog with its media.
type Leg struct {
	ID         string     `json:"id"`
	Attempt    int        `json:"attempt"`
	Role       Role       `json:"role"`
	Number     string     `json:"number,omitempty"`
	Trunk      string     `json:"trunk,omitempty"`
	Extension  string     `json:"extension,omitempty"`
	State      LegState   `json:"state"`
	SIPCode    int        `json:"sip_code,omitempty"` // the final response, or that of our own refusal
	Q850       int        `json:"q850,omitempty"`     // cause of a Reason header
	Reason     string     `json:"reason,omitempty"`
	StartedAt  time.Time  `json:"started_at"`
	RingAt     *time.Time `json:"ring_at,omitempty"`
	AnsweredAt *time.Time `json:"answered_at,omitempty"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	Quality    *Quality   `json:"quality,omitempty"`
	NoAudio    bool       `json:"no_audio,omitempty"` // nothing was heard of it for 5 s after the answer
}

// Quality is what was measured on a leg's media. What was not measured is
// null.
type Quality struct {
	Codec       string   `json:"codec"`
	PacketsIn   uint64   `json:"packets_in"`
	PacketsOut  uint64   `json:"packets_out"`
	Lost        *int64   `json:"lost"`           // RFC 3550 A.3, of packets towards us
	JitterMS    *float64 `json:"jitter_ms"`      // RFC 3550 6.4.1
	RoundTripMS *float64 `json:"round_trip_ms"`  // from RTCP receiver reports
	SRTP        string   `json:"srtp,omitempty"` // suite, as in a=crypto; empty: plain sound
}

// Recording is the sound of a call.
type Recording struct {
	File       string `json:"file"` // name below the recordings directory
	DurationMS int64  `json:"duration_ms"`
	Bytes      int64  `json:"bytes"`

	RemovedAt *time.Time `json:"removed_at,omitempty"` // when the file was removed, for it had been kept for long enough
}

// Event is one entry of a call's timeline.
type Event struct {
	ID     string          `json:"id"` // opaque, increasing; set by the engine
	Type   string          `json:"type"`
	At     time.Time       `json:"at"`
	CallID string          `json:"call_id,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// Types of events.
const (
	EventCallCreated    = "call.created"
	EventCallState      = "call.state"
	EventCallEnded      = "call.ended"
	EventLegDialling    = "leg.dialling"
	EventLegRinging     = "leg.ringing"
	EventLegAnswered    = "leg.answered"
	EventLegEnded       = "leg.ended"
	EventMediaQuality   = "media.quality"
	EventRecordingReady = "recording.ready"

	EventRecordingRemoved = "recording.removed" // it had been kept for long enough
	EventDecision         = "call.decision"     // why the flow did what it did
	EventTransferred      = "call.transferred"
	EventNumberBlocked    = "number.blocked" // informational calls are not placed to it any more
	EventTrunkUp          = "trunk.up"       // of no call
	EventTrunkDown        = "trunk.down"     // of no call

	EventExtensionRegistered   = "extension.registered"   // a phone is there; of no call
	EventExtensionUnregistered = "extension.unregistered" // and is no more; of no call

	EventRecordingSuspended = "recording.suspended" // there is no room for recordings; of no call
	EventRecordingResumed   = "recording.resumed"   // there is room again; of no call

	EventBanned   = "perimeter.banned"   // an address, or an extension there; of no call
	EventUnbanned = "perimeter.unbanned" // of no call
)

// Key makes a request safe to repeat.
type Key struct {
	Scope string // who may repeat it: the name of the API key
	Value string // the Idempotency-Key header
	Hash  string // of the request: the same key with another one is ErrKeyReused
}

// Admission says under which conditions a call is created.
type Admission struct {
	Key       *Key // nil: the request is not safe to repeat
	PerNumber Limit
}

// Limit allows so many calls to one number since a time. The zero Limit allows
// any number.
type Limit struct {
	Count int
	Since time.Time
}

// Dialog is a journalled SIP dialog. Data is opaque to the store.
type Dialog struct {
	ID     string          `json:"id"`
	CallID string          `json:"call_id"` // of our call, not the SIP header
	LegID  string          `json:"leg_id"`
	Data   json.RawMessage `json:"data"`
}

// Binding is the registration of a phone. Data is opaque to the store.
type Binding struct {
	ID   string          `json:"id"`
	Data json.RawMessage `json:"data"`
}

// TracePart is what went over the wire in a call, or in a part of one that
// waits in between. Data is opaque to the store.
type TracePart struct {
	CallID string    `json:"call_id"`
	At     time.Time `json:"at"` // when it was saved
	Data   []byte    `json:"data"`
}

// MaxTraceParts is how many parts of one call's trace are kept.
const MaxTraceParts = 50

// Filter selects calls. Zero fields do not filter.
type Filter struct {
	Kind   Kind
	State  State
	Result Result
	Number string
	Line   string
	From   time.Time // created at or after
	To     time.Time // created before
	Cursor string    // from the previous page
	Limit  int       // 1 to 1000; 0 means 50
}

// EventFilter selects events, oldest first.
type EventFilter struct {
	CallID string
	After  string // id of the last event already seen
	Limit  int    // 1 to 1000; 0 means 100
}

// Lease is the right to do something alone for a while.
type Lease struct {
	Name  string
	Owner string
	Fence int64 // grows with every new holder of the name
	Until time.Time
}
