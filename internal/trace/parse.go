package trace

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// parsed is what the ladder and the story need of a message. What somebody sent
// may be anything; what is not there is empty.
type parsed struct {
	method  string // of a response that of its CSeq
	uri     string // of a request
	status  int    // 0: a request
	phrase  string
	callID  string
	seq     string // number of the CSeq
	headers map[string][]string
	sdp     *description // nil: none
}

func parse(data []byte) *parsed {
	text := string(data)
	if before, after, ok := strings.Cut(text, "\r\n\r\n"); ok {
		text = before
		return parseHead(text).withBody(after)
	}
	return parseHead(text)
}

func parseHead(head string) *parsed {
	lines := strings.Split(head, "\r\n")
	p := &parsed{headers: make(map[string][]string)}
	if rest, ok := strings.CutPrefix(lines[0], "SIP/2.0 "); ok {
		code, phrase, _ := strings.Cut(rest, " ")
		p.status, _ = strconv.Atoi(code) // 0 where it is none: shown as a request without a method
		p.phrase = clean(phrase)
	} else {
		var rest string
		p.method, rest, _ = strings.Cut(clean(lines[0]), " ")
		p.uri, _, _ = strings.Cut(rest, " ")
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name = long(strings.ToLower(strings.TrimSpace(name)))
		p.headers[name] = append(p.headers[name], clean(strings.TrimSpace(value)))
	}
	p.callID = p.header("call-id")
	var method string
	p.seq, method, _ = strings.Cut(p.header("cseq"), " ")
	if p.status != 0 {
		p.method = strings.TrimSpace(method)
	}
	return p
}

func (p *parsed) withBody(body string) *parsed {
	if strings.HasPrefix(strings.ToLower(p.header("content-type")), "application/sdp") {
		p.sdp = describe(body)
	} else if strings.Contains(body, "\nm=audio ") { // within a multipart one
		p.sdp = describe(body)
	}
	return p
}

func (p *parsed) header(name string) string {
	if v := p.headers[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// long is the long form of a header's name.
func long(name string) string {
	switch name {
	case "i":
		return "call-id"
	case "c":
		return "content-type"
	case "m":
		return "contact"
	case "f":
		return "from"
	case "t":
		return "to"
	case "r":
		return "refer-to"
	case "v":
		return "via"
	}
	return name
}

// clean makes one line of what somebody wrote.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(s, "·"))
}

// reason is the Q.850 cause and the text of Reason headers (RFC 3326).
func (p *parsed) reason() (cause int, text string) {
	for _, v := range p.headers["reason"] {
		protocol, params, _ := strings.Cut(v, ";")
		for one := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			switch {
			case strings.EqualFold(name, "cause") && strings.EqualFold(strings.TrimSpace(protocol), "Q.850"):
				cause, _ = strconv.Atoi(value)
			case strings.EqualFold(name, "text") && text == "":
				text = strings.Trim(value, `"`)
			}
		}
	}
	return cause, text
}

// label is a message in the ladder.
func (p *parsed) label() string {
	text := p.method
	if p.status != 0 {
		text = strconv.Itoa(p.status) + " " + p.phrase
		if p.method != "INVITE" {
			text += " to " + p.method
		}
	}
	if p.sdp != nil {
		text += " (SDP)"
	}
	return text
}

// description is what is told of a session description: its audio stream.
type description struct {
	addr      netip.AddrPort // where sound is wanted; invalid: not told
	codecs    []string
	direction string // sendrecv, sendonly, recvonly or inactive
	secure    string // suite of SDES; empty: plain
}

// held reports whether the side that wrote it does not want to hear.
func (d *description) held() bool {
	return d.direction == "sendonly" || d.direction == "inactive" || d.addr.Addr().IsValid() && d.addr.Addr().IsUnspecified()
}

func describe(body string) *description {
	d := &description{direction: "sendrecv"}
	names := map[string]string{"0": "PCMU", "8": "PCMA", "9": "G722", "18": "G729", "3": "GSM"}
	var payloads []string
	var ip netip.Addr
	var port uint16
	audio, media := false, false
	for line := range strings.SplitSeq(body, "\n") {
		kind, value, ok := strings.Cut(strings.TrimRight(line, "\r"), "=")
		if !ok {
			continue
		}
		fields := strings.Fields(clean(value))
		switch {
		case kind == "m":
			media = true
			if audio = !audio && len(fields) > 3 && fields[0] == "audio" && payloads == nil; audio {
				n, _ := strconv.ParseUint(fields[1], 10, 16) // 0: refused
				port, payloads = uint16(n), fields[3:]
			}
		case kind == "c" && (audio || !media) && len(fields) == 3:
			if a, err := netip.ParseAddr(fields[2]); err == nil {
				ip = a
			}
		case kind == "a" && (audio || !media):
			d.attribute(strings.TrimSpace(clean(value)), names)
		}
	}
	if ip.IsValid() {
		d.addr = netip.AddrPortFrom(ip, port)
	}
	for _, p := range payloads {
		if name := names[p]; name != "" && name != "telephone-event" && name != "CN" && !slices.Contains(d.codecs, name) {
			d.codecs = append(d.codecs, name)
		}
	}
	return d
}

func (d *description) attribute(value string, names map[string]string) {
	switch name, rest, _ := strings.Cut(value, ":"); name {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		d.direction = name
	case "rtpmap":
		payload, codec, _ := strings.Cut(rest, " ")
		codec, _, _ = strings.Cut(codec, "/")
		names[payload] = codec
	case "crypto":
		if f := strings.Fields(rest); len(f) > 1 && d.secure == "" {
			d.secure = f[1]
		}
	}
}
