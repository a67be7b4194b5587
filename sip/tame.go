package sip

import (
	"bytes"
	"slices"
)

// tame reports whether a message may be parsed. The library reads a quoted
// parameter of a URI or a Via as if the whole rest of it were the name, so that
// a few hundred bytes of such parameters grow to gigabytes when they are written
// and read again. No grammar has them: a URI has no quotes (RFC 3261 25.1), and
// no Via that is sent does. A line end that is not CRLF would begin a header of
// the sender's choice in what we pass on. It sees whatever anybody sends.
func tame(p []byte) bool {
	head, _, _ := bytes.Cut(p, []byte("\r\n\r\n"))
	if n := bytes.Count(head, crlf); bytes.Count(head, crlf[1:]) != n || bytes.Count(head, crlf[:1]) != n {
		return false
	}
	if bytes.IndexByte(head, '"') < 0 {
		return true
	}
	line, rest, _ := bytes.Cut(head, crlf)
	if bytes.IndexByte(line, '"') >= 0 {
		return false
	}
	for len(rest) > 0 {
		line, rest = unfold(rest)
		if bytes.IndexByte(line, '"') >= 0 && !tameHeader(line) {
			return false
		}
	}
	return true
}

// unfold cuts off the first header with the lines that continue it (RFC 3261
// 7.3.1).
func unfold(p []byte) (header, rest []byte) {
	for at := 0; ; {
		i := bytes.Index(p[at:], crlf)
		if i < 0 {
			return p, nil
		}
		at += i + len(crlf)
		if at >= len(p) || p[at] != ' ' && p[at] != '\t' {
			return p[:at-len(crlf)], p[at:]
		}
	}
}

var (
	viaNames     = []string{"via", "v"}
	addressNames = []string{"from", "f", "to", "t", "contact", "m", "route", "record-route", "refer-to", "r", "referred-by", "b"}
	schemes      = [][]byte{[]byte("sip:"), []byte("sips:"), []byte("tel:")}
)

// tameHeader looks at a header with quotes in it.
func tameHeader(line []byte) bool {
	name, value, _ := bytes.Cut(line, []byte(":"))
	called := string(bytes.ToLower(bytes.TrimSpace(name)))
	switch {
	case slices.Contains(viaNames, called):
		return false
	case !slices.Contains(addressNames, called):
		return true
	}
	bare := true // no address in angle brackets
	for rest := value; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			break
		}
		bare = false
		inside, after, closed := bytes.Cut(rest[i+1:], []byte(">"))
		quotes := bytes.Count(inside, []byte(`"`))
		// What begins within a display name may go on into the address.
		if quotes > 2 || quotes > 0 && hasScheme(inside) || !closed {
			return false
		}
		rest = after
	}
	address, _, _ := bytes.Cut(value, []byte(";"))
	return !bare || bytes.IndexByte(address, '"') < 0
}

func hasScheme(uri []byte) bool {
	uri = bytes.TrimSpace(uri)
	return slices.ContainsFunc(schemes, func(s []byte) bool { return len(uri) >= len(s) && bytes.EqualFold(uri[:len(s)], s) })
}
