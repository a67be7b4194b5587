package sip

import (
	"slices"

	sipmsg "github.com/emiago/sipgo/sip"
)

// shows reports whether calls to the trunk have the caller's number there.
func (t *trunk) shows(p Place) bool {
	if len(t.CallerIDOut) == 0 {
		return p == InFrom
	}
	return slices.Contains(t.CallerIDOut, p)
}

// caller is the user of From in a call to the trunk: whoever calls, or our
// account where From is not the place for that.
func (t *trunk) caller(inv *Invite) string {
	if inv.FromUser == "" || !t.shows(InFrom) && t.Username != "" {
		return t.Username
	}
	return inv.FromUser
}

// identities are the headers that tell the trunk who calls, beside From. Whoever
// calls a line of ours and is passed on is told apart from the line: what is
// asserted is his number, if he has one, and the line is in Diversion.
func (p *plan) identities(domain string) []sipmsg.Header {
	t, inv := p.trunk, &p.inv
	if t == nil {
		return nil
	}
	who := inv.FromUser
	if inv.PassedOn && inv.Original != "" {
		who = inv.Original
	}
	if who == "" {
		who = t.Username
	}
	uri := func(user string) string { return "<sip:" + escapeUser(user) + "@" + domain + ">" }
	name := ""
	if display := quotable(inv.FromDisplay); display != "" && who == inv.FromUser {
		name = `"` + display + `" `
	}
	var all []sipmsg.Header
	if who != "" && t.shows(InAsserted) {
		all = append(all, sipmsg.NewHeader("P-Asserted-Identity", name+uri(who)))
	}
	if who != "" && t.shows(InRemoteParty) {
		all = append(all, sipmsg.NewHeader("Remote-Party-ID", name+uri(who)+";party=calling;screen=yes;privacy=off"))
	}
	if inv.PassedOn && inv.FromUser != "" && t.shows(InDiversion) {
		all = append(all, sipmsg.NewHeader("Diversion", uri(inv.FromUser)+";reason=unconditional;counter=1"))
	}
	return all
}
