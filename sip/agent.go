package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Agent is a SIP user agent. Create it with New, run it with Start, and end it
// with Close. Its methods are safe for concurrent use.
type Agent struct {
	cfg       Config
	log       *slog.Logger
	journal   Journal
	peers     *directory
	listeners []*listener
	byKey     map[string]*listener // by what the transport has for their sources
	ways      ways
	streams   *streams
	udpOnly   udpOnly
	tp        *sipmsg.TransportLayer
	tx        *sipmsg.TransactionLayer
	secret    []byte // of keyedTag and, without a password, contactToken
	stun      stun
	inbox     *inbox
	sent      sent
	doorbell  doorbell
	guard     *guard
	calls     calls
	news      newsroom[news]
	phoneNews newsroom[change]

	challenger  *challenger
	turnedAway  doorbell   // what is told of wrong passwords
	registering sync.Mutex // held while bindings change and that is queued to be told

	base   context.Context // ends, with cause ErrClosed, when closing begins
	cancel context.CancelCauseFunc
	dead   chan struct{} // closed when nothing is waited for any more
	fatal  chan error

	mu      sync.Mutex
	started bool           // guarded by mu; Start was called
	reading bool           // guarded by mu; what serving counts has begun
	running bool           // guarded by mu; Start has returned without an error
	closing bool           // guarded by mu
	ended   bool           // guarded by mu; dead is closed
	wg      sync.WaitGroup // everything that runs; Add under mu while not ended
	serving sync.WaitGroup // read loops
	closed  chan struct{}  // closed when Close has finished

	registrations []*registration // guarded by mu
	reloading     sync.Mutex      // held while the configuration is replaced, and when closing begins

	answered     atomic.Int64 // dialogs confirmed since the start
	registered   atomic.Uint64
	unregistered atomic.Uint64
	panics       atomic.Uint64

	astray  atomic.Uint64
	foreign atomic.Uint64
	deaf    atomic.Bool // a listener died
}

// New checks the configuration and builds an agent. It owns cfg.Listen from
// here on, also when it fails. Nothing is read before Start.
func New(cfg Config) (*Agent, error) {
	if len(cfg.Listen) == 0 || cfg.Handle == nil {
		closeAll(&cfg)
		return nil, errors.New("sip: Listen and Handle are required")
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	peers, err := newDirectory(&cfg, secret)
	if err != nil {
		closeAll(&cfg)
		return nil, err
	}
	for _, l := range slices.Concat(cfg.ListenTCP, cfg.ListenTLS) {
		if _, err := netip.ParseAddrPort(l.Addr().String()); err != nil {
			closeAll(&cfg)
			return nil, fmt.Errorf("sip: TCP listener: %w", err)
		}
	}
	if len(cfg.ListenTLS) > 0 && cfg.TLS == nil {
		closeAll(&cfg)
		return nil, errors.New("sip: ListenTLS needs TLS")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger, journal: cfg.Journal, peers: peers,
		dead: make(chan struct{}), fatal: make(chan error, 1), closed: make(chan struct{}),
		secret: secret, inbox: newInbox(),
	}
	a.calls.init()
	a.sent.init()
	a.news.init()
	a.phoneNews.init()
	a.challenger = newChallenger(secret)
	peers.onResolved = a.relearn
	a.guard = newGuard(cfg.Perimeter, peers)
	a.guard.meant, a.guard.knock, a.guard.ours, a.guard.open, a.guard.taken = a.expected, a.ring, a.calls.has, a.calls.going, a.inbox.has
	if a.journal == nil {
		a.journal = noJournal{}
	}
	if cfg.STUN != "" {
		if err := a.stun.use(cfg.STUN); err != nil {
			closeAll(&cfg)
			return nil, err
		}
	}
	a.cfg.UserAgent = plainText(cfg.UserAgent)
	a.base, a.cancel = context.WithCancelCause(context.Background())
	a.byKey = make(map[string]*listener, len(cfg.Listen))
	for _, c := range cfg.Listen {
		l := newListener(c, a.guard.admits)
		if cfg.STUN != "" {
			l.stun = a.stun.take
		}
		a.byKey[l.self.String()] = l
		if cfg.OnMessage != nil {
			l.seen = func(m Message) {
				m.Transport, m.Local = transportUDP, l.local
				a.seen(m)
			}
		}
		l.visitor = func(p []byte, from netip.AddrPort) bool {
			return a.receive(p, from, transportUDP, func(res []byte, to netip.AddrPort) { _, _ = l.write(res, to) })
		}
		a.listeners = append(a.listeners, l)
	}
	quiet := slog.New(newQuietHandler(cfg.Logger.Handler()))
	a.streams = newStreams(a, &cfg)
	a.tp = sipmsg.NewTransportLayer(net.DefaultResolver, sipmsg.NewParser(), nil, sipmsg.WithTransportLayerLogger(quiet),
		sipmsg.WithTransportLayerTransports(sipmsg.TransportsConfig{
			TCP: &sipmsg.TransportTCP{DialerCreate: noDialer},
			TLS: &sipmsg.TransportTLS{TransportTCP: &sipmsg.TransportTCP{DialerCreate: noDialer}},
		}))
	// Before the transaction layer: observe sees every message first, in the
	// order of the wire and in the goroutine that reads.
	a.tp.OnMessage(a.observe)
	a.tx = sipmsg.NewTransactionLayer(a.tp, sipmsg.WithTransactionLayerLogger(quiet),
		sipmsg.WithTransactionLayerUnhandledResponseHandler(func(*sipmsg.Response) {})) // observe has seen it
	a.tx.OnRequest(a.serve)
	return a, nil
}

// closeAll closes what was given to New in vain.
func closeAll(cfg *Config) {
	for _, c := range cfg.Listen {
		_ = c.Close()
	}
	for _, l := range slices.Concat(cfg.ListenTCP, cfg.ListenTLS) {
		_ = l.Close()
	}
}

// noDialer is one that cannot connect: connections are made by streams only.
func noDialer(net.Addr) net.Dialer { return net.Dialer{Deadline: time.Unix(1, 0)} }

// Start begins to read and returns once requests can be sent. Names of trunks
// and phones are looked up in the background. ctx bounds the start only.
func (a *Agent) Start(ctx context.Context) error {
	a.mu.Lock()
	if a.started || a.closing {
		a.mu.Unlock()
		return errors.New("sip: start: already started or closed")
	}
	a.started = true
	a.mu.Unlock()
	restored, err := a.restoreBindings(ctx)
	if err != nil {
		return fmt.Errorf("sip: start: %w", err)
	}
	if err := a.beginReading(); err != nil {
		return err
	}
	a.watchNames(a.peers.endpoints())
	if err := a.awaitListeners(ctx); err != nil {
		return err
	}
	a.watchSTUN()
	a.watchTrunks()
	a.spawn(a.keepGuard)
	a.watchPhones(restored)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = true
	return nil
}

// beginReading starts the loops that read, unless the agent has been closed
// meanwhile.
func (a *Agent) beginReading() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return errStarting
	}
	a.reading = true
	for _, l := range a.listeners {
		a.serving.Go(func() { a.read(l) })
	}
	a.serving.Go(func() { _ = a.tp.ServeTCP(a.streams.feeds[transportTCP]) }) // ends when feed does
	a.serving.Go(func() { _ = a.tp.ServeTLS(a.streams.feeds[transportTLS]) }) // the same; the handshake is done by then
	for _, transport := range []string{transportTCP, transportTLS} {
		for _, l := range a.cfg.streamListeners(transport) {
			a.serving.Go(func() { a.accept(l, transport) })
		}
	}
	return nil
}

// errStarting is what Start says that a Close was faster than.
var errStarting = fmt.Errorf("sip: start: %w", ErrClosed)

// awaitListeners returns once requests can be sent. The library registers a
// listener from inside its read loop; a request sent before that would open a
// socket of its own.
func (a *Agent) awaitListeners(ctx context.Context) error {
	for _, l := range a.listeners {
		for a.tp.Pool("udp").Size() < len(a.listeners) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("sip: start: %w", context.Cause(ctx))
			case <-a.base.Done():
				return errStarting
			case <-time.After(time.Millisecond):
			}
		}
		a.log.Info("sip listens", "addr", l.local)
	}
	for _, transport := range []string{transportTCP, transportTLS} {
		for _, l := range a.cfg.streamListeners(transport) {
			a.log.Info("sip listens", "addr", l.Addr(), "transport", transport)
		}
	}
	return nil
}

// read serves a listener until it is closed. A panic in parsing costs the
// packet, not the process.
func (a *Agent) read(l *listener) {
	for {
		err := a.readOnce(l)
		select {
		case <-a.dead:
			return
		default:
		}
		if err == nil {
			a.fail(fmt.Errorf("sip: listener %s ended", l.local))
			return
		}
		a.panics.Add(1)
		a.log.Error("sip: panic while reading a packet", "addr", l.local, "error", err)
	}
}

func (a *Agent) readOnce(l *listener) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v\n%s", r, debug.Stack())
		}
	}()
	if err := a.tp.ServeUDP(l); err != nil {
		a.log.Error("sip: serve", "addr", l.local, "error", err)
	}
	return nil
}

func (a *Agent) fail(err error) {
	a.deaf.Store(true)
	select {
	case a.fatal <- err:
	default:
	}
}

// Fatal delivers the error of a listener that died. The agent hears nothing
// more then, and the process should end.
func (a *Agent) Fatal() <-chan error { return a.fatal }

// enter counts something that runs, so that Close waits for it. It is false
// when everything has ended; leave must follow if it is true.
func (a *Agent) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	a.wg.Add(1)
	return true
}

func (a *Agent) leave() { a.wg.Done() }

// spawn runs f in a goroutine that Close waits for.
func (a *Agent) spawn(f func()) {
	if !a.enter() {
		return
	}
	go func() {
		defer a.leave()
		defer a.rescue("background", nil)
		f()
	}()
}

// after runs f later, unless stopped or the agent has ended by then.
func (a *Agent) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if !a.enter() {
			return
		}
		defer a.leave()
		defer a.rescue("timer", nil)
		f()
	})
}

// rescue recovers from a panic, logs it and calls then.
func (a *Agent) rescue(what string, then func()) {
	r := recover()
	if r == nil {
		return
	}
	a.panics.Add(1)
	a.log.Error("sip: panic", "in", what, "panic", r, "stack", string(debug.Stack()))
	if then != nil {
		then()
	}
}

func (a *Agent) isClosing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closing
}

// Close refuses new calls, cancels what rings, ends open dialogs with BYE,
// takes registrations back and waits for the answers until ctx ends; then it closes the sockets and waits
// for every goroutine of the agent, Handle included. It is idempotent; later
// calls wait for the first.
func (a *Agent) Close(ctx context.Context) error {
	if !a.beginClosing() {
		<-a.closed
		return nil
	}
	defer close(a.closed)
	a.cancel(ErrClosed)
	err := a.hangUpAll(ctx)
	a.awaitUnregistered(ctx)

	a.mu.Lock()
	a.ended = true
	close(a.dead)
	if !a.reading {
		a.streams.stopFeeding() // nobody takes them
	}
	a.mu.Unlock()
	a.streams.cancel()
	a.tx.Close()
	// Nothing may send any more when the sockets go: the library would open
	// one of its own.
	a.wg.Wait()
	for _, l := range a.listeners {
		if cerr := l.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, fmt.Errorf("sip: close: %w", cerr))
		}
	}
	for _, l := range slices.Concat(a.cfg.ListenTCP, a.cfg.ListenTLS) {
		if cerr := l.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, fmt.Errorf("sip: close: %w", cerr))
		}
	}
	a.streams.close()
	a.serving.Wait()
	// The transport's pool stays filled, see steady; with UDP it holds nothing
	// that needs closing.
	return err
}

// beginClosing is false where somebody else closes the agent. A reload that is
// under way ends first: what it begins is to be ended, too.
func (a *Agent) beginClosing() bool {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return false
	}
	a.closing = true
	return true
}

// hangUpAll ends all dialogs and waits until none is left or ctx ends.
func (a *Agent) hangUpAll(ctx context.Context) error {
	for {
		for _, d := range a.calls.open() {
			a.spawn(func() { _ = d.Bye(ctx) })
		}
		n, changed := a.calls.busy()
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sip: close: %d dialogs not ended: %w", n, context.Cause(ctx))
		case <-changed:
		}
	}
}
