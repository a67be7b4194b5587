package lab

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"
)

const (
	sampleRate = 8000
	amplitude  = 8000 // of a party's tone; about -12 dB of full scale
	maxHeard   = 10 * 60 * sampleRate

	maxComplaints = 20 // about the packets of one party: one fault shows in each of them
)

// audio is the sound of one party: it sends a tone on an absolute schedule
// and remembers what it is sent.
type audio struct {
	rtp, rtcp net.PacketConn
	ptime     time.Duration
	slack     time.Duration
	lossy     bool
	blame     func(format string, args ...any)
	onDigit   func(key rune)
	wg        sync.WaitGroup

	mu       sync.Mutex
	remote   netip.AddrPort   // guarded by mu; where sound goes
	expected []netip.AddrPort // guarded by mu; where sound may come from, the latest last
	codec    Codec            // guarded by mu
	digits   int              // guarded by mu; payload type of telephone events we send, -1: none
	digitsIn int              // guarded by mu; and of those we are sent
	sending  bool             // guarded by mu
	tone     float64          // guarded by mu; hertz, 0 is silence
	keys     []keyPress       // guarded by mu
	out      stream           // guarded by mu
	in       receiver         // guarded by mu
	due      time.Time        // guarded by mu; of the next packet of ours
	late     time.Duration    // guarded by mu; how late one of ours was of late
	lateAt   time.Time        // guarded by mu; when
	security *security        // guarded by mu; nil: plain sound
	before   *security        // guarded by mu; what was agreed before it
	since    time.Time        // guarded by mu; when that changed
	rekeying bool             // guarded by mu; our offer has new keys, the answer is to come
}

// stream is what an RTP sender remembers from packet to packet.
type stream struct {
	ssrc, timestamp uint32
	sequence        uint16
	phase           int  // samples of the tone so far
	resumed         bool // the next packet begins a talk spurt
	packets         int
}

func openAudio(ctx context.Context, n Network, ip netip.Addr, ptime time.Duration) (*audio, error) {
	r, rc, err := n.listenPair(ctx, ip)
	if err != nil {
		return nil, err
	}
	a := &audio{rtp: r, rtcp: rc, due: time.Now(), ptime: ptime, slack: n.Slack, lossy: n.Lossy, codec: PCMA, digits: -1, digitsIn: -1}
	a.out = stream{ssrc: rand.Uint32(), timestamp: rand.Uint32(), sequence: uint16(rand.Uint32()), resumed: true}
	return a, nil
}

// run starts the goroutines. They end, and the sockets close, when ctx is
// done.
func (a *audio) run(ctx context.Context) {
	a.wg.Go(a.receive)
	a.wg.Go(a.receiveReports)
	a.wg.Go(func() {
		a.send(ctx)
		_ = a.rtp.Close()
		_ = a.rtcp.Close()
	})
}

// wait returns when the goroutines have ended.
func (a *audio) wait() { a.wg.Wait() }

func (a *audio) addr() netip.AddrPort { return addrPort(a.rtp.LocalAddr()) }

// direct follows a description of the other side: sound may come from its
// address, and goes there while sending, encrypted by s. digits is the payload type that our
// own description asks telephone events to have, -1: none.
func (a *audio) direct(d *Description, codec Codec, s *security, digits int, sending bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.encrypt(s, time.Now())
	a.remote, a.codec, a.digits, a.digitsIn = d.Remote, codec, d.Digits, digits
	if digits < 0 {
		a.digits = -1
	}
	a.expected = append(slices.DeleteFunc(a.expected, func(x netip.AddrPort) bool { return x == d.Remote }), d.Remote)
	if quiet := d.Direction == "recvonly" || d.Direction == "inactive"; quiet != a.in.held {
		a.in.held, a.in.heldAt = quiet, time.Now()
	}
	a.allow(sending && d.Remote.Port() != 0 && !d.Remote.Addr().IsUnspecified())
}

// allow starts or stops sending. mu is held.
func (a *audio) allow(sending bool) {
	if sending && !a.sending {
		a.out.resumed = true
	}
	a.sending = sending
}

// expectSound is called when sound may come again: it may overtake the answer
// that says so.
func (a *audio) expectSound() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.in.held = false
}

// expectEnd is called when the other side knows that the call is over: its
// sound must end.
func (a *audio) expectEnd() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.in.ended, a.in.closed = true, time.Now()
}

func (a *audio) mute() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.allow(false)
	a.dropKeys()
}

func (a *audio) setTone(hz float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tone = hz
}

// send paces packets by an absolute schedule: a late wake-up delays one
// packet and none after it.
func (a *audio) send(ctx context.Context) {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			a.mu.Lock()
			a.dropKeys()
			a.mu.Unlock()
			return
		case <-timer.C:
		}
		a.mu.Lock()
		a.observe(next, time.Now())
		next = next.Add(a.ptime)
		a.due = next
		packets, remote := a.tick(), a.remote
		a.mu.Unlock()
		for _, p := range packets {
			_, _ = a.rtp.WriteTo(p, net.UDPAddrFromAddrPort(remote)) // nobody there is the peer's affair
		}
		timer.Reset(time.Until(next))
	}
}

// observe notes how late this machine let us be. mu is held.
func (a *audio) observe(due, now time.Time) {
	if late := now.Sub(due); late > a.late || now.Sub(a.lateAt) > time.Second {
		a.late, a.lateAt = late, now
	}
}

// patience is how far a packet may be from its time: a machine that stood
// still for us stood still for its sender. In virtual time it never does. mu
// is held.
func (a *audio) patience(now time.Time) time.Duration {
	late := time.Duration(0)
	if now.Sub(a.lateAt) <= time.Second {
		late = a.late
	}
	return a.slack + max(late, now.Sub(a.due), 0)
}

// tick makes the packets that are due now and moves the clock. mu is held.
func (a *audio) tick() [][]byte {
	samples := int(a.ptime * sampleRate / time.Second)
	defer func() { a.out.timestamp += uint32(samples) }()
	if !a.sending {
		return nil
	}
	if len(a.keys) > 0 {
		return a.tickKey(samples)
	}
	payload := make([]byte, samples)
	for i := range payload {
		var v int16
		if a.tone > 0 {
			v = int16(amplitude * math.Sin(2*math.Pi*a.tone*float64(a.out.phase)/sampleRate))
		}
		a.out.phase++
		payload[i] = a.codec.law().Encode(v)
	}
	return [][]byte{a.packet(a.codec.payloadType(), a.out.timestamp, payload)}
}

func (a *audio) packet(payloadType int, timestamp uint32, payload []byte) []byte {
	p := rtp.Packet{Header: rtp.Header{
		Version: 2, Marker: a.out.resumed, PayloadType: uint8(payloadType),
		SequenceNumber: a.out.sequence, Timestamp: timestamp, SSRC: a.out.ssrc,
	}, Payload: payload}
	a.out.resumed = false
	a.out.sequence++
	a.out.packets++
	raw, _ := p.Marshal() // cannot fail without extensions
	if a.security != nil {
		raw, _ = a.security.out.EncryptRTP(nil, raw, nil) // cannot fail for a packet of ours
	}
	return raw
}

func (a *audio) receive() {
	buf := make([]byte, 2048)
	left := maxComplaints
	for {
		n, from, err := a.rtp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		now := time.Now()
		var p rtp.Packet
		raw, err := a.openRTP(buf[:n], now)
		if err == nil {
			err = p.Unmarshal(raw)
		}
		if err != nil {
			if left > 0 && !errors.Is(err, errUnderWay) {
				a.blame("RTP: %v", err)
				left--
			}
			continue
		}
		a.mu.Lock()
		complaints, key := a.in.take(a, &p, addrPort(from), now)
		a.mu.Unlock()
		for _, c := range complaints[:min(len(complaints), left)] {
			a.blame("RTP: %s", c)
			left--
		}
		if key != 0 {
			a.onDigit(key)
		}
	}
}

// receiveReports drains the RTCP port and counts what comes.
func (a *audio) receiveReports() {
	buf := make([]byte, 2048)
	for {
		n, _, err := a.rtcp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			err = a.openRTCP(buf[:n], time.Now())
			if err != nil && !errors.Is(err, errUnderWay) {
				a.blame("RTCP: %v", err)
			}
		}
		if err == nil {
			a.mu.Lock()
			a.in.reports++
			a.mu.Unlock()
		}
	}
}
