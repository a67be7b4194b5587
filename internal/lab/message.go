package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// magicCookie begins every branch of RFC 3261.
const magicCookie = "z9hG4bK"

// Message is one SIP message as it stands on the wire: a request when Method
// is set, else a response.
type Message struct {
	Method, URI string
	Status      int
	Phrase      string
	Body        []byte

	fields []field
	faults []string // what the reader forgave
}

type field struct{ name, value string }

// parseMessage reads one datagram. What can be understood in spite of an
// error of its writer is, with the error among the faults.
func parseMessage(data []byte) (*Message, error) {
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if !ok {
		return nil, errors.New("sip message: no empty line after the headers")
	}
	lines := strings.Split(string(head), "\r\n")
	m, err := parseStart(lines[0])
	if err != nil {
		return nil, err
	}
	for _, line := range lines[1:] {
		if line != "" && (line[0] == ' ' || line[0] == '\t') && len(m.fields) > 0 {
			m.fields[len(m.fields)-1].value += " " + strings.TrimSpace(line)
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(line, "\r\n") {
			m.faults = append(m.faults, fmt.Sprintf("header line %q is malformed", line))
			continue
		}
		m.fields = append(m.fields, field{longName(strings.TrimSpace(name)), strings.TrimSpace(value)})
	}
	m.Body = m.cutBody(body)
	return m, nil
}

func parseStart(line string) (*Message, error) {
	first, rest, ok := strings.Cut(line, " ")
	second, third, ok2 := strings.Cut(rest, " ")
	if !ok || first == "" || !ok2 && first != "SIP/2.0" || strings.ContainsAny(line, "\r\n") {
		return nil, fmt.Errorf("sip message: start line %q", line)
	}
	if first == "SIP/2.0" {
		status, err := strconv.Atoi(second)
		if err != nil || status < 100 || status > 699 {
			return nil, fmt.Errorf("sip message: status line %q", line)
		}
		return &Message{Status: status, Phrase: third}, nil
	}
	if third != "SIP/2.0" {
		return nil, fmt.Errorf("sip message: request line %q", line)
	}
	return &Message{Method: first, URI: second}, nil
}

// cutBody returns what Content-Length says is the body.
func (m *Message) cutBody(body []byte) []byte {
	given := m.Get("Content-Length")
	if given == "" {
		return body
	}
	n, err := strconv.Atoi(given)
	switch {
	case err != nil || n < 0:
		m.faults = append(m.faults, fmt.Sprintf("Content-Length %q is not a number", given))
		return body
	case n != len(body):
		m.faults = append(m.faults, fmt.Sprintf("Content-Length is %d, the body has %d bytes", n, len(body)))
		return body[:min(n, len(body))]
	}
	return body
}

// longName expands the compact header names of RFC 3261 and its extensions.
func longName(name string) string {
	switch strings.ToLower(name) {
	case "v":
		return "Via"
	case "f":
		return "From"
	case "t":
		return "To"
	case "i":
		return "Call-ID"
	case "m":
		return "Contact"
	case "l":
		return "Content-Length"
	case "c":
		return "Content-Type"
	case "k":
		return "Supported"
	case "s":
		return "Subject"
	case "e":
		return "Content-Encoding"
	case "r":
		return "Refer-To"
	case "x":
		return "Session-Expires"
	}
	return name
}

// Get is the value of the first header of that name, empty when there is none.
func (m *Message) Get(name string) string {
	for _, f := range m.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// All is the values of every header of that name, in order, those of comma
// lists one by one.
func (m *Message) All(name string) []string {
	var all []string
	for _, f := range m.fields {
		if strings.EqualFold(f.name, name) {
			all = append(all, splitList(f.value)...)
		}
	}
	return all
}

func (m *Message) add(name, value string) { m.fields = append(m.fields, field{name, value}) }

// addLines adds headers that are written "Name: value".
func (m *Message) addLines(lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		m.add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
}

func (m *Message) setBody(contentType string, body []byte) {
	m.add("Content-Type", contentType)
	m.Body = body
}

// start is the start line.
func (m *Message) start() string {
	if m.Method != "" {
		return m.Method + " " + m.URI + " SIP/2.0"
	}
	return fmt.Sprintf("SIP/2.0 %d %s", m.Status, m.Phrase)
}

// bytes writes the message, its Content-Length last.
func (m *Message) bytes() []byte {
	var b bytes.Buffer
	b.WriteString(m.start() + "\r\n")
	for _, f := range m.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(m.Body))
	b.Write(m.Body)
	return b.Bytes()
}

func (m *Message) callID() string  { return m.Get("Call-ID") }
func (m *Message) fromTag() string { return param(m.Get("From"), "tag") }
func (m *Message) toTag() string   { return param(m.Get("To"), "tag") }

// branch is the branch of the topmost Via.
func (m *Message) branch() string {
	if via := m.All("Via"); len(via) > 0 {
		return param(via[0], "branch")
	}
	return ""
}

func (m *Message) cseq() (number uint32, method string) {
	first, second, _ := strings.Cut(m.Get("CSeq"), " ")
	n, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return 0, ""
	}
	return uint32(n), strings.TrimSpace(second)
}

// splitList splits at commas that are neither quoted nor in angle brackets.
func splitList(s string) []string {
	var out []string
	var quoted, inside bool
	begin := 0
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '<':
			inside = true
		case '>':
			inside = false
		case ',':
			if !quoted && !inside {
				out = append(out, strings.TrimSpace(s[begin:i]))
				begin = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[begin:]))
}

// param is the value of a header parameter, outside of any angle brackets.
func param(value, name string) string {
	if i := strings.LastIndexByte(value, '>'); i >= 0 {
		value = value[i+1:]
	}
	for i, p := range strings.Split(value, ";") {
		k, v, _ := strings.Cut(p, "=")
		if i > 0 && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// withoutTag is a From or To without its header parameters.
func withoutTag(value string) string {
	if i := strings.LastIndexByte(value, '>'); i >= 0 {
		return value[:i+1]
	}
	bare, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(bare)
}

// uriOf is the URI of a From, To, Contact, Route or P-Asserted-Identity.
func uriOf(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}

// userOf is the user part of the URI in a header value or request line.
func userOf(value string) string {
	uri := uriOf(value)
	_, rest, ok := strings.Cut(uri, ":")
	if !ok {
		rest = uri
	}
	user, _, ok := strings.Cut(rest, "@")
	if !ok {
		return ""
	}
	user, _, _ = strings.Cut(user, ";")
	return user
}

// addressOf is where a URI with an IP address leads, port 5060 by default.
// It is not valid for anything else.
func addressOf(value string) netip.AddrPort {
	_, host, ok := strings.Cut(uriOf(value), ":")
	if !ok {
		return netip.AddrPort{}
	}
	if _, after, ok := strings.Cut(host, "@"); ok {
		host = after
	}
	host, _, _ = strings.Cut(host, ";")
	return parseHostPort(host)
}

func parseHostPort(host string) netip.AddrPort {
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return ap
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, 5060)
}
