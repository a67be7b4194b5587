// Package selftest replays every branch of the call flows against a running
// Perezvon and says of each what was expected and what came.
//
// A scenario has a line, three phones and two providers of its own, all of
// them played by internal/lab with real SIP and RTP on loopback. Most
// scenarios share one server and run at the same time; those that break or
// stop a server have one to themselves. What is compared is what the API says
// of the call, who was rung how often, and what the people heard: each has a
// tone of his own. Whatever the scenario, at its end nothing may ring, no
// dialog be up, no rule of SIP or RTP be broken, and every call must have
// ended exactly once.
package selftest
