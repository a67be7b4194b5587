package trace

import (
	"encoding/binary"
	"net/netip"
)

// Of the file format, see draft-ietf-opsawg-pcap.
const (
	pcapMagic   = 0xa1b2c3d4 // times in microseconds
	pcapSnapLen = 65535
	linkTypeRaw = 101 // packets begin with the IP header

	ipHeader  = 20
	udpHeader = 8
	protoUDP  = 17
)

// Capture returns the messages as a pcap file. Each is a UDP packet between the
// true addresses and ports, also one that went by TCP or TLS, so that every
// program shows it without following a stream.
func Capture(t Trace) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, pcapMagic)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...) // time zone and accuracy
	b = binary.LittleEndian.AppendUint32(b, pcapSnapLen)
	b = binary.LittleEndian.AppendUint32(b, linkTypeRaw)
	for i := range t.Messages {
		m := &t.Messages[i]
		from, to := m.Remote, m.Local
		if m.Sent {
			from, to = m.Local, m.Remote
		}
		missing := 0
		if m.Cut() { // the rest of the packet was not captured
			missing = min(m.Size, pcapSnapLen-ipHeader-udpHeader) - len(m.Data)
		}
		p := packet(from, to, uint16(i+1), m.Data, max(missing, 0))
		b = binary.LittleEndian.AppendUint32(b, uint32(m.At.Unix()))
		b = binary.LittleEndian.AppendUint32(b, uint32(m.At.Nanosecond()/1000))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)+max(missing, 0)))
		b = append(b, p...)
	}
	return b
}

// packet is data in UDP in IPv4, of which so many bytes are missing at the end.
func packet(from, to netip.AddrPort, id uint16, data []byte, missing int) []byte {
	src, dst := four(from.Addr()), four(to.Addr())
	length := udpHeader + len(data) + missing
	b := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(data))
	b[0] = 0x45 // version and length of the header
	binary.BigEndian.PutUint16(b[2:], uint16(ipHeader+length))
	binary.BigEndian.PutUint16(b[4:], id)
	b[8], b[9] = 64, protoUDP
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:ipHeader]))

	u := b[ipHeader:]
	binary.BigEndian.PutUint16(u[0:], from.Port())
	binary.BigEndian.PutUint16(u[2:], to.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(length))
	b = append(b, data...)
	if missing > 0 {
		return b // a checksum of 0 is none (RFC 768)
	}
	sum := uint32(protoUDP) + uint32(length)
	for i := 0; i < 4; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(src[i:])) + uint32(binary.BigEndian.Uint16(dst[i:]))
	}
	c := checksum(sum, b[ipHeader:])
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[ipHeader+6:], c)
	return b
}

// four is an address as IPv4; what is none is 0.0.0.0.
func four(a netip.Addr) [4]byte {
	if a = a.Unmap(); a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}

// checksum is that of the Internet protocols (RFC 1071).
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
