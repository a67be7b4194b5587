package media

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"perezvon/internal/audiotest"
	"perezvon/internal/memnet"
	"perezvon/media/g711"
	"perezvon/media/sdp"
)

// world is a network with an engine on it.
type world struct {
	t      *testing.T
	net    *memnet.Net
	e      *Engine
	phones []*phone
}

var engineIP = netip.MustParseAddr("203.0.113.5")

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, net: memnet.New()}
	cfg := Config{BindIP: engineIP, Listen: func(_ context.Context, a netip.AddrPort) (Conn, error) { return w.net.Listen(a) }}
	cfg.Ports.First, cfg.Ports.Last = 20000, 20039
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.e = e
	return w
}

// close ends everything and checks that nothing is left behind.
func (w *world) close() {
	w.t.Helper()
	for _, p := range w.phones {
		p.close()
	}
	if err := w.e.Close(); err != nil {
		w.t.Error(err)
	}
	if n, _ := w.e.Ports(); n != 0 {
		w.t.Errorf("%d port pairs left", n)
	}
	if n := w.net.Open(); n != 0 {
		w.t.Errorf("%d sockets left", n)
	}
}

// inWorld runs f in virtual time; every phone made in it is closed after.
func inWorld(t *testing.T, f func(t *testing.T, w *world), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change...)
		defer w.close()
		f(t, w)
	})
}

func (w *world) open(cfg SessionConfig) *Session {
	w.t.Helper()
	s, err := w.e.Open(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// phone is the far end of a leg: it sends a tone and keeps what it hears.
type phone struct {
	t       *testing.T
	conn    *memnet.Conn
	codec   Codec
	payload uint8
	event   uint8
	ptime   time.Duration
	stop    chan struct{}
	once    sync.Once // closes stop
	wg      sync.WaitGroup

	mu      sync.Mutex
	crypt   *crypt         // guarded by mu; nil: plain sound
	dest    netip.AddrPort // guarded by mu
	silent  bool           // guarded by mu
	packets []rtp.Packet   // guarded by mu
	at      []time.Time    // guarded by mu
	ssrc    uint32         // guarded by mu
	seq     uint16         // guarded by mu
	ts      uint32         // guarded by mu
}

func (w *world) phone(addr string, codec Codec) *phone {
	p := &phone{
		t: w.t, conn: w.net.MustListen(addr), codec: codec, payload: codec.Payload(), event: 101,
		ptime: 20 * time.Millisecond, stop: make(chan struct{}),
		ssrc: random32(), seq: uint16(random32()), ts: random32(),
	}
	p.wg.Go(p.listen)
	w.phones = append(w.phones, p)
	return p
}

// pair is two phones, each with a session of its own: the first has called, the
// second has answered.
func (w *world) pair(ca, cb Codec) (a, b *phone, sa, sb *Session) {
	w.t.Helper()
	a, b = w.phone("192.0.2.1:4000", ca), w.phone("192.0.2.2:5000", cb)
	sa, sb = w.open(SessionConfig{}), w.open(SessionConfig{})
	a.call(sa)
	b.answer(sb)
	return a, b, sa, sb
}

// close ends the phone, which happens by itself at the end of its world.
func (p *phone) close() {
	p.once.Do(func() { close(p.stop) })
	_ = p.conn.Close()
	p.wg.Wait()
}

func (p *phone) listen() {
	buf := make([]byte, 2000)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		raw, ok := p.open(slices.Clone(buf[:n]))
		if !ok {
			continue
		}
		var pkt rtp.Packet
		if err := pkt.Unmarshal(raw); err != nil {
			p.t.Errorf("%v: not RTP: %v", p.conn.AddrPort(), err)
			continue
		}
		p.mu.Lock()
		p.packets = append(p.packets, pkt)
		p.at = append(p.at, time.Now())
		p.mu.Unlock()
	}
}

// sdp is a description of the phone; lines are added to the audio stream.
func (p *phone) sdp(lines ...string) []byte { return p.sdpAt(p.conn.AddrPort(), lines...) }

func (p *phone) sdpAt(addr netip.AddrPort, lines ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- 1 1 IN IP4 %[1]v\r\ns=-\r\nc=IN IP4 %[1]v\r\nt=0 0\r\n", addr.Addr())
	formats := fmt.Sprint(p.payload)
	if p.event != 0 {
		formats += fmt.Sprintf(" %d", p.event)
	}
	profile, key := p.encryption()
	fmt.Fprintf(&b, "m=audio %d %s %s\r\na=rtpmap:%d %v/8000\r\n%s", addr.Port(), profile, formats, p.payload, p.codec, key)
	if p.event != 0 {
		fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/8000\r\n", p.event)
	}
	fmt.Fprintf(&b, "a=ptime:%d\r\n", p.ptime.Milliseconds())
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	return []byte(b.String())
}

// call gives the session an offer to answer.
func (p *phone) call(s *Session, lines ...string) {
	p.t.Helper()
	answer, err := s.AcceptOffer(p.sdp(lines...))
	if err != nil {
		p.t.Fatal(err)
	}
	p.aim(answer)
}

// answer takes an offer of the session's.
func (p *phone) answer(s *Session, lines ...string) {
	p.t.Helper()
	offer, err := s.CreateOffer()
	if err != nil {
		p.t.Fatal(err)
	}
	p.aim(offer)
	if err := s.AcceptAnswer(p.sdp(lines...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) aim(body []byte) {
	p.t.Helper()
	d, err := sdp.Parse(body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := d.Choose(p.crypt.terms(p.codec))
	if err != nil {
		p.t.Fatalf("%v\n%s", err, body)
	}
	p.dest = s.RTP
	p.crypt.aim(p.t, s.Crypto)
}

func (p *phone) law() g711.Law { return law(p.codec) }

// hum sends a tone until the phone is closed.
func (p *phone) hum(freq float64) {
	tone := audiotest.Tone(freq, time.Second)
	p.wg.Go(func() {
		tick := time.NewTicker(p.ptime)
		defer tick.Stop()
		for i := 0; ; i++ {
			n := int(samples(p.ptime))
			pcm := make([]int16, n)
			for k := range pcm {
				pcm[k] = tone[(i*n+k)%len(tone)]
			}
			p.say(pcm)
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
		}
	})
}

// say sends one packet of sound.
func (p *phone) say(pcm []int16) {
	b := make([]byte, len(pcm))
	for i, v := range pcm {
		b[i] = p.law().Encode(v)
	}
	p.mu.Lock()
	silent := p.silent
	p.mu.Unlock()
	if silent {
		p.skip(len(pcm))
		return
	}
	p.send(p.payload, false, b)
	p.skip(len(pcm))
}

func (p *phone) skip(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ts += uint32(n)
}

func (p *phone) hush(silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = silent
}

// send sends a packet with the next sequence number and the present timestamp.
func (p *phone) send(payload uint8, marker bool, body []byte) {
	p.mu.Lock()
	p.seq++
	pkt := rtp.Packet{Header: rtp.Header{
		Version: 2, Marker: marker, PayloadType: payload, SequenceNumber: p.seq, Timestamp: p.ts, SSRC: p.ssrc,
	}, Payload: body}
	dest := p.dest
	b, err := pkt.Marshal()
	if err != nil {
		p.t.Error(err)
	}
	b = p.crypt.seal(p.t, b)
	p.mu.Unlock()
	_, _ = p.conn.WriteToUDPAddrPort(b, dest)
}

// press sends a telephone event of 160 ms as phones do: a packet every 20 ms,
// the last one three times.
func (p *phone) press(event byte) {
	const step = 160
	for i := 1; i <= 8; i++ {
		p.send(p.event, i == 1, []byte{event, 10, byte(i * step >> 8), byte(i * step & 0xff)})
		time.Sleep(20 * time.Millisecond)
	}
	for range 3 {
		p.send(p.event, false, []byte{event, 0x8a, 8 * step >> 8, 8 * step & 0xff})
	}
	p.skip(8 * step)
}

// heard returns every packet so far and forgets it.
func (p *phone) heard() []rtp.Packet {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.packets
	p.packets, p.at = nil, nil
	return out
}

// pcm is the sound in packets.
func (p *phone) pcm(packets []rtp.Packet) []int16 {
	var out []int16
	for _, pkt := range packets {
		if pkt.PayloadType != p.payload {
			continue
		}
		for _, v := range pkt.Payload {
			out = append(out, p.law().Decode(v))
		}
	}
	return out
}

// hears checks which of all tones is heard in packets.
func (p *phone) hears(packets []rtp.Packet, all []float64, want ...float64) {
	p.t.Helper()
	got := audiotest.Hears(p.pcm(packets), all...)
	for _, f := range all {
		if got[f] != slices.Contains(want, f) {
			p.t.Errorf("%v hears %v Hz: %v", p.conn.AddrPort(), f, got[f])
		}
	}
}

// smooth checks that packets are one stream without a gap or a jump backwards.
func smooth(t *testing.T, packets []rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		a, b := packets[i-1], packets[i]
		if a.SSRC != b.SSRC || b.SequenceNumber != a.SequenceNumber+1 || int32(b.Timestamp-a.Timestamp) < 0 {
			t.Fatalf("packet %d: ssrc %x seq %d ts %d after ssrc %x seq %d ts %d",
				i, b.SSRC, b.SequenceNumber, b.Timestamp, a.SSRC, a.SequenceNumber, a.Timestamp)
		}
	}
}

func clip(freq float64, d time.Duration) *g711.Clip { return g711.NewClip(audiotest.Tone(freq, d)) }

// silence has what a session's watch was told of closed.
type silence struct{ noAudio, dead chan struct{} }

func watched(s *Session) silence {
	w := silence{make(chan struct{}), make(chan struct{})}
	s.Answered(Watch{NoAudio: func() { close(w.noAudio) }, Dead: func() { close(w.dead) }})
	return w
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
