package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ends are one end of a call whose packets are timed.
type ends struct {
	t    *testing.T
	conn *net.UDPConn
	to   netip.AddrPort
	seq  uint16
}

func newEnds(t *testing.T) *ends {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: freePorts(t, 2)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &ends{t: t, conn: c}
}

// describe puts the end into a session description.
func (e *ends) describe(sdp string) string {
	var out strings.Builder
	for line := range strings.Lines(sdp) {
		if strings.HasPrefix(line, "m=audio ") {
			fields := strings.SplitN(line, " ", 3)
			line = fmt.Sprintf("m=audio %d %s", e.conn.LocalAddr().(*net.UDPAddr).Port, fields[2])
		}
		if strings.HasPrefix(line, "a=rtcp:") {
			continue
		}
		out.WriteString(line)
	}
	return out.String()
}

// write sends 20 ms of sound.
func (e *ends) write(payload []byte) {
	p := make([]byte, 12, 12+len(payload))
	p[0], p[1] = 0x80, 8
	e.seq++
	binary.BigEndian.PutUint16(p[2:], e.seq)
	binary.BigEndian.PutUint32(p[4:], uint32(e.seq)*160)
	binary.BigEndian.PutUint32(p[8:], 0xabcdef)
	_, _ = e.conn.WriteToUDPAddrPort(append(p, payload...), e.to) // a loss is counted at the far end
}

// timing is how packets fared.
type timing struct {
	sent, lost    int
	p50, p99, max time.Duration
}

func (t timing) String() string {
	return fmt.Sprintf("%d of %d packets lost, under way %s at the median, %s at the 99th percentile, %s at most", t.lost, t.sent,
		t.p50.Round(10*time.Microsecond), t.p99.Round(10*time.Microsecond), t.max.Round(10*time.Microsecond))
}

// probe sends sound both ways for a time and measures it.
func (f *flooded) probe(d time.Duration) timing {
	f.t.Helper()
	start := time.Now()
	n := int(d / (20 * time.Millisecond))
	const mark = "perezvon"
	listen := func(e *ends) (took []time.Duration) {
		seen, buf := make(map[uint32]bool), make([]byte, 2048)
		_ = e.conn.SetReadDeadline(start.Add(d + time.Second))
		for {
			size, err := e.conn.Read(buf)
			now := time.Since(start)
			if err != nil {
				return took
			}
			if size != 12+160 || string(buf[12:20]) != mark || binary.BigEndian.Uint64(buf[20:]) != uint64(start.UnixNano()) || seen[binary.BigEndian.Uint32(buf[36:])] {
				continue
			}
			seen[binary.BigEndian.Uint32(buf[36:])] = true
			took = append(took, now-time.Duration(binary.BigEndian.Uint64(buf[28:])))
		}
	}
	var all [2][]time.Duration
	var listening sync.WaitGroup
	for i, e := range []*ends{f.near, f.far} {
		listening.Go(func() { all[i] = listen(e) })
	}
	for i := range n {
		time.Sleep(time.Until(start.Add(time.Duration(i) * 20 * time.Millisecond)))
		for _, e := range []*ends{f.near, f.far} {
			payload := make([]byte, 160)
			copy(payload, mark)
			binary.BigEndian.PutUint64(payload[8:], uint64(start.UnixNano()))
			binary.BigEndian.PutUint64(payload[16:], uint64(time.Since(start)))
			binary.BigEndian.PutUint32(payload[24:], uint32(i))
			e.write(payload)
		}
	}
	listening.Wait()
	took := slices.Sorted(slices.Values(append(all[0], all[1]...)))
	if len(took) == 0 {
		f.t.Fatal("no sound came through")
	}
	return timing{sent: 2 * n, lost: 2*n - len(took), p50: took[len(took)/2], p99: took[len(took)*99/100], max: took[len(took)-1]}
}
