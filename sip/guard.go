package sip

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Perimeter says when an address is banned. A zero value of a field is its
// default.
type Perimeter struct {
	// Failures is how many wrong passwords within Per an address, or an
	// extension at an address, is banned for; 0: 5.
	Failures int
	Per      time.Duration // 0: 1 minute
	// Ban is how long the first ban lasts; 0: 10 minutes. Each further one lasts
	// twice as long as that before, up to MaxBan.
	Ban time.Duration
	// MaxBan is the longest a ban lasts, and for how long after its end it makes
	// the next one longer; 0: 24 hours.
	MaxBan time.Duration
	// Ignored is how many messages of a stranger within Per that get no answer
	// he is banned for; 0: 100, negative: any number.
	Ignored int
}

// withDefaults fills in what is left out.
func (p Perimeter) withDefaults() Perimeter {
	if p.Failures <= 0 {
		p.Failures = 5
	}
	if p.Per <= 0 {
		p.Per = time.Minute
	}
	if p.Ban <= 0 {
		p.Ban = 10 * time.Minute
	}
	if p.MaxBan <= 0 {
		p.MaxBan = 24 * time.Hour
	}
	p.MaxBan = max(p.MaxBan, p.Ban)
	if p.Ignored == 0 {
		p.Ignored = 100
	}
	return p
}

// How much is remembered at one time.
const (
	maxStrangers = 8192 // addresses nobody knows
	maxFailed    = 4096 // addresses, and extensions at them, with wrong passwords
	maxBans      = 4096
)

// guard decides who is listened to: those we know first, strangers hardly, and
// whoever guesses passwords not at all for a while. All that it remembers has a
// fixed size.
type guard struct {
	rules Perimeter
	start time.Time // times below count from here
	peers *directory
	meant func([]byte) bool                          // a packet from wherever that is a trunk's
	ours  func(tag []byte) bool                      // there is a call with this tag
	open  func() int                                 // how many calls ring or talk
	taken func([]byte) bool                          // an INVITE was let in before
	knock func(sipmsg.RequestMethod, netip.AddrPort) // tells of a stranger's request

	strangers, banned, limited, failures, begun atomic.Uint64

	mu       sync.Mutex
	noise    table[noise]   // guarded by mu; of strangers
	wrong    table[guesses] // guarded by mu
	bans     table[ban]     // guarded by mu
	logins   pace           // guarded by mu; REGISTER of all strangers
	news     []Ban          // guarded by mu; to be told
	spenders table[spender] // guarded by mu; of those we know
	all      spent          // guarded by mu; of all that we know
	refusals pace           // guarded by mu
	tells    pace           // guarded by mu; how often bans are told of
	untold   uint64         // guarded by mu; bans that were too many to be told
	wake     chan struct{}  // has a token when news or the next end of a ban has changed
}

// noise is what is known of a stranger.
type noise struct {
	seen   int64 // when he was last heard of
	since  int64 // when counting began
	count  int   // messages that were ignored since then
	logins pace
}

// A stranger's REGISTER is read at this rate, and those of all strangers at that
// one: each costs some work, and an answer to an address that may be forged.
const (
	loginEvery    = 50 * time.Millisecond
	loginBurst    = 40
	allLoginEvery = 2500 * time.Microsecond
	allLoginBurst = 800
)

func newGuard(rules Perimeter, peers *directory) *guard {
	return &guard{
		rules: rules.withDefaults(), start: time.Now(), peers: peers, wake: make(chan struct{}, 1),
		meant: func([]byte) bool { return false }, knock: func(sipmsg.RequestMethod, netip.AddrPort) {},
		ours: func([]byte) bool { return false }, open: func() int { return 0 }, taken: func([]byte) bool { return false },
		spenders: newTable[spender](maxPeers),
		noise:    newTable[noise](maxStrangers), wrong: newTable[guesses](maxFailed), bans: newTable[ban](maxBans),
	}
}

// now is the time as the guard counts it.
func (g *guard) now() int64 { return int64(time.Since(g.start)) + 1 }

// admits reports whether a message is to be parsed. Where it is not, an answer
// may be due. It sees whatever anybody sends, and is called by the loops that
// read.
func (g *guard) admits(from netip.AddrPort, p []byte) (ok bool, answer []byte) {
	ip := from.Addr()
	switch {
	case g.peers.allows(ip):
		if g.barredFrom(ip, p) {
			return false, nil
		}
		return g.affords(from, p)
	case g.meant(p):
		return g.affords(from, p)
	}
	method := sniffKnock(p)
	ok, heard := g.stranger(ip, method == sipmsg.REGISTER && g.peers.registrar())
	if !ok && heard && method != "" {
		g.knock(method, from)
	}
	return ok, nil
}

// stranger reports whether a message of somebody nobody knows is to be parsed,
// and whether he is not banned. Only a login has a chance.
func (g *guard) stranger(ip netip.Addr, login bool) (ok, heard bool) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.bans.find(g.bans.key(ip, "")); b != nil && b.until > now {
		g.banned.Add(1)
		return false, false
	}
	n := g.noise.note(g.noise.key(ip, ""), func(n *noise) int64 { return n.seen })
	n.seen = now
	if login {
		if n.logins.allow(now, loginEvery, loginBurst) && g.logins.allow(now, allLoginEvery, allLoginBurst) {
			return true, true
		}
		g.limited.Add(1)
	}
	g.strangers.Add(1)
	g.ignore(ip, n, now)
	return false, true
}

// ignore counts a message that gets no answer. g.mu is held.
func (g *guard) ignore(ip netip.Addr, n *noise, now int64) {
	if now-n.since > int64(g.rules.Per) {
		n.since, n.count = now, 0
	}
	if n.count++; g.rules.Ignored > 0 && n.count >= g.rules.Ignored {
		n.since, n.count = now, 0
		g.ban(ip, "", noisy, g.rules.Ignored, now)
	}
}

// connects reports whether a connection from the address may be taken.
func (g *guard) connects(from netip.AddrPort) bool {
	ip := from.Addr()
	if g.peers.allows(ip) {
		return true
	}
	ok, heard := g.stranger(ip, g.peers.registrar())
	if !ok && heard {
		g.knock("", from)
	}
	return ok
}

// vain counts a connection of a stranger by which nothing came.
func (g *guard) vain(ip netip.Addr) {
	if g.peers.allows(ip) {
		return
	}
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.noise.note(g.noise.key(ip, ""), func(n *noise) int64 { return n.seen })
	n.seen = now
	g.ignore(ip, n, now)
}
