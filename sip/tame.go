package sip

import (
	"bytes"
	"slices"
)

// maxParams is how many parameters a header, or the Request-URI, may have. The
// library compares each with all before it: ten thousand took half a second.
const maxParams = 256

// tame reports whether a message may be parsed. The library reads a quoted
// parameter of a URI or a Via as if the whole rest of it were the name, so that
// a few hundred bytes of such parameters grow to gigabytes when they are written
// and read again; a parameter with white space is quoted when it is written. No
// grammar has them: a URI has neither quotes nor white space (RFC 3261 25.1), and
// no Via that is sent has quotes. A line end that is not CRLF would begin a header
// of the sender's choice in what we pass on. It sees whatever anybody sends.
func tame(p []byte) bool {
	head, _, _ := bytes.Cut(p, []byte("\r\n\r\n"))
	if n := bytes.Count(head, crlf); bytes.Count(head, crlf[1:]) != n || bytes.Count(head, crlf[:1]) != n {
		return false
	}
	line, rest, _ := bytes.Cut(head, crlf)
	if bytes.IndexByte(line, '"') >= 0 || tooManyParams(line) {
		return false
	}
	for len(rest) > 0 {
		line, rest = nextHeader(rest)
		if !tameHeader(line) {
			return false
		}
	}
	return true
}

func tooManyParams(p []byte) bool {
	return len(p) > maxParams && bytes.Count(p, []byte(";"))+bytes.Count(p, []byte("&")) > maxParams
}

var (
	viaNames     = []string{"via", "v"}
	addressNames = []string{"from", "f", "to", "t", "contact", "m", "route", "record-route", "refer-to", "r", "referred-by", "b"}
	schemes      = [][]byte{[]byte("sip:"), []byte("sips:"), []byte("tel:")}
)

// tameHeader looks at a header. Only of addresses and of Via parameters are read.
func tameHeader(line []byte) bool {
	name, value, _ := bytes.Cut(line, []byte(":"))
	called := string(bytes.ToLower(bytes.TrimSpace(name)))
	via := slices.Contains(viaNames, called)
	switch {
	case !via && !slices.Contains(addressNames, called):
		return true
	case tooManyParams(value):
		return false
	case via:
		return bytes.IndexByte(value, '"') < 0
	}
	return tameBrackets(value) && tameBare(value)
}

// tameBrackets looks at the addresses in angle brackets.
func tameBrackets(value []byte) bool {
	for {
		i := bytes.IndexByte(value, '<')
		if i < 0 {
			return true
		}
		inside, after, closed := bytes.Cut(value[i+1:], []byte(">"))
		if quotes := bytes.Count(inside, []byte(`"`)); quotes > 2 || quotes > 0 && !closed {
			return false
		}
		uri := inside
		for more := true; more && !hasScheme(uri); { // a bracket in a display name
			_, uri, more = bytes.Cut(uri, []byte("<"))
		}
		if !tameURI(uri) || hasScheme(uri) && bytes.IndexByte(uri, '<') >= 0 {
			return false
		}
		value = after
	}
}

// tameBare looks at the addresses without brackets.
func tameBare(value []byte) bool {
	if bytes.IndexByte(value, '<') < 0 {
		if address, _, _ := bytes.Cut(value, []byte(";")); bytes.IndexByte(address, '"') >= 0 {
			return false
		}
	}
	for one := range bytes.SplitSeq(value, []byte(",")) {
		if address, _, _ := bytes.Cut(one, []byte(";")); bytes.IndexByte(one, '<') < 0 && !tameURI(address) {
			return false
		}
	}
	return true
}

// tameURI reports whether a URI, or what is none, has no quotes and no white
// space in its parameters. Some phones have white space in their user.
func tameURI(p []byte) bool {
	if !hasScheme(p) {
		return true
	}
	p = bytes.TrimSpace(p)
	params := p[len(p):]
	if i := bytes.IndexAny(p, ";?"); i >= 0 {
		params = p[i:]
	}
	return bytes.IndexByte(p, '"') < 0 && !bytes.ContainsAny(params, " \t")
}

func hasScheme(uri []byte) bool {
	uri = bytes.TrimLeft(uri, linear)
	return slices.ContainsFunc(schemes, func(s []byte) bool { return len(uri) >= len(s) && bytes.EqualFold(uri[:len(s)], s) })
}
