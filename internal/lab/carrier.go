package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Timers of RFC 3261 section 17.
const (
	t1        = 500 * time.Millisecond
	t2        = 4 * time.Second
	giveUp    = 64 * t1
	maxLadder = 20000 // lines kept for reading
)

// Config says where a carrier is.
type Config struct {
	Signal netip.AddrPort // where it listens for SIP; port 0 takes a free one
	// Transport is UDP, TCP or TLS; empty: UDP.
	Transport string
	// TLS is what it speaks with who connects and with whom it connects to:
	// needed over TLS. Without a ServerName it expects the address that it
	// connects to in the certificate.
	TLS      *tls.Config
	Segments Segments     // how it cuts what it sends over TCP or TLS
	MediaIP  netip.Addr   // where sound is; invalid: the address of Signal
	Network  Network      // zero: Loopback
	Auth     *Credentials // asked for before a call is taken; nil: nobody is asked
	Logger   *slog.Logger // nil: nothing is logged
}

// Carrier is a telephone network with people in it, or one phone: whoever
// answers at a signalling address. All methods are safe for concurrent use.
type Carrier struct {
	cfg   Config
	conn  net.PacketConn // nil over TCP and TLS
	lines *lines         // nil over UDP
	addr  netip.AddrPort

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool                  // guarded by mu
	numbers map[string]Script     // guarded by mu
	turns   map[string][]Script   // guarded by mu; see Turns
	nonces  map[string]bool       // guarded by mu
	parties []*Party              // guarded by mu; in order of appearance
	server  map[string]*serverTx  // guarded by mu; by branch, sent-by and method
	client  map[string]*clientTx  // guarded by mu; by branch
	changed chan struct{}         // guarded by mu; closed and renewed at every change
	tries   map[string]*challenge // guarded by mu; by Call-ID: calls that were asked for a password
	secrets map[string]string     // guarded by mu; by key of a=crypto: the call that had it
	options int                   // guarded by mu; what OPTIONS get, 0: nothing
	regs    *Registrar            // guarded by mu; nil: REGISTER gets 405

	notes notes
}

// NewCarrier listens on cfg.Signal until Close. The context bounds only the
// opening of the socket.
func NewCarrier(ctx context.Context, cfg Config) (*Carrier, error) {
	if cfg.Network.Listen == nil {
		cfg.Network = Loopback()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if !cfg.MediaIP.IsValid() {
		cfg.MediaIP = cfg.Signal.Addr()
	}
	c := &Carrier{
		cfg:     cfg,
		numbers: make(map[string]Script), nonces: make(map[string]bool), tries: make(map[string]*challenge),
		server: make(map[string]*serverTx), client: make(map[string]*clientTx), changed: make(chan struct{}), options: 200,
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := c.listen(ctx); err != nil {
		c.cancel()
		return nil, fmt.Errorf("lab: listen on %s: %w", cfg.Signal, err)
	}
	return c, nil
}

func (c *Carrier) listen(ctx context.Context) error {
	if c.cfg.Transport == TCP || c.cfg.Transport == TLS {
		if err := c.listenTCP(ctx); err != nil {
			return err
		}
		c.wg.Go(c.lines.accept)
		return nil
	}
	conn, err := c.cfg.Network.Listen(ctx, c.cfg.Signal)
	if err != nil {
		return err
	}
	c.conn, c.addr = conn, addrPort(conn.LocalAddr())
	c.wg.Go(c.read)
	return nil
}

// Close ends everything at once, without a word to the other side, and waits
// until it has ended. Calls that were up then still count as dialogs.
func (c *Carrier) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	parties := slices.Clone(c.parties)
	c.mu.Unlock()
	c.cancel()
	var err error
	switch {
	case first && c.lines != nil:
		err = c.lines.close()
	case first:
		err = c.conn.Close()
	}
	c.wg.Wait()
	for _, p := range parties {
		p.audio.wait()
	}
	return err
}

// Addr is where the carrier listens for SIP.
func (c *Carrier) Addr() netip.AddrPort { return c.addr }

// Number says what happens when number is dialled: the user part of the
// Request-URI, a leading plus sign does not matter. The number "*" stands for
// all that have no script of their own. Numbers without any are answered 404.
func (c *Carrier) Number(number string, s Script) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers[plain(number)] = s
	delete(c.turns, plain(number))
}

func plain(number string) string { return strings.TrimPrefix(number, "+") }

// script is the script of a number. mu is held.
func (c *Carrier) script(number string) (Script, bool) {
	if s, ok := c.turn(number); ok {
		return s, true
	}
	s, ok := c.numbers[plain(number)]
	if !ok {
		s, ok = c.numbers["*"]
	}
	return s, ok
}

// Parties are all calls that there were, in order of their beginning.
func (c *Carrier) Parties() []*Party {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.parties)
}

// Calls are those of Parties that reached number.
func (c *Carrier) Calls(number string) []*Party {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls(number)
}

func (c *Carrier) calls(number string) []*Party {
	return slices.DeleteFunc(slices.Clone(c.parties), func(p *Party) bool { return plain(p.number) != plain(number) })
}

// Wait waits until number has been called n times (1 is the first) and
// returns the n-th call.
func (c *Carrier) Wait(ctx context.Context, number string, n int) (*Party, error) {
	var found *Party
	err := c.until(ctx, func() bool {
		if calls := c.calls(number); len(calls) >= n {
			found = calls[n-1]
		}
		return found != nil
	})
	if err != nil {
		return nil, fmt.Errorf("lab: wait for call %d of %s: %w", n, number, err)
	}
	return found, nil
}

// Settled waits until no call rings, no dialog is up and every final answer
// has had its ACK or has been given up.
func (c *Carrier) Settled(ctx context.Context) error {
	err := c.until(ctx, func() bool {
		for _, p := range c.parties {
			if p.stage != over || p.openForks() > 0 {
				return false
			}
		}
		for _, tx := range c.server {
			if tx.waiting > 0 {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("lab: settle: %w", err)
	}
	return nil
}

// until waits for a condition that depends on state under mu, which is held
// while ready runs.
func (c *Carrier) until(ctx context.Context, ready func() bool) error {
	for {
		c.mu.Lock()
		ok, changed := ready(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return errClosed
		}
	}
}

var errClosed = errors.New("the carrier is closed")

// touch wakes everybody who waits for a change. mu is held.
func (c *Carrier) touch() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Dialogs is how many dialogs are up at this side, losing forks included. A
// test that is over expects none.
func (c *Carrier) Dialogs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.parties {
		n += p.openForks()
		if p.stage == confirmed {
			n++
		}
	}
	return n
}

// RingingNow is how many calls have begun and are neither answered nor over.
// Who has not even sent 100 does not ring.
func (c *Carrier) RingingNow() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.parties {
		if p.stage == early && (p.tx == nil || p.tx.status > 0) {
			n++
		}
	}
	return n
}

// spawn runs f in a goroutine that Close waits for. mu is held. After Close
// nothing runs any more.
func (c *Carrier) spawn(f func()) {
	if !c.closed {
		c.wg.Go(f)
	}
}

// read takes the datagrams off the socket, one after another.
func (c *Carrier) read() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= 4 { // ICMP errors and keep-alives
			continue
		}
		c.take(buf[:n], addrPort(from))
	}
}

func (c *Carrier) take(data []byte, from netip.AddrPort) {
	m, err := parseMessage(data)
	if err != nil {
		c.notes.blame("%s sent what is not SIP: %v", from, err)
		return
	}
	c.notes.see("<-", from, m)
	c.cfg.Logger.Debug("sip in", "from", from, "start", m.start(), "call_id", m.callID())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if m.Method == "" {
		c.takeResponse(m)
	} else {
		c.takeRequest(m, from)
	}
	c.touch()
}

// send writes one message, with mu held: what an in-memory network calls on
// its way must not call the carrier. What becomes of it is not our affair.
func (c *Carrier) send(to netip.AddrPort, m *Message) []byte {
	raw := m.bytes()
	c.notes.see("->", to, m)
	if c.lines != nil && m.Method == "" {
		c.lines.send(to, parseHostPort(sentBy(m.All("Via")[0])), raw)
		return raw
	}
	c.resend(to, raw)
	return raw
}

func (c *Carrier) resend(to netip.AddrPort, raw []byte) {
	if c.lines != nil {
		c.lines.send(to, netip.AddrPort{}, raw)
		return
	}
	_, _ = c.conn.WriteTo(raw, net.UDPAddrFromAddrPort(to))
}
