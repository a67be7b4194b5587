package media

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"perezvon/media/sdp"
)

// countingConn takes every packet and keeps none.
type countingConn struct{ writes int }

func (c *countingConn) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) { select {} }
func (c *countingConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	c.writes++
	return len(b), nil
}
func (c *countingConn) Write(b []byte) (int, error)     { c.writes++; return len(b), nil }
func (c *countingConn) Connect(netip.AddrPort) error    { return nil }
func (c *countingConn) Disconnect() error               { return nil }
func (c *countingConn) SetReadDeadline(time.Time) error { return nil }
func (c *countingConn) AddrPort() netip.AddrPort        { return netip.AddrPort{} }
func (c *countingConn) Close() error                    { return nil }

var peerAddr = netip.MustParseAddrPort("192.0.2.1:4000")

func agreed(c Codec) *remote {
	return newRemote(sdp.Stream{
		Codec: c, Payload: c.Payload(), Event: 101, Ptime: sdp.DefaultPtime, RTP: peerAddr,
		Formats: []sdp.Format{{Codec: c, Payload: c.Payload()}},
	})
}

func readySender(c Conn) *sender {
	t := &sender{}
	t.init(c)
	t.agree(agreed(PCMA), true)
	return t
}

// leg is a session without an engine's goroutines.
func leg(c Codec) (*Session, *countingConn) {
	conn := &countingConn{}
	s := &Session{engine: &Engine{epoch: time.Now()}, rtp: conn, digits: make(chan rune, 1)}
	s.tx.init(conn)
	r := agreed(c)
	s.tx.agree(r, true)
	s.remote.Store(r)
	return s, conn
}

// relayed joins two legs and returns a function that relays one packet.
func relayed(tb testing.TB, from, to Codec, rec *Recorder) (step func(), out *countingConn) {
	tb.Helper()
	a, _ := leg(from)
	b, out := leg(to)
	a.engine.Connect(a, b, PathConfig{Record: rec, DTMF: true})
	buf := make([]byte, headerLen+160)
	var seq uint16
	var ts uint32
	now := time.Second
	return func() {
		seq++
		ts += 160
		now += 20 * time.Millisecond
		putHeader(buf, from.Payload(), false, seq, ts, 99)
		a.handleRTP(buf, peerAddr, now)
	}, out
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	rec, err := NewRecorder(t.TempDir() + "/call.wav")
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	for name, tc := range map[string]struct {
		from, to Codec
		rec      *Recorder
	}{"relay": {PCMA, PCMA, nil}, "transcode": {PCMU, PCMA, nil}, "relay and record": {PCMU, PCMU, rec}} {
		step, out := relayed(t, tc.from, tc.to, tc.rec)
		for range 200 { // whatever is made once
			step()
		}
		if n := testing.AllocsPerRun(500, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if out.writes != 701 {
			t.Errorf("%s: %d packets sent", name, out.writes)
		}
	}
	for name, step := range map[string]func(){
		"keys": pressed(t), "strangers": strange(t),
		"AES_CM": encrypted(t, sdp.AESCM, sdp.AESCM), "GCM": encrypted(t, sdp.AESGCM, sdp.AESGCM),
		"encrypted and plain": encrypted(t, sdp.AESCM, 0), "plain and encrypted": encrypted(t, 0, sdp.AESGCM),
	} {
		for range 200 {
			step()
		}
		if n := testing.AllocsPerRun(500, step); n != 0 && !raced { // AES_CM has a pool
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	step := paced(100)
	for range 200 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("pacer: %v allocations in a slot", n)
	}
}

// pressed returns a function that relays one packet of a telephone event, every
// third of which is another key.
func pressed(tb testing.TB) func() {
	tb.Helper()
	a, _ := leg(PCMA)
	b, _ := leg(PCMA)
	a.engine.Connect(a, b, PathConfig{DTMF: true})
	buf := make([]byte, headerLen+eventLen)
	var n uint16
	now := time.Second
	return func() {
		n++
		now += 20 * time.Millisecond
		putHeader(buf, 101, n%3 == 0, n, uint32(n/3)*480, 99)
		buf[headerLen] = byte(n / 3 % 16)
		a.handleRTP(buf, peerAddr, now)
		a.FlushDigits()
	}
}

// encrypted returns a function that relays one packet between legs with the
// given suites, 0 for plain sound.
func encrypted(tb testing.TB, from, to sdp.Suite) func() {
	tb.Helper()
	plain := func(b []byte) []byte { return b }
	a, b, seal := (*Session)(nil), (*Session)(nil), plain
	if a, _ = leg(PCMA); from != 0 {
		a, _, seal, _ = secretLeg(tb, PCMA, from)
	}
	if b, _ = leg(PCMA); to != 0 {
		b, _, _, _ = secretLeg(tb, PCMA, to)
	}
	out := &countingConn{}
	b.tx.conn = out
	a.engine.Connect(a, b, PathConfig{DTMF: true})
	packets := make([][]byte, 1000)
	for i := range packets {
		p := make([]byte, headerLen+160)
		putHeader(p, PCMA.Payload(), false, uint16(i), uint32(i)*160, 99)
		packets[i] = append([]byte(nil), seal(p)...)
	}
	n, buf, now := 0, make([]byte, maxPacket), time.Second
	return func() {
		if n == len(packets) { // from the beginning, as if nothing had been heard
			n, b.tx.source = 0, 0
			if c := a.remote.Load().cipher; c != nil {
				c.in.rtp = &opener{context: context1(tb, c.in.key)}
			}
		}
		now += 20 * time.Millisecond
		in := buf[:copy(buf, packets[n])]
		n++
		before := out.writes
		a.handleRTP(in, peerAddr, now)
		if out.writes != before+1 {
			tb.Fatal("a packet was not relayed")
		}
	}
}

// strange returns a function that takes one packet of somebody who has no part
// in the call.
func strange(tb testing.TB) func() {
	tb.Helper()
	a, _ := leg(PCMA)
	a.engine.log = slog.New(slog.DiscardHandler)
	buf := make([]byte, headerLen+160)
	putHeader(buf, PCMA.Payload(), false, 1, 160, 99)
	now := time.Second
	a.handleRTP(buf, peerAddr, now)
	from := netip.MustParseAddrPort("198.51.100.1:4000")
	return func() {
		now += 20 * time.Millisecond
		putHeader(buf, PCMA.Payload(), false, 2, 320, 7)
		a.handleRTP(buf, from, now)
	}
}

// paced returns a function that runs one millisecond of a pacer.
func paced(players int) func() {
	var now time.Duration
	c := newPacer(func() time.Duration { return now })
	sound := ringbackTone()
	for range players {
		tx := readySender(&countingConn{})
		p := &player{tx: tx, id: 1, clip: sound, repeat: true, done: make(chan struct{})}
		tx.play(p)
		c.add(p)
	}
	buf := make([]byte, 1000)
	return func() {
		now += time.Millisecond
		c.turn(buf)
	}
}

func BenchmarkRelay(b *testing.B) {
	step, _ := relayed(b, PCMA, PCMA, nil)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// BenchmarkRelayEncrypted decrypts each packet and encrypts it with another
// key.
func BenchmarkRelayEncrypted(b *testing.B) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		b.Run(suite.String(), func(b *testing.B) {
			step := encrypted(b, suite, suite)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

func BenchmarkTranscode(b *testing.B) {
	step, _ := relayed(b, PCMU, PCMA, nil)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

func BenchmarkRelayAndRecord(b *testing.B) {
	rec, err := NewRecorder(b.TempDir() + "/call.wav")
	if err != nil {
		b.Fatal(err)
	}
	defer rec.Close()
	step, _ := relayed(b, PCMA, PCMA, rec)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

func BenchmarkKeys(b *testing.B) {
	step := pressed(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// BenchmarkPacerSlot plays to 1000 legs; a slot is a millisecond, in which 50
// of them are due.
func BenchmarkPacerSlot(b *testing.B) {
	step := paced(1000)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
