package trace

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// Read as RFC 791 and RFC 768 have it, the packets are those of the messages.
func TestCaptureHoldsTheMessages(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 123456789, time.UTC)
	long := bytes.Repeat([]byte("y"), MaxMessage)
	tr := Trace{Messages: []Message{
		{At: at, Sent: true, Transport: "udp", Local: ours, Remote: theirs, Size: 7, Data: []byte("INVITE ")},
		{At: at.Add(time.Second), Transport: "tls", Local: ours, Remote: theirs, Size: 8, Data: []byte("SIP/2.0 ")},
		{At: at, Sent: true, Local: ours, Remote: theirs, Size: 60000, Data: long},
		{At: at, Sent: true, Local: ours, Remote: netip.MustParseAddrPort("[2001:db8::1]:5060"), Size: 2, Data: []byte("xx")},
	}}
	b := Capture(tr)
	le, be := binary.LittleEndian, binary.BigEndian
	if le.Uint32(b) != 0xa1b2c3d4 || le.Uint16(b[4:]) != 2 || le.Uint32(b[20:]) != 101 {
		t.Fatalf("header %x", b[:24])
	}
	b = b[24:]
	for i, m := range tr.Messages {
		sec, micro, n, size := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
		if int64(sec) != m.At.Unix() || micro != 123456 {
			t.Errorf("%d: time %d.%d", i, sec, micro)
		}
		p := b[16 : 16+n]
		b = b[16+n:]
		from, to := m.Remote, m.Local
		if m.Sent {
			from, to = to, from
		}
		if p[0] != 0x45 || p[9] != 17 || checksum(0, p[:20]) != 0 || uint32(be.Uint16(p[2:])) != size || int(size) != m.Size+28 {
			t.Errorf("%d: IP header %x, %d of %d bytes", i, p[:20], n, size)
		}
		if m.Remote.Addr().Is4() && (!bytes.Equal(p[12:16], from.Addr().AsSlice()) || !bytes.Equal(p[16:20], to.Addr().AsSlice())) {
			t.Errorf("%d: addresses %x", i, p[12:20])
		}
		u := p[20:]
		if be.Uint16(u) != from.Port() || be.Uint16(u[2:]) != to.Port() || int(be.Uint16(u[4:])) != m.Size+8 || !bytes.Equal(u[8:], m.Data) {
			t.Errorf("%d: UDP header %x", i, u[:8])
		}
		pseudo := append(bytes.Clone(p[12:20]), 0, 17, u[4], u[5])
		if whole := !m.Cut(); whole == (be.Uint16(u[6:]) == 0) || whole && checksum(0, append(pseudo, u...)) != 0 {
			t.Errorf("%d: UDP checksum %x", i, u[6:8])
		}
	}
	if len(b) != 0 {
		t.Errorf("%d bytes behind the packets", len(b))
	}
}
