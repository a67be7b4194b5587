package media

import (
	"net/netip"
	"time"
)

// Milestone is something that happens to the sound of a leg now and then.
type Milestone struct {
	At   time.Time
	Port uint16 // of the leg's RTP socket
	Kind MilestoneKind
	Peer netip.AddrPort // where from, or where to; may be invalid
	// Codec is that which was agreed on, with Agreed, Held and Resumed.
	Codec Codec
}

// MilestoneKind says what happened.
type MilestoneKind uint8

// Kinds of milestones.
const (
	Agreed   MilestoneKind = iota + 1 // codec and address, for the first time or others than before
	Held                              // the other side does not want to hear us for a while
	Resumed                           // and does again
	FirstOut                          // the first packet went out
	Locked                            // packets of this source are heard from now on
	Digit                             // a key was pressed
	Silence                           // nothing was heard for Config.NoAudioAfter after the answer
	Closed                            // the session has ended; the port is another leg's before long
)

// milestone tells of one.
func (s *Session) milestone(kind MilestoneKind, peer netip.AddrPort, codec Codec) {
	if tell := s.engine.cfg.OnMilestone; tell != nil {
		tell(Milestone{At: time.Now(), Port: s.port, Kind: kind, Peer: peer, Codec: codec})
	}
}

// agreed tells what an agreement changes.
func (s *Session) agreed(old, is *remote) {
	peer, codec := is.stream.RTP, is.stream.Codec
	switch {
	case old != nil && old.sends && !is.sends:
		s.milestone(Held, peer, codec)
	case old != nil && !old.sends && is.sends:
		s.milestone(Resumed, peer, codec)
	case old == nil || old.stream.RTP != peer || old.stream.Codec != codec:
		s.milestone(Agreed, peer, codec)
	}
}
