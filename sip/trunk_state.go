package sip

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// TrunkState is what is known of a trunk at one moment.
//
// A trunk is down while its host has no address, while it has to be registered,
// is not, and at least one try has failed, and after two OPTIONS in a row
// without a response, where 503 and 408 count as none. One that is registered
// and has never answered OPTIONS does not know them, and is up.
type TrunkState struct {
	Name string
	Up   bool
	// Known is false while nobody has asked yet, or nobody ever asks: Up is
	// assumed then.
	Known      bool
	Register   bool // it is one that the agent registers at
	Registered bool
	Expires    time.Time // when the registration ends unless it is refreshed; zero without one
	// Reason says why the trunk is down and what to do about it, in one
	// sentence for people. Empty while it is up.
	Reason string
	Since  time.Time // when Up became what it is; the start of the agent, if it never changed
	// RoundTrip is how long the last OPTIONS took that was answered and was sent
	// once; nil: there was none.
	RoundTrip *time.Duration
	Address   string // host:port that is in use; empty: the host has no address
	Transport string // udp, tcp or tls
	// Rests is until when calls should go through other trunks first: it was
	// silent, could not be reached or answered 503 at every address. Zero: they
	// need not.
	Rests time.Time
	// SeenAt is where it sees us, an address of the Internet with a port if it
	// told that; empty: it has not said so, or is in our own network.
	SeenAt string
	// Outgoing and Incoming are the calls it carries now, MaxCalls how many it may
	// (0: any number), Refused how many were too many for it since the start.
	Outgoing, Incoming, MaxCalls int
	Refused                      uint64
}

// Full reports whether the trunk carries all the calls it may.
func (s *TrunkState) Full() bool { return s.MaxCalls > 0 && s.Outgoing+s.Incoming >= s.MaxCalls }

// condition is what a trunk's state is made of. Whatever learns something
// changes it through Agent.learn.
type condition struct {
	mu        sync.Mutex
	noAddress string         // guarded by mu; why; empty: there is one, or nobody has looked
	bound     time.Time      // guarded by mu; when the registration ends; zero: there is none
	refused   string         // guarded by mu; why the last REGISTER failed; empty: it did not
	misses    int            // guarded by mu; OPTIONS in a row without a response
	unheard   string         // guarded by mu; what is wrong since the last miss
	heard     bool           // guarded by mu; OPTIONS were answered at least once
	roundTrip *time.Duration // guarded by mu; never written to, only replaced
	address   netip.AddrPort // guarded by mu; that answered last
	last      verdict        // guarded by mu
	since     time.Time      // guarded by mu; of last.up
}

// maxMisses is how many OPTIONS in a row without a response make a trunk down.
const maxMisses = 2

// verdict is what follows from a condition.
type verdict struct {
	up, known bool
	reason    string
	nameless  bool // the reason is that the host has no address
}

// judge draws the conclusion. c.mu is held.
func (c *condition) judge(now time.Time, register bool) verdict {
	registered := now.Before(c.bound)
	switch {
	case c.noAddress != "":
		return verdict{known: true, reason: c.noAddress, nameless: true}
	case register && !registered && c.refused != "":
		return verdict{known: true, reason: c.refused}
	case c.misses >= maxMisses && (c.heard || !registered):
		return verdict{known: true, reason: c.unheard}
	}
	return verdict{up: true, known: registered || c.heard}
}

// news is a change that somebody has to be told of.
type news struct {
	state    TrunkState
	changed  bool // of Up; else it is known for the first time
	nameless bool // the host has, or had, no address: the log has that already
}

// newsroom hands news on in order.
type newsroom[T any] struct {
	mu    sync.Mutex
	queue []T           // guarded by mu
	wake  chan struct{} // has a token while the queue may hold something
}

func (n *newsroom[T]) init() { n.wake = make(chan struct{}, 1) }

func (n *newsroom[T]) add(one T) {
	n.mu.Lock()
	n.queue = append(n.queue, one)
	n.mu.Unlock()
	nudge(n.wake)
}

func (n *newsroom[T]) take() []T {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queue
	n.queue = nil
	return q
}

// Trunks returns the state of every trunk, in the order of the configuration.
func (a *Agent) Trunks() []TrunkState {
	all := make([]TrunkState, len(a.peers.trunks()))
	for i, t := range a.peers.trunks() {
		all[i] = t.state(time.Now())
	}
	return all
}

// TrunkState returns the state of one trunk; false if there is none of that
// name.
func (a *Agent) TrunkState(name string) (TrunkState, bool) {
	t := a.peers.trunk(name)
	if t == nil {
		return TrunkState{}, false
	}
	return t.state(time.Now()), true
}

func (t *trunk) state(now time.Time) TrunkState {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	return t.snapshot(now)
}

// snapshot is state while t.health.mu is held.
func (t *trunk) snapshot(now time.Time) TrunkState {
	c := &t.health
	s := TrunkState{
		Name: t.Name, Up: c.last.up, Known: c.last.known, Register: t.Register, Registered: now.Before(c.bound),
		Reason: c.last.reason, Since: c.since, RoundTrip: c.roundTrip, Transport: cmp.Or(t.Transport, "udp"),
	}
	if s.Registered {
		s.Expires = c.bound
	}
	s.MaxCalls, s.Rests = t.MaxCalls, t.hop().resting(now)
	s.Outgoing, s.Incoming, s.Refused = t.load.counts()
	switch seen := t.mirror.seen(); {
	case seen.Port() != 0:
		s.SeenAt = seen.String()
	case seen.IsValid():
		s.SeenAt = seen.Addr().String()
	}
	at := c.address
	if hop := t.hop(); !at.IsValid() {
		if addrs := hop.current(); len(addrs) > 0 {
			at = addrs[0]
		}
	}
	if at.IsValid() {
		s.Address = at.String()
	}
	return s
}

// learn changes what is known of a trunk, and tells of it where the conclusion
// is another one.
func (a *Agent) learn(t *trunk, change func(*condition)) {
	now := time.Now()
	c := &t.health
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	was := c.last
	c.last = c.judge(now, t.Register)
	if was.up != c.last.up {
		c.since = now
	}
	if was.up != c.last.up || c.last.known && !was.known {
		// Under c.mu, or two changes of one trunk could change places.
		a.news.add(news{state: t.snapshot(now), changed: was.up != c.last.up, nameless: was.nameless || c.last.nameless})
	}
}

// relearn looks at the addresses of all trunks again.
func (a *Agent) relearn() {
	for _, t := range a.peers.trunks() {
		a.learn(t, func(c *condition) { c.noAddress = t.nameless() })
		nudge(t.moved)
	}
}

// disturb makes a trunk that registers do so at once.
func (t *trunk) disturb() { nudge(t.disturbed) }

// nudge leaves a token for whoever listens; nil: nobody does.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// nameless says why the trunk has no address, empty if it has or if nobody has
// looked.
func (t *trunk) nameless() string {
	hop := t.hop()
	why := hop.missing()
	if why == nil {
		return ""
	}
	return fmt.Sprintf("host %s has no address (%s); check the name in %s and the DNS server of this machine", hop.host, why, hop.setting)
}

// tellNews tells of trunks that go down and come back, in the log and through
// OnTrunk, until the agent closes.
func (a *Agent) tellNews() {
	for {
		select {
		case <-a.base.Done():
			return
		case <-a.news.wake:
		}
		for _, n := range a.news.take() {
			a.tell(n)
		}
	}
}

func (a *Agent) tell(n news) {
	switch {
	case n.nameless:
	case n.state.Up:
		a.log.Info("sip: trunk is up", "trunk", n.state.Name, "address", n.state.Address, "registered", n.state.Registered)
	default:
		a.log.Warn("sip: trunk is down", "trunk", n.state.Name, "address", n.state.Address, "why", n.state.Reason)
	}
	if n.changed && a.cfg.OnTrunk != nil {
		a.cfg.OnTrunk(n.state)
	}
}
