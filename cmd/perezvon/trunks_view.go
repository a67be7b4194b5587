package main

import (
	"perezvon/internal/api"
	"perezvon/sip"
)

// trunksView shows the API how the trunks are.
type trunksView struct{ agent *sip.Agent }

// Trunks returns the state of every trunk, by name.
func (v trunksView) Trunks() map[string]api.TrunkState {
	out := make(map[string]api.TrunkState)
	for _, t := range v.agent.Trunks() {
		out[t.Name] = api.TrunkState{
			Up: t.Up, Known: t.Known, Registered: t.Registered, Expires: t.Expires, RoundTrip: t.RoundTrip,
			Reason: t.Reason, Since: t.Since, Address: t.Address, Transport: t.Transport,
			Rests: t.Rests, SeenAt: t.SeenAt, Incoming: t.Incoming, Outgoing: t.Outgoing,
		}
	}
	return out
}
