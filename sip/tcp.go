package sip

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	maxStreams     = 1024 // accepted at one time
	maxStreamsPeer = 256  // of one address: an office has as many phones

	// Of those nobody is known at, who may want to register.
	maxStrangeStreams     = 128
	maxStrangeStreamsPeer = 16
	maxUnsent             = 256 // messages that wait for a connection to be made
)

type dialFunc func(ctx context.Context, to netip.AddrPort) (net.Conn, error)

// streams are the connections of an agent, over TCP and TLS.
//
// Reading and writing, limits and who may connect are here; the library parses
// what comes and runs the transactions. Its own TCP transport would send a
// request to whoever connected last where the connection is chosen by our
// address, end with the first failing accept, close a connection over one
// malformed message, and wait for a far side that does not read.
type streams struct {
	a      *Agent
	dial   dialFunc
	feeds  map[string]*feed // by transport
	secure *tls.Config      // of what is accepted over TLS; nil: nothing is
	gone   trunk            // stands for all that are no more, and can prove nothing
	ctx    context.Context  // of dialling and of handshakes
	cancel context.CancelFunc

	garbage, reordered, refused, unshaken, last atomic.Uint64

	// What is told of connections that ended, those they made and ours apart,
	// and of those that did not come about.
	theirEnds, ourEnds, missing, strangled doorbell

	mu       sync.Mutex
	closed   bool               // guarded by mu
	byKey    map[string]*stream // guarded by mu; all whose read loop runs
	live     map[way]*stream    // guarded by mu; where requests go
	dialling map[way]*dialing   // guarded by mu
	accepted map[netip.Addr]int // guarded by mu; those in their handshake, too
	total    int                // guarded by mu; accepted
	places   []*place           // guarded by mu; of those accepted, the oldest first
	wg       sync.WaitGroup     // of goroutines; Add under mu while not closed
}

// dialing is a connection that is being made.
type dialing struct {
	done   chan struct{}
	s      *stream  // valid once done
	err    error    // valid once done
	unsent [][]byte // guarded by streams.mu; to be sent on it
}

func newStreams(a *Agent, cfg *Config) *streams {
	s := &streams{
		a: a, dial: cfg.DialTCP, byKey: make(map[string]*stream), live: make(map[way]*stream),
		dialling: make(map[way]*dialing), accepted: make(map[netip.Addr]int),
		feeds: map[string]*feed{transportTCP: newFeed(), transportTLS: newFeed()}, secure: serverTLS(cfg.TLS),
	}
	if s.dial == nil {
		s.dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp4", to.String())
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// add makes a stream of a connection and hands it to the transport. made is how
// it came about, nil for one that was accepted, which has a place. It is nil
// where the agent is closed; the connection is closed then.
func (r *streams) add(conn net.Conn, w way, made *dialing, p *place) *stream {
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	now := time.Now()
	s := &stream{
		a: r.a, conn: conn, raw: conn, way: w, local: local, remote: w.to, dialled: made != nil, place: p,
		order: newOrderly(), parser: sipmsg.NewParser().NewSIPStream(), buf: make([]byte, streamRead),
		done: make(chan struct{}), wake: make(chan struct{}, 1), born: now, heard: now, known: now,
		waiting: make(map[*sipmsg.ClientTx]struct{}),
	}
	if secured, ok := conn.(*tls.Conn); ok {
		s.raw = secured.NetConn()
	}
	number := r.last.Add(1)
	s.key, s.laddr = "stream-"+strconv.FormatUint(number, 10), unheardOf(number)
	// Before anybody can send by it: what the transport does not find it makes.
	pool := r.a.tp.Pool(w.transport)
	pool.Add(s.laddr.String(), &forward{s})
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		pool.Delete(s.laddr.String())
		_ = s.raw.Close() // nobody has seen it
		return nil
	}
	r.byKey[s.key] = s
	if p != nil {
		p.s, s.known = s, p.since
	}
	if old := r.live[w]; old == nil || s.dialled {
		r.live[w] = s
	}
	if made != nil { // in one step: whoever comes now finds the one or the other
		delete(r.dialling, w)
		for _, data := range made.unsent {
			_ = s.send(data) // nobody has ended it yet
		}
	}
	if r.a.guard.shuns(w.to.Addr()) { // since it was taken: shut has not seen it
		s.end(errBanned)
	}
	r.wg.Go(s.write)
	r.wg.Add(1) // for the read loop, until intake.Close
	r.mu.Unlock()
	in := &intake{s: s}
	if !r.feeds[w.transport].put(in) {
		_ = in.Close() // never fails
	}
	return s
}

// unheardOf is an address that belongs to nobody and is never sent to: unique
// local, RFC 4193. The transport finds a stream by it.
func unheardOf(n uint64) sipmsg.Addr {
	ip := make(net.IP, 16)
	ip[0] = 0xfd
	binary.BigEndian.PutUint64(ip[8:], n)
	return sipmsg.Addr{IP: ip, Port: 1}
}

// finish forgets a stream whose read loop has ended.
func (r *streams) finish(s *stream) {
	defer r.wg.Done()
	r.mu.Lock()
	delete(r.byKey, s.key)
	r.retire(s)
	r.mu.Unlock()
	if s.place != nil {
		r.unreserve(s.place)
	}
	r.a.tp.Pool(s.way.transport).Delete(s.laddr.String())
	s.finish()
	// A request that was read last is about to look for its way back.
	r.a.after(txTimeout, func() { r.forgetBack(s) })
}

// leave lets no further request go by a stream.
func (r *streams) leave(s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retire(s)
}

// retire is leave while r.mu is held.
func (r *streams) retire(s *stream) {
	if r.live[s.way] == s {
		delete(r.live, s.way)
	}
}

// came returns the stream that a message was read from, and gives the message
// its true source.
func (r *streams) came(m sipmsg.Message) *stream {
	r.mu.Lock()
	s := r.byKey[m.Source()]
	r.mu.Unlock()
	if s != nil {
		m.SetSource(s.remote.String())
	}
	return s
}

// keepBack has responses to a request find the stream that it came by.
func (r *streams) keepBack(s *stream) {
	pool, key := r.a.tp.Pool(s.way.transport), s.remote.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := pool.Get(key).(*back); !ok || b.s != s {
		pool.Add(key, &back{s})
	}
}

func (r *streams) forgetBack(s *stream) {
	pool, key := r.a.tp.Pool(s.way.transport), s.remote.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := pool.Get(key).(*back); ok && b.s == s {
		pool.Delete(key)
	}
}

// get returns the connection to an address, making one if there is none. ctx
// bounds that, and without a deadline of its own it is bounded anyway.
func (r *streams) get(ctx context.Context, to way) (s *stream, reused bool, err error) {
	limit := defaultSilence
	if until, ok := ctx.Deadline(); ok {
		limit = time.Until(until)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		r.mu.Lock()
		if s := r.find(to); s != nil && s.ended() == nil {
			r.mu.Unlock()
			return s, true, nil
		}
		joined := r.dialling[to] != nil
		d, err := r.connect(to, limit)
		r.mu.Unlock()
		if err != nil {
			return nil, false, err
		}
		select {
		case <-d.done:
			if joined && errors.Is(d.err, errNoConnection) {
				continue // its time was up, ours may not be
			}
			return d.s, false, d.err
		case <-ctx.Done():
			return nil, false, fmt.Errorf("connect to %s: %w", to.to, errors.Join(errNoConnection, context.Cause(ctx)))
		}
	}
}

// connect joins the making of a connection, or begins it. r.mu is held.
func (r *streams) connect(to way, limit time.Duration) (*dialing, error) {
	if d := r.dialling[to]; d != nil {
		return d, nil
	}
	if r.closed {
		return nil, ErrClosed
	}
	d := &dialing{done: make(chan struct{})}
	r.dialling[to] = d
	r.wg.Go(func() { r.make(d, to, limit) })
	return d, nil
}

func (r *streams) make(d *dialing, to way, limit time.Duration) {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	conn, err := r.dial(ctx, to.to)
	if err == nil && to.transport == transportTLS {
		conn, err = r.shakeHands(ctx, conn, to.trunk)
	}
	switch {
	case err == nil:
		if d.s = r.add(conn, to, d, nil); d.s == nil {
			d.err = ErrClosed
		}
	case ctx.Err() != nil && r.ctx.Err() == nil:
		d.err = fmt.Errorf("connect to %s: %w", to.to, errors.Join(errNoConnection, context.DeadlineExceeded))
	default:
		d.err = fmt.Errorf("connect to %s: %w", to.to, err)
	}
	if d.err != nil {
		r.mu.Lock()
		delete(r.dialling, to)
		unsent := len(d.unsent)
		r.mu.Unlock()
		if unsent > 0 {
			if suppressed, tell := r.missing.press(to.to.Addr(), time.Now()); tell {
				r.a.log.Info("sip: messages not sent, no connection", "to", to.to, "transport", to.transport, "messages", unsent, "why", innermost(d.err), "suppressed", suppressed)
			}
		}
	}
	close(d.done)
}

var errNoConnection = errors.New("the connection did not come about")

// post sends bytes to an address by the connection there is, or by one that is
// made in the background. It does not wait.
func (r *streams) post(to way, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.find(to); s != nil && s.send(data) == nil {
		return nil
	}
	d, err := r.connect(to, defaultSilence)
	if err != nil {
		return err
	}
	if len(d.unsent) == maxUnsent {
		return fmt.Errorf("send to %s: %w", to.to, errNoConnection)
	}
	d.unsent = append(d.unsent, data)
	return nil
}

// suspect lets further requests go by a new connection where nothing has come
// by that of a transaction that got no answer: the far side may have forgotten
// it. What the old one still carries goes on.
func (r *streams) suspect(tx *sipmsg.ClientTx, since time.Time) {
	f, ok := tx.Connection().(*forward)
	if !ok { // over UDP
		return
	}
	f.s.mu.Lock()
	silent := !f.s.heard.After(since)
	f.s.mu.Unlock()
	if silent {
		r.leave(f.s)
	}
}

// close ends all connections when what is queued is written, and waits for
// every goroutine.
func (r *streams) close() {
	r.mu.Lock()
	r.closed = true
	all := make([]*stream, 0, len(r.byKey))
	for _, s := range r.byKey {
		all = append(all, s)
	}
	r.mu.Unlock()
	r.cancel()
	for _, s := range all {
		s.drain()
	}
	r.wg.Wait()
	r.stopFeeding()
}

// stopFeeding has the transport take no further connection.
func (r *streams) stopFeeding() {
	for _, f := range r.feeds {
		f.close()
	}
}

// open is how many connections there are.
func (r *streams) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byKey)
}

// alive reports whether there is a connection from or to an address of a phone.
func (r *streams) alive(transport string, to netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.live[way{transport: transport, to: to}]
	return s != nil && s.ended() == nil
}
