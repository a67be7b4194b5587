package trace

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"perezvon/sip"
)

// BenchmarkCall is what the trace of a call of 20 messages costs until it is
// handed to the store, and how large it is there.
func BenchmarkCall(b *testing.B) {
	s := &shelf{}
	c := New(Config{Store: s})
	defer c.Close()
	packer := newPacker()
	stored := 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		id := strconv.Itoa(n)
		c.Bind(id, ref(id, "leg"))
		for i, raw := range benchMessages {
			c.Message(sip.Message{At: time.Now(), Sent: i%2 == 0, Transport: "udp", Local: ours, Remote: theirs, CallID: []byte(id), Data: raw})
		}
		c.mu.Lock()
		k := c.calls[id]
		p := c.part(k)
		c.drop(k)
		c.mu.Unlock()
		c.clean(&p, nil)
		data, err := packer.pack(&p)
		if err != nil {
			b.Fatal(err)
		}
		stored = len(data)
	}
	b.ReportMetric(float64(stored), "stored-B")
}

// BenchmarkMessage is what a message costs its path.
func BenchmarkMessage(b *testing.B) {
	c := New(Config{Store: &shelf{}})
	defer c.Close()
	m := sip.Message{At: time.Now(), Transport: "udp", Local: ours, Remote: theirs, CallID: []byte("id"), Data: benchMessages[0]}
	c.Bind("id", ref("call", "leg"))
	b.ReportAllocs()
	for b.Loop() {
		c.Message(m)
	}
}

// benchMessages are those of a call with two legs, as they are in size.
var benchMessages = func() (all [][]byte) { //nolint:gochecknoglobals // a constant
	sdp := "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=ptime:20\r\n"
	head := "Contact: <sip:101@10.0.0.2:5060>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nUser-Agent: Perezvon/1.2.3"
	for i := range 20 {
		raw := message(head, "", "")
		if i%5 == 0 {
			raw = message(head, "application/sdp", sdp)
		}
		all = append(all, []byte(strings.ReplaceAll(raw, "z9hG4bK1", fmt.Sprintf("z9hG4bK%032x", i*i*i*7919+i))))
	}
	return all
}()
