// Package call is the heart of Perezvon: what a call is, how it is carried
// out and how it ends.
//
// A call is a tree of contexts: call, leg, operation. Hanging up a leg cancels
// its context with a cause, an *EndReason. A flow is one plain function that
// reads from top to bottom: see attemptCallback in callback.go and
// serveInbound in inbound.go.
package call
