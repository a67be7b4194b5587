package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/g711"
	"perezvon/media/sdp"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// udpPhone is a party on a socket of the kernel. It sends its tone in real
// time and keeps what it hears.
type udpPhone struct {
	conn  *net.UDPConn
	codec Codec
	mu    sync.Mutex
	pcm   []int16 // guarded by mu
	crypt *crypt  // guarded by mu; nil: plain sound
}

func newUDPPhone(t *testing.T, codec Codec) *udpPhone { return newUDPPhoneAt(t, loopback, codec) }

func newUDPPhoneAt(t *testing.T, ip netip.Addr, codec Codec) *udpPhone {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	p := &udpPhone{conn: conn, codec: codec}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, _, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			p.take(buf[:n])
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		wg.Wait()
	})
	return p
}

func (p *udpPhone) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// take keeps the sound of a packet.
func (p *udpPhone) take(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.crypt; c != nil && c.in != nil {
		out, err := c.in.DecryptRTP(nil, b, nil)
		if err != nil {
			c.strange++
			return
		}
		b = out
	}
	for _, v := range b[headerLen:] {
		p.pcm = append(p.pcm, law(p.codec).Decode(v))
	}
}

func (p *udpPhone) sdp() []byte {
	profile, key := "RTP/AVP", ""
	if p.crypt != nil {
		profile, key = p.crypt.profile, cryptoLine(p.crypt.own)
	}
	return fmt.Appendf(nil, "v=0\r\nc=IN IP4 %v\r\nm=audio %d %s %d\r\n%s", p.addr().Addr(), p.addr().Port(), profile, p.codec.Payload(), key)
}

// encrypt gives the phone a key, before its call.
func (p *udpPhone) encrypt(t *testing.T, suite sdp.Suite) {
	p.crypt = &crypt{profile: "RTP/SAVP", own: sdp.NewCrypto(1, suite)}
	p.crypt.out = context1(t, p.crypt.own)
}

// call opens a session for the phone.
func (p *udpPhone) call(t *testing.T, e *Engine) (*Session, netip.AddrPort) {
	t.Helper()
	s, err := e.Open(context.Background(), SessionConfig{SRTP: Preferred})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.AcceptOffer(p.sdp())
	if err != nil {
		t.Fatal(err)
	}
	d, err := sdp.Parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	stream, err := d.Choose(p.crypt.terms(p.codec))
	if err != nil {
		t.Fatal(err)
	}
	p.crypt.aim(t, stream.Crypto)
	return s, netip.AddrPortFrom(loopback, s.Port())
}

// hum sends n packets of a tone.
func (p *udpPhone) hum(to netip.AddrPort, freq float64, n int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, headerLen+160)
	for i := range n {
		putHeader(buf, p.codec.Payload(), false, uint16(i), uint32(i*160), 7)
		for k, v := range audiotest.ToneAt(freq, 20*time.Millisecond, i*160) {
			buf[headerLen+k] = law(p.codec).Encode(v)
		}
		p.mu.Lock()
		b := buf
		if p.crypt != nil {
			b, _ = p.crypt.out.EncryptRTP(nil, buf, nil)
		}
		p.mu.Unlock()
		_, _ = p.conn.WriteToUDPAddrPort(b, to)
		<-tick.C
	}
}

func (p *udpPhone) heard() []int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pcm)
}

func TestRealSocketsCarryACallAndKeepStrangersOut(t *testing.T) {
	cfg := Config{BindIP: loopback}
	cfg.Ports.First, cfg.Ports.Last = 21000, 29999
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	a, b, x := newUDPPhone(t, PCMA), newUDPPhone(t, PCMU), newUDPPhone(t, PCMA)
	sa, toA := a.call(t, e)
	sb, toB := b.call(t, e)
	if played, err := sa.Play(context.Background(), g711.NewClip(audiotest.Tone(1200, 300*time.Millisecond))); err != nil || played != 300*time.Millisecond {
		t.Errorf("played %v, %v", played, err)
	}
	e.Connect(sa, sb, PathConfig{})
	var wg sync.WaitGroup
	wg.Go(func() { a.hum(toA, 500, 60) })
	wg.Go(func() { b.hum(toB, 800, 60) })
	wg.Go(func() { x.hum(toB, 2000, 60) })
	wg.Wait()
	time.Sleep(50 * time.Millisecond)
	if got := audiotest.Hears(a.heard(), 500, 800, 1200, 2000); got[500] || !got[800] || !got[1200] || got[2000] {
		t.Errorf("a hears %v", got)
	}
	if got := audiotest.Hears(b.heard(), 500, 800, 1200, 2000); !got[500] || got[800] || got[1200] || got[2000] {
		t.Errorf("b hears %v", got)
	}
	if n := len(x.heard()); n != 0 {
		t.Errorf("the stranger was sent %d samples", n)
	}
	// A party that goes away makes the kernel refuse; a party that comes back
	// to the same port is heard again.
	addr := a.addr()
	_ = a.conn.Close()
	b.hum(toB, 800, 10)
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	back := &udpPhone{conn: conn, codec: PCMA}
	before := sa.Stats().PacketsIn
	back.hum(toA, 500, 10)
	if got := sa.Stats().PacketsIn - before; got < 9 {
		t.Errorf("%d packets of ten heard after the port was closed", got)
	}
}

func TestKernelSocketConnectsAndComesBack(t *testing.T) {
	var c Conn
	err := errors.New("no port")
	for port := uint16(31000); err != nil && port < 31100; port++ { // a port of the kernel's choice would not stay
		c, err = listenUDP(context.Background(), netip.AddrPortFrom(loopback, port))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, b := newUDPPhone(t, PCMA), newUDPPhone(t, PCMA)
	read := func() string {
		buf := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	local := c.AddrPort()
	send := func(p *udpPhone, s string) {
		if _, err := p.conn.WriteToUDPAddrPort([]byte(s), local); err != nil {
			t.Error(err)
		}
	}
	if err := c.Connect(a.addr()); err != nil {
		t.Fatal(err)
	}
	send(b, "stranger")
	send(a, "peer")
	if got := read(); got != "peer" {
		t.Errorf("read %q", got)
	}
	if _, err := c.Write(make([]byte, headerLen+8)); err != nil {
		t.Errorf("write: %v", err)
	}
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	if c.AddrPort() != local {
		t.Errorf("the port changed to %v", c.AddrPort())
	}
	send(b, "anyone")
	if got := read(); got != "anyone" {
		t.Errorf("read %q after disconnecting", got)
	}
	if _, err := c.WriteToUDPAddrPort(make([]byte, headerLen+8), b.addr()); err != nil {
		t.Errorf("write to: %v", err)
	}
	time.Sleep(50 * time.Millisecond)
	if len(a.heard()) != 8 || len(b.heard()) != 8 {
		t.Errorf("%d and %d bytes arrived", len(a.heard()), len(b.heard()))
	}
}
