package lab

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"perezvon/media/g711"
)

// Codec is a way to write sound down, by its name in SDP.
type Codec string

// The codecs that the parties speak.
const (
	PCMA Codec = "PCMA" // G.711 A-law, payload type 8
	PCMU Codec = "PCMU" // G.711 µ-law, payload type 0
)

func (c Codec) payloadType() int {
	if c == PCMU {
		return 0
	}
	return 8
}

func (c Codec) law() g711.Law {
	if c == PCMU {
		return g711.ULaw
	}
	return g711.ALaw
}

// codecOf is the codec of a static payload type, empty for others.
func codecOf(payloadType int) Codec {
	switch payloadType {
	case 8:
		return PCMA
	case 0:
		return PCMU
	}
	return ""
}

// Description is what a party was told about the other side's sound (RFC
// 4566).
type Description struct {
	Text      string         // as received
	Remote    netip.AddrPort // where sound is to be sent
	Codecs    []Codec        // of those known here, in order of preference
	Digits    int            // payload type of telephone-event, -1 when there is none
	Ptime     int            // milliseconds, 0 when not said
	Direction string         // sendrecv, sendonly, recvonly or inactive

	profile string // RTP/AVP or RTP/SAVP
	crypto  []cryptoLine

	session, version uint64 // of o=
	rest             string // all but o=, to tell whether anything changed
}

// parseDescription reads the first audio stream.
func parseDescription(body []byte) (*Description, error) {
	d := &Description{Text: string(body), Digits: -1, Direction: "sendrecv"}
	if !strings.HasPrefix(d.Text, "v=0\r\n") {
		return nil, errors.New("sdp: does not begin with v=0")
	}
	var address netip.Addr
	var port uint64
	var seen, media string // types of the lines so far; the current m= line
	for line := range strings.SplitSeq(strings.TrimSuffix(d.Text, "\r\n"), "\r\n") {
		if len(line) < 2 || line[1] != '=' || strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("sdp: line %q", withoutKeys(line))
		}
		var err error
		value := line[2:]
		switch line[0] {
		case 'o':
			err = d.parseOrigin(value)
		case 'c':
			if media == "" || strings.HasPrefix(media, "audio ") {
				address, err = netip.ParseAddr(strings.TrimPrefix(value, "IN IP4 "))
			}
		case 'm':
			media = value
			if strings.HasPrefix(value, "audio ") {
				port, err = d.parseAudio(value)
			}
		case 'a':
			if media == "" || strings.HasPrefix(media, "audio ") {
				err = d.parseAttribute(value)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("sdp: line %q: %w", withoutKeys(line), err)
		}
		seen += line[:1]
		if line[0] != 'o' {
			d.rest += line + "\n"
		}
	}
	if !strings.HasPrefix(seen, "vos") || !strings.Contains(seen, "t") || !strings.Contains(seen, "m") {
		return nil, fmt.Errorf("sdp: lines %q: one of v= o= s= t= m= is missing or misplaced", seen)
	}
	if !address.IsValid() {
		return nil, errors.New("sdp: no c= line for the audio stream")
	}
	d.Remote = netip.AddrPortFrom(address, uint16(port))
	return d, nil
}

// withoutKeys is a line as it may be shown.
func withoutKeys(line string) string {
	shown, _, _ := strings.Cut(line, "inline:")
	return shown
}

func (d *Description) parseOrigin(value string) (err error) {
	f := strings.Fields(value)
	if len(f) != 6 || f[3] != "IN" || f[4] != "IP4" {
		return errors.New("must be: user id version IN IP4 address")
	}
	if d.session, err = strconv.ParseUint(f[1], 10, 64); err != nil {
		return errors.New("session id is not a number")
	}
	if d.version, err = strconv.ParseUint(f[2], 10, 64); err != nil {
		return errors.New("version is not a number")
	}
	return nil
}

func (d *Description) parseAudio(value string) (port uint64, err error) {
	f := strings.Fields(value)
	if len(f) < 4 || f[2] != "RTP/AVP" && f[2] != "RTP/SAVP" {
		return 0, errors.New("must be: audio port RTP/AVP or RTP/SAVP formats")
	}
	d.profile = f[2]
	if port, err = strconv.ParseUint(f[1], 10, 16); err != nil {
		return 0, errors.New("port is not a number")
	}
	for _, format := range f[3:] {
		n, err := strconv.Atoi(format)
		if err != nil || n < 0 || n > 127 {
			return 0, fmt.Errorf("format %q", format)
		}
		if c := codecOf(n); c != "" {
			d.Codecs = append(d.Codecs, c)
		}
	}
	return port, nil
}

func (d *Description) parseAttribute(value string) error {
	name, arg, _ := strings.Cut(value, ":")
	switch name {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		d.Direction = name
	case "ptime":
		d.Ptime, _ = strconv.Atoi(arg)
	case "rtpmap":
		number, encoding, _ := strings.Cut(arg, " ")
		if n, err := strconv.Atoi(number); err == nil && strings.EqualFold(encoding, "telephone-event/8000") {
			d.Digits = n
		}
	case "crypto":
		line, err := parseCrypto(arg)
		d.crypto = append(d.crypto, line)
		return err
	}
	return nil
}

// faults says what is wrong with a description that came after prev in the
// same dialog (nil: the first one). RFC 4566 section 5.2, RFC 3264 section 8.
func (d *Description) faults(prev *Description) []string {
	var out []string
	if d.Remote.Port()%2 == 1 {
		out = append(out, fmt.Sprintf("RTP port %d is odd", d.Remote.Port()))
	}
	if len(d.Codecs) == 0 {
		out = append(out, "neither PCMA nor PCMU in the audio stream")
	}
	if prev == nil {
		return out
	}
	same := d.rest == prev.rest
	switch {
	case d.session != prev.session:
		out = append(out, fmt.Sprintf("o= session id changed from %d to %d", prev.session, d.session))
	case same && d.version != prev.version:
		out = append(out, fmt.Sprintf("o= version went from %d to %d though nothing changed", prev.version, d.version))
	case !same && d.version != prev.version+1:
		out = append(out, fmt.Sprintf("description changed, o= version went from %d to %d", prev.version, d.version))
	}
	return out
}

// local is a party's own description.
type local struct {
	address   netip.AddrPort
	codecs    []Codec
	digits    int // payload type of telephone-event, -1: none
	ptime     int // milliseconds, 0: not said
	direction string
	profile   string // empty: RTP/AVP
	crypto    []cryptoLine
}

// text writes the description with the given o= version.
func (l local) text(session, version uint64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=lab %d %d IN IP4 %s\r\ns=-\r\n", session, version, l.address.Addr())
	fmt.Fprintf(&b, "c=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s", l.address.Addr(), l.address.Port(), cmp.Or(l.profile, "RTP/AVP"))
	for _, c := range l.codecs {
		fmt.Fprintf(&b, " %d", c.payloadType())
	}
	if l.digits >= 0 {
		fmt.Fprintf(&b, " %d", l.digits)
	}
	b.WriteString("\r\n")
	for _, c := range l.codecs {
		fmt.Fprintf(&b, "a=rtpmap:%d %s/8000\r\n", c.payloadType(), c)
	}
	if l.digits >= 0 {
		fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", l.digits, l.digits)
	}
	if l.ptime > 0 {
		fmt.Fprintf(&b, "a=ptime:%d\r\n", l.ptime)
	}
	for _, c := range l.crypto {
		fmt.Fprintf(&b, "a=crypto:%s\r\n", c)
	}
	fmt.Fprintf(&b, "a=%s\r\n", l.direction)
	return b.String()
}

// common is those of own that are in theirs too.
func common(own, theirs []Codec) []Codec {
	var out []Codec
	for _, c := range own {
		if slices.Contains(theirs, c) {
			out = append(out, c)
		}
	}
	return out
}

// mirrored is the direction to answer an offer's direction with when we want
// ours.
func mirrored(offered, ours string) string {
	send := ours == "sendrecv" || ours == "sendonly"
	receive := ours == "sendrecv" || ours == "recvonly"
	send = send && (offered == "sendrecv" || offered == "recvonly")
	receive = receive && (offered == "sendrecv" || offered == "sendonly")
	switch {
	case send && receive:
		return "sendrecv"
	case send:
		return "sendonly"
	case receive:
		return "recvonly"
	}
	return "inactive"
}
