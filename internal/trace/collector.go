package trace

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/sip"
)

const (
	// linger is how long the messages of a call are waited for that come after
	// its end: the last answers, and what is sent again because those got lost.
	linger = 2 * time.Second
	// forgotten is after which silence a call is stored whose end nobody tells.
	// No call lasts as long.
	forgotten = 25 * time.Hour
	sweepEach = time.Hour
	// maxHeld bounds the memory of all calls in progress, bytes. Beyond it no
	// message is kept.
	maxHeld = 64 << 20
)

// Store keeps parts of traces. *sqlite.DB is one.
type Store interface {
	SaveTrace(t store.TracePart) *store.Commit
	Traces(ctx context.Context, callID string) ([]store.TracePart, error)
}

// Config is what a Collector needs.
type Config struct {
	Store Store
	// Facing returns the address of this machine that faces another, for
	// sockets that are bound to all of them; nil: the kernel is asked. No packet
	// is sent.
	Facing func(netip.Addr) netip.Addr
	Logger *slog.Logger
}

// Collector keeps what goes over the wire of calls in progress, and stores it
// when they end. Its methods are safe for concurrent use; those that are told
// of messages never wait.
type Collector struct {
	cfg  Config
	wake chan struct{} // something waits to be stored
	quit chan struct{}
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	closed  bool                       // guarded by mu, as everything below
	calls   map[string]*call           // by our id
	dialogs map[string][]*dialog       // by SIP Call-ID; two where our own call comes back to us
	ports   map[uint16]*dialog         // by our RTP port
	agreed  map[uint16]media.Milestone // by our RTP port: an offer was accepted, and the answer, which tells the port, has not gone yet
	unbound unbound
	held    int // bytes of all calls
	due     []due
	saving  map[string][]part // taken out of calls, not in the store yet
	lastID  int64
}

// due is a call that is to be stored.
type due struct {
	at   time.Time
	call *call
}

// New starts a collector.
func New(cfg Config) *Collector {
	if cfg.Facing == nil {
		cfg.Facing = facing
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Collector{
		cfg: cfg, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		calls: make(map[string]*call), dialogs: make(map[string][]*dialog), ports: make(map[uint16]*dialog),
		agreed: make(map[uint16]media.Milestone),
		saving: make(map[string][]part), unbound: newUnbound(),
	}
	go c.run()
	return c
}

// facing asks the kernel from which address it would send; invalid if there is
// no route.
func facing(to netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// Message is for sip.Config.OnMessage. What belongs to no call is not kept,
// except an INVITE and what follows it until Bind may tell whose it is.
func (c *Collector) Message(m sip.Message) {
	if len(m.CallID) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	dialogs := c.dialogs[string(m.CallID)]
	if len(dialogs) == 0 {
		c.unbound.add(&m)
		return
	}
	e := newEntry(&m)
	for _, d := range dialogs {
		c.keep(d, e)
	}
}

// keep adds an entry to its call. c.mu is held.
func (c *Collector) keep(d *dialog, e entry) {
	if e.sent {
		if port := offeredPort(e.data); port != 0 && !slices.Contains(d.ports, port) {
			c.own(d, port)
		}
	}
	e.dialog = d
	if c.held+len(e.data) > maxHeld {
		d.call.skip(e.at)
		return
	}
	c.held += d.call.add(e)
}

// own makes a port that of a dialog, until the leg's sound ends. c.mu is held.
func (c *Collector) own(d *dialog, port uint16) {
	c.ports[port] = d
	d.ports = append(d.ports, port)
	if m, ok := c.agreed[port]; ok {
		d.mark(m)
		delete(c.agreed, port)
	}
}

// Bind is for sip.Config.OnCall: the messages of a SIP Call-ID belong to a leg
// of a call. Those of it that are known already are the call's, too.
func (c *Collector) Bind(callID string, ref sip.DialogRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || ref.Call == "" {
		return
	}
	all := c.dialogs[callID]
	if i := slices.IndexFunc(all, func(d *dialog) bool { return d.call.id == ref.Call }); i >= 0 {
		if ref.Leg != "" {
			all[i].leg = ref.Leg
		}
		return
	}
	k := c.calls[ref.Call]
	if k == nil {
		k = &call{id: ref.Call}
		c.calls[ref.Call] = k
	}
	k.begin()
	d := &dialog{call: k, id: callID, leg: ref.Leg}
	k.dialogs = append(k.dialogs, d)
	earlier := c.unbound.take(callID)
	for _, other := range all {
		earlier = append(earlier, other.call.of(other)...)
	}
	c.dialogs[callID] = append(all, d)
	for _, e := range earlier {
		c.keep(d, e)
	}
}

// Media is for media.Config.OnMilestone.
func (c *Collector) Media(m media.Milestone) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.ports[m.Port]
	switch {
	case c.closed:
	case m.Kind == media.Closed:
		delete(c.ports, m.Port)
		delete(c.agreed, m.Port)
	case d != nil:
		d.mark(m)
	case m.Kind == media.Agreed:
		c.agreed[m.Port] = m
	}
}

// Rests says that a call waits for another try: what is known of it is stored,
// unless it goes on at once.
func (c *Collector) Rests(callID string) { c.finish(callID, false) }

// Ended says that a call is over: what is known of it is stored soon.
func (c *Collector) Ended(callID string) { c.finish(callID, true) }

func (c *Collector) finish(callID string, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[callID]
	if k == nil || c.closed || k.over || !k.due.IsZero() && !over {
		return
	}
	k.due, k.over = time.Now().Add(linger), over
	c.due = append(c.due, due{k.due, k})
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Trace returns what is known of a call, in progress or not. The error is
// ErrNone, or one of the store.
func (c *Collector) Trace(ctx context.Context, callID string) (Trace, error) {
	// In this order: what is not in memory any more is in the store.
	c.mu.Lock()
	parts := slices.Clone(c.saving[callID])
	if k := c.calls[callID]; k != nil {
		parts = append(parts, c.part(k))
	}
	c.mu.Unlock()
	for i := range parts {
		c.clean(&parts[i], nil)
	}
	stored, err := c.cfg.Store.Traces(ctx, callID)
	if err != nil {
		return Trace{}, fmt.Errorf("trace: %w", err)
	}
	for _, s := range stored {
		p, err := unpack(s.Data)
		if err != nil {
			return Trace{}, fmt.Errorf("trace: %w", err)
		}
		if !slices.ContainsFunc(parts, func(known part) bool { return known.ID == p.ID }) {
			parts = append(parts, p)
		}
	}
	traces := make([]Trace, 0, len(parts))
	for _, p := range parts {
		traces = append(traces, p.Trace)
	}
	all := join(traces)
	if len(all.Messages) == 0 && all.LeftOut == 0 {
		return Trace{}, ErrNone
	}
	return all, nil
}

// Close stores what is known of all calls, waits for that and ends the
// collector. It is idempotent.
func (c *Collector) Close() {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first {
		close(c.quit)
	}
	<-c.done
}

// Held returns how many bytes of messages are in memory, of calls in progress
// and of INVITEs that are no call yet.
func (c *Collector) Held() (calls, unbound int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.unbound.bytes
}
