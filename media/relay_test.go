package media

import (
	"encoding/binary"
	"testing"
	"time"
)

// What the other leg did not agree to is left out. That must not give two
// packets the same number, in whatever order and however often they come.
func TestPacketsLeftOutMakeNoDoubles(t *testing.T) {
	const noise = 13
	for name, packets := range map[string][]int16{ // numbers, negative: of comfort noise
		"in order":    {10, 11, -12, 13, 14},
		"late":        {10, 12, -11, 13, 14},
		"twice":       {10, 11, -12, -12, 13, 14},
		"after a gap": {10, 11, -13, 14, 15},
	} {
		a, _ := leg(PCMA)
		b, _ := leg(PCMA)
		out := &keepingConn{}
		b.tx.conn = out
		a.engine.Connect(a, b, PathConfig{})
		seen := make(map[uint16]int16)
		for i, n := range packets {
			before, payload := out.writes, PCMA.Payload()
			if n < 0 {
				n, payload = -n, noise
			}
			buf := make([]byte, headerLen+160)
			putHeader(buf, payload, false, uint16(n), uint32(n)*160, 99)
			a.handleRTP(buf, peerAddr, time.Duration(i)*20*time.Millisecond)
			if (out.writes > before) != (payload != noise) {
				t.Errorf("%s: packet %d is sent: %v", name, n, out.writes > before)
			}
			if payload == noise {
				continue
			}
			seq := binary.BigEndian.Uint16(out.last[2:])
			if other, ok := seen[seq]; ok {
				t.Errorf("%s: packets %d and %d have one number", name, other, n)
			}
			seen[seq] = n
		}
	}
}
