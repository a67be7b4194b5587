package sip

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ban is an address that nothing is taken from, or an extension that may not
// log in from an address.
type Ban struct {
	Address netip.Addr
	// Extension is set where others at the address are known: it alone is
	// banned there. Empty: the address as a whole is.
	Extension string
	Reason    string // in one clause for people
	Times     int    // how many times in a row; 1: the first
	Since     time.Time
	Until     time.Time
	// Over is set where OnBan is told of the end of a ban; Reason says then
	// how it ended.
	Over bool
	// Others counts the bans since the last one that OnBan was told of that it
	// was not told of, because there were too many.
	Others uint64
}

// why is what a ban is for.
type why int

const (
	guessing why = iota // wrong passwords
	noisy               // messages that got no answer
)

// ban is what is remembered of one, also for a while after its end.
type ban struct {
	ip           netip.Addr
	user         string
	why          why
	count        int   // of what it is for
	times        int   // in a row
	since, until int64 // 0: it is over and was told
	told         bool  // its beginning was
	over         bool
}

// guesses counts wrong passwords of an address, or of a user at an address.
type guesses struct {
	ip          netip.Addr
	seen, since int64
	count       int
}

// maxGuess is how much of a user's name is remembered.
const maxGuess = 64

// strict is how many times as many failures of an address that may not be
// banned, or at an extension from everywhere, make every further one count as
// if it were enough.
const strict = 5

// failed counts a wrong answer to a challenge. user is the extension that was
// tried.
func (g *guard) failed(from netip.Addr, user string) {
	g.failures.Add(1)
	from = from.Unmap()
	if g.peers.isTrunk(from) {
		return
	}
	if len(user) > maxGuess {
		user = user[:maxGuess]
	}
	shared, now := g.peers.allows(from), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.miss(from, "", now)
	one, everywhere := all, 0
	if user != "" {
		one, everywhere = g.miss(from, user, now), g.miss(netip.Addr{}, user, now)
	}
	limit := g.rules.Failures
	if everywhere > strict*limit || shared && all > strict*limit {
		limit = 1
	}
	switch {
	case shared && one >= limit && user != "":
		g.ban(from, user, guessing, one, now)
	case !shared && max(one, all) >= limit:
		g.ban(from, "", guessing, max(one, all), now)
	}
}

// miss counts and returns the failures within rules.Per. g.mu is held.
func (g *guard) miss(ip netip.Addr, user string, now int64) int {
	w := g.wrong.note(g.wrong.key(ip, user), func(w *guesses) int64 { return w.seen })
	if now-w.since > int64(g.rules.Per) {
		w.since, w.count = now, 0
	}
	w.ip, w.seen = ip, now
	w.count++
	return w.count
}

// passed forgets what an extension, and an address where nobody was known,
// did wrong before the right password came.
func (g *guard) passed(from netip.Addr, user string) {
	from = from.Unmap()
	if len(user) > maxGuess {
		user = user[:maxGuess]
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range []string{user, ""} {
		if w := g.wrong.find(g.wrong.key(from, u)); w != nil {
			w.count = 0
		}
	}
	if n := g.noise.find(g.noise.key(from, "")); n != nil {
		n.count = 0
	}
}

// barred reports whether the extension may not log in from the address.
func (g *guard) barred(from netip.Addr, user string) bool {
	if len(user) > maxGuess {
		user = user[:maxGuess]
	}
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.bans.find(g.bans.key(from.Unmap(), user))
	return b != nil && b.until > now
}

// shuns reports whether an address is banned as a whole.
func (g *guard) shuns(ip netip.Addr) bool { return !g.peers.allows(ip) && g.barred(ip, "") }

// barredFrom reports whether a message of an address where somebody is known
// carries credentials of an extension that is banned there.
func (g *guard) barredFrom(ip netip.Addr, p []byte) (yes bool) {
	credentials(p, func(user string) bool {
		yes = g.barred(ip, user) && !g.peers.isTrunk(ip)
		return !yes
	})
	if yes {
		g.banned.Add(1)
	}
	return yes
}

// ban begins a ban, or does nothing where there is one. g.mu is held.
func (g *guard) ban(ip netip.Addr, user string, reason why, count int, now int64) {
	key, worth := g.bans.key(ip, user), func(b *ban) int64 { return b.worth(now) }
	if s := g.bans.place(key, worth); s.taken && s.key != key && !s.value.over {
		g.end(&s.value, "it made room for others")
	}
	b := g.bans.note(key, worth)
	if b.until > now {
		return
	}
	if b.times > 0 && now-b.until > int64(g.rules.MaxBan) {
		b.times = 0
	}
	b.times++
	lasts := g.rules.Ban
	for range b.times - 1 {
		if lasts = min(2*lasts, g.rules.MaxBan); lasts == g.rules.MaxBan {
			break
		}
	}
	b.ip, b.user, b.why, b.count, b.since, b.until, b.over = ip, strings.Clone(user), reason, count, now, now+int64(lasts), false
	b.told = g.tell(g.show(b))
	g.begun.Add(1)
}

// worth is higher for bans that are in force, and among these for wrong
// passwords: a sender of mere noise may have forged his address.
func (b *ban) worth(now int64) int64 {
	w := b.until
	if b.until > now {
		w += int64(100 * 365 * 24 * time.Hour)
		if b.why == guessing {
			w += int64(100 * 365 * 24 * time.Hour)
		}
	}
	return w
}

// show describes a ban. g.mu is held.
func (g *guard) show(b *ban) Ban {
	out := Ban{
		Address: b.ip, Extension: b.user, Times: b.times,
		Since: g.start.Add(time.Duration(b.since)), Until: g.start.Add(time.Duration(b.until)),
	}
	switch {
	case b.why == noisy:
		out.Reason = fmt.Sprintf("%d messages within %s that got no answer", b.count, span(g.rules.Per))
	case b.user != "":
		out.Reason = fmt.Sprintf("%s within %s for extension %s", plural(b.count, "wrong password"), span(g.rules.Per), strconv.Quote(b.user))
	default:
		out.Reason = fmt.Sprintf("%s within %s", plural(b.count, "wrong password"), span(g.rules.Per))
	}
	return out
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Bans returns who is banned now, the latest first.
func (a *Agent) Bans() []Ban {
	g := a.guard
	now := g.now()
	var all []Ban
	g.mu.Lock()
	g.bans.each(func(b *ban) {
		if b.until > now {
			all = append(all, g.show(b))
		}
	})
	g.mu.Unlock()
	all = slices.DeleteFunc(all, func(b Ban) bool { return g.peers.isTrunk(b.Address) })
	slices.SortFunc(all, func(x, y Ban) int {
		return cmp.Or(y.Since.Compare(x.Since), x.Address.Compare(y.Address), cmp.Compare(x.Extension, y.Extension))
	})
	return all
}

// inForce is how many bans there are.
func (g *guard) inForce() (n int) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bans.each(func(b *ban) {
		if b.until > now {
			n++
		}
	})
	return n
}

// Unban lifts every ban of an address, those of extensions there too, and
// forgets what led to them. It reports whether there was one.
func (a *Agent) Unban(from netip.Addr) bool {
	g, from := a.guard, from.Unmap()
	now, found := g.now(), false
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bans.forget(func(b *ban) bool {
		if b.ip != from {
			return false
		}
		if b.until > now {
			found = true
			g.end(b, "lifted by hand")
		}
		return true
	})
	g.wrong.forget(func(w *guesses) bool { return w.ip == from })
	if n := g.noise.find(g.noise.key(from, "")); n != nil {
		n.count = 0
	}
	return found
}

// end tells that a ban is over. g.mu is held.
func (g *guard) end(b *ban, how string) {
	b.over = true
	if !b.told {
		return // nor was its beginning
	}
	one := g.show(b)
	one.Over, one.Reason = true, how
	g.tell(one)
}
