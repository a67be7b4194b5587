package sip

import (
	"net/netip"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// What somebody may send whom we know: far more than a provider does at his
// busiest, and no more than memory has room for. His address may be forged.
//
// A transaction stays for 32 s after its end. An INVITE costs about 10 kB for
// that time, any other request about 4 kB.
const (
	maxPeers = 2048 // addresses whose budgets are remembered

	messageEvery, messageBurst       = 100 * time.Microsecond, 20000 // of an address, of any kind
	allMessageEvery, allMessageBurst = 50 * time.Microsecond, 40000

	// INVITEs that are not answered, and CANCELs: an answer gives its place back.
	inviteEvery, inviteBurst       = 10 * time.Millisecond, 2000
	allInviteEvery, allInviteBurst = 5 * time.Millisecond, 4000

	// Requests of calls that are there.
	innerEvery, innerBurst       = time.Millisecond, 4000
	allInnerEvery, allInnerBurst = 500 * time.Microsecond, 8000

	// Any other request: OPTIONS, REGISTER, BYE to a call that is not there.
	otherEvery, otherBurst       = 20 * time.Millisecond, 1000
	allOtherEvery, allOtherBurst = 5 * time.Millisecond, 4000

	// Refusals of INVITEs that are too many; the others get no answer.
	refuseEvery, refuseBurst = 10 * time.Millisecond, 100

	// Calls of one address, and of all, that ring or talk.
	maxDialogsPeer = 10000
	maxDialogs     = 20000
)

// spender is what an address that we know has spent.
type spender struct {
	seen int64
	spent
}

// spent are the budgets of an address, or of all.
type spent struct{ messages, invites, inner, other pace }

// kind is what a message costs.
type kind int

const (
	kindFree   kind = iota // no transaction: responses, ACK
	kindInvite             // begins a call, or ends one that has not begun
	kindInner              // belongs to a call
	kindOther
)

// kindOf tells the kind of a message that is not parsed yet.
func (g *guard) kindOf(p []byte) kind {
	switch method := sniffMethod(p); string(method) {
	case "", "ACK":
		return kindFree
	case "CANCEL":
		return kindInvite
	case "INVITE":
		if tag := sniffToTag(p); len(tag) > 0 && g.ours(tag) {
			return kindInner
		} else if len(tag) == 0 {
			return kindInvite
		}
		return kindOther
	}
	if tag := sniffToTag(p); len(tag) > 0 && g.ours(tag) {
		return kindInner
	}
	return kindOther
}

// affords reports whether a message of an address that we know is within what it
// may send. Where it is not, an answer may be due.
func (g *guard) affords(from netip.AddrPort, p []byte) (ok bool, answer []byte) {
	k, now := g.kindOf(p), g.now()
	begins := k == kindInvite && sniffKnock(p) == sipmsg.INVITE // and is no CANCEL: that makes room
	// One that comes again is not refused: its call goes on.
	again := begins && g.taken(p)
	full := begins && !again && g.full(from.Addr())
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.spender(from.Addr(), now)
	switch {
	case !within(&one.messages, &g.all.messages, now, messageEvery, messageBurst, allMessageEvery, allMessageBurst):
	case k == kindFree:
		return true, nil
	case k == kindInner:
		ok = within(&one.inner, &g.all.inner, now, innerEvery, innerBurst, allInnerEvery, allInnerBurst)
	case k == kindOther:
		ok = within(&one.other, &g.all.other, now, otherEvery, otherBurst, allOtherEvery, allOtherBurst)
	case !full && within(&one.invites, &g.all.invites, now, inviteEvery, inviteBurst, allInviteEvery, allInviteBurst):
		ok = true
	case begins && !again && g.refusals.allow(now, refuseEvery, refuseBurst):
		tag := keyedTag(g.peers.secret, "refused", string(p)) // the same when it comes again
		answer = stateless(p, from, "SIP/2.0 503 Service Unavailable", tag, "Retry-After: 5\r\n")
	}
	if !ok {
		g.limited.Add(1)
	}
	return ok, answer
}

// spender is what an address has spent. g.mu is held.
func (g *guard) spender(ip netip.Addr, now int64) *spender {
	one := g.spenders.note(g.spenders.key(ip, ""), func(one *spender) int64 { return one.seen })
	one.seen = now
	return one
}

// within takes one from the budget of an address and from that of all, or from
// neither.
func within(one, all *pace, now int64, every time.Duration, burst int, allEvery time.Duration, allBurst int) bool {
	if !all.allows(now, allEvery, allBurst) || !one.allow(now, every, burst) {
		return false
	}
	return all.allow(now, allEvery, allBurst)
}

// full reports whether an address, or all, have as many calls as there may be.
func (g *guard) full(ip netip.Addr) bool {
	if g.open() >= maxDialogs {
		return true
	}
	return g.peers.dialogsWith(ip) >= maxDialogsPeer
}

// answered gives the place of an INVITE back that became a call.
func (g *guard) answered(ip netip.Addr) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if one := g.spenders.find(g.spenders.key(ip, "")); one != nil {
		one.invites.giveBack(now, inviteEvery)
		g.all.invites.giveBack(now, allInviteEvery)
	}
}

// pace is a limit of a rate: when the next one would be due if all were evenly
// spaced.
type pace int64

// allows reports whether one more is within one per every, of which burst may
// come at once.
func (p *pace) allows(now int64, every time.Duration, burst int) bool {
	return int64(*p)-now <= int64(every)*int64(burst-1)
}

// allow is allows, and counts it.
func (p *pace) allow(now int64, every time.Duration, burst int) bool {
	if !p.allows(now, every, burst) {
		return false
	}
	*p = pace(max(int64(*p), now) + int64(every))
	return true
}

// giveBack uncounts one.
func (p *pace) giveBack(now int64, every time.Duration) {
	*p = pace(max(int64(*p)-int64(every), now))
}
