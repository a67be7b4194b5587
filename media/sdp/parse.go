package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxMedia bounds the m= lines of a description; further ones make it invalid.
const maxMedia = 32

// Description is a session description as it was read.
type Description struct {
	media []media
	hosts []netip.Addr
}

// media is one m= line with what follows it; session-level values are filled
// in where the stream has none of its own.
type media struct {
	kind    string // audio, video, image, ...
	port    uint16
	proto   string
	formats []string

	addr      address
	direction Direction
	hasDir    bool
	rtpmap    map[string]string // payload type to encoding name and clock
	ptime     float64           // ms, 0 none
	maxptime  float64           // ms, 0 none
	rtcpPort  uint16
	rtcpAddr  address
	mux       bool
	crypto    []Crypto
	unusable  error // why the last a=crypto that is not in crypto cannot be used
}

// Streams names the kind of every stream in order: audio, video, ...
func (d *Description) Streams() []string {
	kinds := make([]string, len(d.media))
	for i, m := range d.media {
		kinds[i] = m.kind
	}
	return kinds
}

type address struct {
	ip    netip.Addr // invalid: host name, group or nothing
	null  bool
	group bool // multicast or broadcast
	set   bool
}

// Parse reads a description. It fails with ErrSyntax when there is no version
// line or a m= line makes no sense.
func Parse(body []byte) (*Description, error) {
	if len(body) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrSyntax, len(body))
	}
	d := &Description{}
	session := media{}
	cur := &session
	version := false
	for line := range strings.FieldsFuncSeq(string(body), func(r rune) bool { return r == '\n' || r == '\r' }) {
		key, value, ok := strings.Cut(strings.TrimLeft(line, " \t"), "=")
		if !ok || len(key) != 1 {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "v":
			version = version || value == "0"
		case "c":
			cur.addr = d.address(value)
		case "a":
			d.attribute(cur, value)
		case "m":
			m, err := parseMedia(value)
			if err != nil {
				return nil, err
			}
			if len(d.media) == maxMedia {
				return nil, fmt.Errorf("%w: more than %d streams", ErrSyntax, maxMedia)
			}
			d.media = append(d.media, m)
			cur = &d.media[len(d.media)-1]
		}
	}
	if !version {
		return nil, fmt.Errorf("%w: no v=0 line", ErrSyntax)
	}
	d.inherit(session)
	return d, nil
}

// inherit fills session-level values into the streams.
func (d *Description) inherit(session media) {
	for i := range d.media {
		m := &d.media[i]
		if !m.addr.set {
			m.addr = session.addr
		}
		if !m.hasDir {
			m.direction = session.direction
		}
		if m.ptime == 0 {
			m.ptime = session.ptime
		}
		if m.maxptime == 0 {
			m.maxptime = session.maxptime
		}
	}
}

func parseMedia(value string) (media, error) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return media{}, fmt.Errorf("%w: m=%.60s", ErrSyntax, value)
	}
	portText, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return media{}, fmt.Errorf("%w: port in m=%.60s", ErrSyntax, value)
	}
	return media{kind: strings.ToLower(f[0]), port: uint16(port), proto: f[2], formats: f[3:]}, nil
}

// address reads "IN IP4 192.0.2.1/127".
func (d *Description) address(value string) address {
	a := address{set: true}
	f := strings.Fields(value)
	if len(f) < 3 {
		return a
	}
	host, _, _ := strings.Cut(f[2], "/")
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return a // a host name: the source of the first packets will tell
	}
	ip = ip.Unmap()
	switch {
	case ip.IsUnspecified():
		a.null = true
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		a.group = true
	default:
		a.ip = ip
		if !slices.Contains(d.hosts, ip) {
			d.hosts = append(d.hosts, ip)
		}
	}
	return a
}

func (d *Description) attribute(m *media, value string) {
	name, arg, _ := strings.Cut(value, ":")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "sendrecv":
		m.direction, m.hasDir = SendRecv, true
	case "sendonly":
		m.direction, m.hasDir = SendOnly, true
	case "recvonly":
		m.direction, m.hasDir = RecvOnly, true
	case "inactive":
		m.direction, m.hasDir = Inactive, true
	case "rtpmap":
		payload, enc, ok := strings.Cut(strings.TrimSpace(arg), " ")
		if ok && len(m.rtpmap) < 128 {
			if m.rtpmap == nil {
				m.rtpmap = make(map[string]string)
			}
			m.rtpmap[payload] = strings.ToLower(strings.TrimSpace(enc))
		}
	case "ptime":
		m.ptime = millis(arg)
	case "maxptime":
		m.maxptime = millis(arg)
	case "rtcp-mux":
		m.mux = true
	case "crypto":
		m.addCrypto(arg)
	case "rtcp":
		port, rest, _ := strings.Cut(strings.TrimSpace(arg), " ")
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			m.rtcpPort = uint16(n)
			if rest != "" {
				m.rtcpAddr = d.address(rest)
			}
		}
	}
}

// millis reads a length; what makes no sense counts as not said.
func millis(s string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v > 0) || v > 1000 {
		return 0
	}
	return v
}

// addCrypto keeps a line that can be used.
func (m *media) addCrypto(value string) {
	c, err := parseCrypto(value)
	if err != nil {
		m.unusable = err
	} else if len(m.crypto) < maxCrypto {
		m.crypto = append(m.crypto, c)
	}
}

func (m *media) addresses() (rtp, rtcp netip.AddrPort) {
	if !m.addr.ip.IsValid() {
		return rtp, rtcp
	}
	rtp = netip.AddrPortFrom(m.addr.ip, m.port)
	switch {
	case m.rtcpPort != 0 && m.rtcpAddr.ip.IsValid():
		rtcp = netip.AddrPortFrom(m.rtcpAddr.ip, m.rtcpPort)
	case m.rtcpPort != 0:
		rtcp = netip.AddrPortFrom(m.addr.ip, m.rtcpPort)
	case m.mux:
		rtcp = rtp
	case m.port < 65535:
		rtcp = netip.AddrPortFrom(m.addr.ip, m.port+1)
	}
	return rtp, rtcp
}

// common lists the codecs of m that are allowed, each once.
func (m *media) common(allowed []Codec) []Format {
	var out []Format
	for _, text := range m.formats {
		payload, err := strconv.ParseUint(text, 10, 7)
		if err != nil {
			continue
		}
		var c Codec
		switch payload {
		case 0:
			c = PCMU
		case 8:
			c = PCMA
		default:
			name, clock, _ := strings.Cut(m.rtpmap[text], "/")
			if clock != "8000" && clock != "8000/1" {
				continue
			}
			c, _ = ParseCodec(name)
		}
		known := slices.ContainsFunc(out, func(f Format) bool { return f.Codec == c })
		if c != 0 && !known && slices.Contains(allowed, c) {
			out = append(out, Format{Codec: c, Payload: uint8(payload)})
		}
	}
	return out
}

// event is the payload type of telephone events at the clock of G.711.
func (m *media) event() uint8 {
	for _, text := range m.formats {
		enc := m.rtpmap[text]
		if enc != "telephone-event/8000" && enc != "telephone-event/8000/1" {
			continue
		}
		if n, err := strconv.ParseUint(text, 10, 7); err == nil && n >= 96 {
			return uint8(n)
		}
	}
	return 0
}

func packetLength(ptime, maxptime float64) time.Duration {
	ms := int(ptime) / 10 * 10
	if ptime == 0 {
		ms = int(DefaultPtime / time.Millisecond)
	}
	if maxptime > 0 {
		ms = min(ms, int(maxptime)/10*10)
	}
	return time.Duration(min(max(ms, 10), 60)) * time.Millisecond
}
