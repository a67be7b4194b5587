package sip

// Stats are counters for metrics.
type Stats struct {
	Inviting  int    // outgoing INVITEs without a final response
	Incoming  int    // incoming ones
	Dialogs   int    // confirmed dialogs
	Confirmed int64  // dialogs confirmed since the start
	Peers     int    // source addresses that the transport remembers
	Strangers uint64 // packets dropped: from nobody we know
	Banned    uint64 // packets and connections dropped: their address, or extension there, is banned
	Limited   uint64 // packets dropped: there were too many
	Failures  uint64 // wrong answers to our challenges
	Bans      int    // in force
	BansBegun uint64 // since the start
	Garbage   uint64 // packets dropped: not SIP
	Reordered uint64 // packets held back to keep their order
	Astray    uint64 // responses ignored: they name a request of ours and do not fit it
	Foreign   uint64 // requests refused: they name a dialog whose peer is elsewhere
	Panics    uint64 // recovered
	Bindings  int    // phones that are registered
	Streams   int    // connections over TCP and TLS
	Refused   uint64 // connections closed at once: there were too many
	Unshaken  uint64 // connections over TLS to us whose handshake came to nothing
	// Registrations counts successful ones since the start, refreshes among
	// them, RegistrationsFailed the tries that failed at every address.
	Registrations, RegistrationsFailed uint64
}

// Stats returns the counters as they are now.
func (a *Agent) Stats() Stats {
	s := Stats{Confirmed: a.answered.Load(), Peers: a.tp.Pool("udp").Size(), Panics: a.panics.Load(), Astray: a.astray.Load(), Foreign: a.foreign.Load()}
	s.Registrations, s.RegistrationsFailed = a.registered.Load(), a.unregistered.Load()
	s.Inviting, s.Incoming, s.Dialogs = a.calls.count()
	s.Bindings = a.peers.phones.count()
	s.Streams, s.Refused, s.Unshaken = a.streams.open(), a.streams.refused.Load(), a.streams.unshaken.Load()
	s.Strangers, s.Banned, s.Limited = a.guard.strangers.Load(), a.guard.banned.Load(), a.guard.limited.Load()
	s.Failures, s.Bans = a.guard.failures.Load(), a.guard.inForce()
	s.BansBegun = a.guard.begun.Load()
	s.Garbage, s.Reordered = a.streams.garbage.Load(), a.streams.reordered.Load()
	for _, l := range a.listeners {
		s.Garbage += l.garbage.Load()
		s.Reordered += l.reordered.Load()
	}
	return s
}
