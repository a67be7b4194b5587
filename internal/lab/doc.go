// Package lab is the other end of the line: a simulated carrier, the phones
// of people outside and of the office, all of real SIP and RTP packets.
//
// A [Carrier] listens on one signalling address. What happens when a number
// is dialled there is a [Script]: a list of steps such as ring, answer, talk
// and hang up, each written down as the SIP messages it is made of. A carrier
// also calls the system under test ([Carrier.Call]). An office phone with a
// fixed contact is a carrier of its own that listens at that contact.
//
// With a [Registrar] it has an account too, which registers and is called at its
// Contact.
//
// Every call is a [Party]. It sends its own tone, remembers what it was sent,
// and tells afterwards what happened when and whom it heard.
//
// The carrier is strict. It knows nothing of the code it tests, reads and
// writes SIP as text by itself, and notes everything that a peer has no right
// to do in [Carrier.Violations].
//
// It waits on channels and timers alone, so it works on loopback sockets in
// real time and on an in-memory network in the virtual time of
// testing/synctest alike.
package lab
