// Package memnet is an in-memory network for tests: of packets, and of
// connections.
//
// Its sockets are backed by channels, so goroutines that wait on them are
// durably blocked in the sense of testing/synctest: a minute of signalling
// with lost and delayed packets runs in a millisecond of real time.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// queueLen is how many packets wait at one socket before further ones are
// dropped, as a full receive buffer drops them.
const queueLen = 4096

// Packet is one datagram on its way.
type Packet struct {
	From, To netip.AddrPort
	Data     []byte
}

// Net is a network of sockets. The zero value is not usable; call New.
type Net struct {
	mu        sync.Mutex
	conns     map[netip.AddrPort]*Conn          // guarded by mu
	filter    func(Packet) Fate                 // guarded by mu
	log       func(Packet)                      // guarded by mu
	nat       map[netip.AddrPort]netip.AddrPort // guarded by mu; outer addresses by inner ones
	ephemeral uint16                            // guarded by mu
	stream    streams
}

// Fate is what the network does with one packet. The zero value delivers it
// at once.
type Fate struct {
	Drop  bool          // never arrives
	Dup   bool          // arrives twice
	Delay time.Duration // arrives this much later
}

// New returns an empty network.
func New() *Net {
	return &Net{
		conns: make(map[netip.AddrPort]*Conn), ephemeral: 49151,
		stream: streams{
			listeners: make(map[netip.AddrPort]*Listener), conns: make(map[*Stream]struct{}), dead: make(map[netip.Addr]bool),
		},
	}
}

// SetFilter decides the fate of every packet sent from now on; nil delivers
// everything. f runs in the sender's goroutine and must not send.
func (n *Net) SetFilter(f func(Packet) Fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filter = f
}

// SetLog shows every packet that is sent, dropped ones too.
func (n *Net) SetLog(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = f
}

// Open returns how many sockets are open: a test that ends with more than it
// began with has leaked a port.
func (n *Net) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// Unplug closes every socket of an address without a word to anybody, as the
// death of a host does. Who is connected to it hears nothing, and who connects
// waits in vain.
func (n *Net) Unplug(ip netip.Addr) {
	n.stream.unplug(ip)
	n.mu.Lock()
	var gone []*Conn
	for addr, c := range n.conns {
		if addr.Addr() == ip {
			gone = append(gone, c)
		}
	}
	n.mu.Unlock()
	for _, c := range gone {
		_ = c.Close() // never fails
	}
}

// Listen opens a socket on addr. Port 0 takes the next ephemeral port. It
// fails with "address already in use" as a real network would.
func (n *Net) Listen(addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		for {
			n.ephemeral++
			if n.ephemeral < 49152 {
				n.ephemeral = 49152
			}
			addr = netip.AddrPortFrom(addr.Addr(), n.ephemeral)
			if _, used := n.conns[addr]; !used {
				break
			}
		}
	}
	if _, used := n.conns[addr]; used {
		return nil, fmt.Errorf("listen udp %s: address already in use", addr)
	}
	c := &Conn{net: n, addr: addr, in: make(chan Packet, queueLen), closed: make(chan struct{})}
	c.deadline.init()
	n.conns[addr] = c
	return c, nil
}

// MustListen is Listen for tests: addr is "ip:port" and a failure panics.
func (n *Net) MustListen(addr string) *Conn {
	c, err := n.Listen(netip.MustParseAddrPort(addr))
	if err != nil {
		panic(err)
	}
	return c
}

// ListenUDP has the shape of a socket factory: the context is not used.
func (n *Net) ListenUDP(_ context.Context, addr netip.AddrPort) (*Conn, error) { return n.Listen(addr) }

// Translate is a NAT before a socket: what it sends out of private networks comes
// from the outer address, and what is sent there reaches it. An invalid outer address takes the
// NAT away.
func (n *Net) Translate(inner, outer netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !outer.IsValid() {
		delete(n.nat, inner)
		return
	}
	if n.nat == nil {
		n.nat = make(map[netip.AddrPort]netip.AddrPort)
	}
	n.nat[inner] = outer
}

// translate writes the addresses of a packet as they are behind the NATs on its
// way.
func (n *Net) translate(p *Packet) {
	if outer, ok := n.nat[p.From]; ok && !p.To.Addr().IsPrivate() {
		p.From = outer
	}
	for inner, outer := range n.nat {
		if p.To == outer {
			p.To = inner
			return
		}
	}
}

func (n *Net) send(p Packet) {
	n.mu.Lock()
	n.translate(&p)
	filter, log := n.filter, n.log
	n.mu.Unlock()
	if log != nil {
		log(p)
	}
	var fate Fate
	if filter != nil {
		fate = filter(p)
	}
	if fate.Drop {
		return
	}
	if fate.Delay > 0 {
		time.AfterFunc(fate.Delay, func() { n.deliver(p) })
	} else {
		n.deliver(p)
	}
	if fate.Dup {
		n.deliver(p)
	}
}

func (n *Net) deliver(p Packet) {
	n.mu.Lock()
	c := n.conns[p.To]
	if c == nil { // a socket on the wildcard address takes what its port gets
		c = n.conns[netip.AddrPortFrom(netip.IPv4Unspecified(), p.To.Port())]
	}
	n.mu.Unlock()
	if c == nil || !c.accepts(p.From) {
		return
	}
	select {
	case c.in <- p:
	default:
	}
}

// Conn is a packet socket. It is a net.PacketConn and has the netip methods
// of *net.UDPConn. All methods are safe for concurrent use.
type Conn struct {
	net      *Net
	addr     netip.AddrPort
	in       chan Packet
	closed   chan struct{}
	once     sync.Once
	deadline deadline

	mu   sync.Mutex
	peer netip.AddrPort // guarded by mu; set by Connect
}

var _ net.PacketConn = (*Conn)(nil)

// Connect fixes the peer: packets of others are dropped from now on, and
// Write sends to it. Packets that were queued before stay queued, as in a
// kernel.
func (c *Conn) Connect(peer netip.AddrPort) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = peer
	return nil
}

// Disconnect lets packets of everyone in again.
func (c *Conn) Disconnect() error { return c.Connect(netip.AddrPort{}) }

func (c *Conn) accepts(from netip.AddrPort) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.peer.IsValid() || c.peer == from
}

// ReadFromUDPAddrPort waits for the next packet.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		select {
		case <-c.closed:
			return 0, netip.AddrPort{}, net.ErrClosed
		default:
		}
		expired, changed := c.deadline.wait()
		select {
		case <-c.closed:
			return 0, netip.AddrPort{}, net.ErrClosed
		case <-expired:
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		case <-changed:
		case p := <-c.in:
			return copy(b, p.Data), p.From, nil
		}
	}
}

// WriteToUDPAddrPort sends b to addr. An address nobody listens on swallows
// it silently.
func (c *Conn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	data := make([]byte, len(b))
	copy(data, b)
	from := c.addr
	if from.Addr().IsUnspecified() {
		from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), from.Port())
	}
	c.net.send(Packet{From: from, To: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), Data: data})
	return len(b), nil
}

// Write sends b to the connected peer.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	peer := c.peer
	c.mu.Unlock()
	if !peer.IsValid() {
		return 0, errors.New("write: socket is not connected")
	}
	return c.WriteToUDPAddrPort(b, peer)
}

// ReadFrom implements net.PacketConn.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo implements net.PacketConn.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		ap, err := netip.ParseAddrPort(addr.String())
		if err != nil {
			return 0, fmt.Errorf("write to %s: %w", addr, err)
		}
		return c.WriteToUDPAddrPort(b, ap)
	}
	return c.WriteToUDPAddrPort(b, udp.AddrPort())
}

// Close ends all reads with net.ErrClosed and frees the address.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.net.mu.Lock()
		delete(c.net.conns, c.addr)
		c.net.mu.Unlock()
		close(c.closed) // last: whoever wakes up sees the address free
	})
	return nil
}

// LocalAddr is a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// AddrPort is the local address.
func (c *Conn) AddrPort() netip.AddrPort { return c.addr }

// SetDeadline sets the read deadline; writes never wait.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline bounds waiting reads; the zero time removes the bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadline.set(t)
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// deadline is one that can be moved while a read or a write waits.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed when the deadline passes
	changed chan struct{} // closed when the deadline moves
}

func (d *deadline) init() {
	d.expired = make(chan struct{})
	d.changed = make(chan struct{})
}

func (d *deadline) wait() (expired, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired, d.changed
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	close(d.changed)
	d.init()
	if t.IsZero() {
		return
	}
	expired := d.expired
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(expired) })
	} else {
		close(expired)
	}
}
