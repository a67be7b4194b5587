// Package trace keeps what goes over the wire in each call, and tells it:
// SIP messages and the milestones of the media, bounded and without secrets.
//
// A Collector copies messages while a call lasts, which is all that the paths
// of messages bear. When the call ends, secrets are taken out and the rest is
// compressed and handed to the store, once. A Trace that is read back is told
// as a ladder of messages, as a story in plain words, and as a capture file.
package trace

import (
	"errors"
	"net/netip"
	"slices"
	"time"
)

// Bounds of what is kept of one call, or of one part of a call that waits in
// between: the first half and the last half of its messages, by number and by
// size.
const (
	MaxMessages   = 200
	MaxBytes      = 256 << 10 // of messages, before compression
	MaxMessage    = 16 << 10  // of one message, bytes; the rest is cut off
	MaxMilestones = 100       // the first of them
)

// ErrNone says that nothing is known of a call.
var ErrNone = errors.New("there is no trace of this call")

// Trace is what went over the wire in a call. It holds no secrets.
type Trace struct {
	Messages   []Message   `json:"messages"`
	Milestones []Milestone `json:"milestones,omitempty"`
	// LeftOut are the messages between the first and the last that are not
	// kept, because there were too many or they were too large.
	LeftOut int `json:"left_out,omitempty"`
	// Gap is when the first of the messages came that were left out; zero where
	// none was.
	Gap time.Time `json:"gap,omitzero"`
}

// Message is one SIP message.
type Message struct {
	At        time.Time      `json:"at"`
	Sent      bool           `json:"sent,omitempty"`
	Transport string         `json:"transport"` // udp, tcp or tls
	Local     netip.AddrPort `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	Leg       string         `json:"leg,omitempty"` // of the call; empty: not known
	Size      int            `json:"size"`          // bytes on the wire
	Data      []byte         `json:"-"`             // without secrets; shorter than Size where it was cut off

	Length int `json:"length"` // of Data, in the stored form
}

// Cut reports whether the end of the message is not kept.
func (m *Message) Cut() bool { return m.Size > MaxMessage }

// Milestone is something that happened to the sound of a leg.
type Milestone struct {
	At   time.Time      `json:"at"`
	Kind string         `json:"kind"`           // one of the Kind constants
	Port uint16         `json:"port"`           // our RTP port
	Leg  string         `json:"leg,omitempty"`  // of the call; empty: not known
	Peer netip.AddrPort `json:"peer,omitzero"`  // where from, or where to
	Text string         `json:"text,omitempty"` // the codec
}

// Kinds of milestones.
const (
	KindAgreed   = "agreed"   // codec and address were agreed, or agreed anew
	KindHeld     = "held"     // the other side put us on hold
	KindResumed  = "resumed"  // and took us back
	KindFirstOut = "sending"  // the first packet went out
	KindLocked   = "hearing"  // packets of this source are heard from now on
	KindDigit    = "digit"    // a key was pressed; which one is nobody's business
	KindSilence  = "no_sound" // nothing was heard for too long after the answer
)

// join puts parts together in the order of time.
func join(parts []Trace) Trace {
	var t Trace
	for _, p := range parts {
		t.Messages = append(t.Messages, p.Messages...)
		t.Milestones = append(t.Milestones, p.Milestones...)
		t.LeftOut += p.LeftOut
		if t.Gap.IsZero() || !p.Gap.IsZero() && p.Gap.Before(t.Gap) {
			t.Gap = p.Gap
		}
	}
	slices.SortStableFunc(t.Messages, func(a, b Message) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(t.Milestones, func(a, b Milestone) int { return a.At.Compare(b.At) })
	return t
}
