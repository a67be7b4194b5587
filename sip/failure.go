package sip

import (
	"errors"
	"time"
)

// Errors of the package, to be tested with errors.Is.
var (
	// ErrClosed says that the agent is closed or closing.
	ErrClosed = errors.New("the SIP agent is closed")
	// ErrUnknownTarget says that no such trunk or extension is configured.
	ErrUnknownTarget = errors.New("no such trunk or extension")
	// ErrAnswered says that an INVITE already has its final response.
	ErrAnswered = errors.New("the INVITE already has a final response")
)

// FailureKind says how an INVITE came to nothing.
type FailureKind int

// Kinds of failures.
const (
	Rejected      FailureKind = iota + 1 // a final response of 300 or more, see Status
	NoResponse                           // not even a 100 in time
	NoRinging                            // no 18x in time
	RingTimeout                          // it rang for the whole time
	Cancelled                            // our context ended; of an incoming call: the caller gave up
	Transport                            // the message could not be sent
	Unresolved                           // the host has no address
	BadMedia                             // no usable session description
	Internal                             // our own side failed, see Err
	NotRegistered                        // the extension has no phone that could ring: none is registered, or none can be reached
	Full                                 // the trunk carries all the calls it may, or began too many just now
)

var kindNames = map[FailureKind]string{
	Rejected: "rejected", NoResponse: "no response", NoRinging: "no ringing", RingTimeout: "not answered",
	Cancelled: "cancelled", Transport: "transport error", Unresolved: "host does not resolve",
	BadMedia: "no usable media", Internal: "internal error", NotRegistered: "not registered",
	Full: "trunk full",
}

// String is a short English text.
func (k FailureKind) String() string { return kindNames[k] }

// Failure is how an INVITE ended without a call. It is the error of
// Agent.Invite, and the cause of an incoming call's context when the caller
// cancels. Other requests that nobody answers end with one, too.
type Failure struct {
	Kind    FailureKind
	Status  int           // of the final response, 0 without one
	Phrase  string        // its reason phrase
	Reasons []Reason      // of the final response, or of the caller's CANCEL
	Rang    time.Duration // since the first 18x; 0: it never rang
	// Crossed says that a 2xx crossed our CANCEL: somebody picked up. It was
	// acknowledged and ended with BYE.
	Crossed bool
	// RetryAfter is how long the far side asks to be left alone; 0: it does not.
	RetryAfter time.Duration
	// Destination is the ip:port that was tried last; where Unresolved, the
	// host or the target's name; where Full, the trunk's. It may be empty.
	Destination string
	Waited      time.Duration // the limit that has passed; 0: none has
	Err         error         // what lies behind it, may be nil

	stale bool // it was lost with a connection that had been there before, or that speaks no SIP
	away  bool // the connection has ended that the phone registered by
}

// Who ended a dialog, see Ended.
const (
	ByLocal   = "local"   // we sent BYE
	ByRemote  = "remote"  // the peer sent BYE
	ByNoAck   = "no-ack"  // our 200 was never acknowledged
	ByTimeout = "timeout" // the session was not refreshed, or the peer no longer knew it (RFC 4028 section 10)
)

// Ended is how a dialog ended. It is an error so that it can be the cause of a
// context.
type Ended struct {
	By      string   // ByLocal, ByRemote, ByNoAck or ByTimeout
	Reasons []Reason // of the BYE, ours or the peer's
	Detail  string   // what showed that the peer is gone, where ByTimeout; else empty
}

// Error implements error.
func (e Ended) Error() string {
	switch e.By {
	case ByLocal:
		return "we hung up"
	case ByNoAck:
		return "our answer was never acknowledged"
	case ByTimeout:
		return e.Detail
	}
	return "the far side hung up"
}
