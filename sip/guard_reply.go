package sip

import (
	"bytes"
	"net/netip"
	"strconv"
)

// stateless is a response to a request that is neither parsed nor remembered
// (RFC 3261 8.2.7). tag is that of To. headers end with CRLF each. It is nil where the request
// lacks what a response needs. Lines of the request are taken over as they are,
// and nothing in them can begin another.
func stateless(p []byte, from netip.AddrPort, status, tag, headers string) []byte {
	var out bytes.Buffer
	out.Grow(len(p) + len(headers) + 128)
	out.WriteString(status + "\r\n")
	var vias, froms, tos, ids, seqs int
	for line, rest := nextHeader(afterStartLine(p)); len(line) > 0; line, rest = nextHeader(rest) {
		switch {
		case named(line, "via", 'v') != nil:
			if vias++; vias == 1 {
				line = stamped(line, from)
			}
		case named(line, "to", 't') != nil:
			if tos++; len(tagOf(line)) == 0 {
				line = append(bytes.Clone(line), ";tag="+tag...)
			}
		case named(line, "from", 'f') != nil:
			froms++
		case named(line, "call-id", 'i') != nil:
			ids++
		case named(line, "cseq", 0) != nil:
			seqs++
		default:
			continue
		}
		if !oneLine(line) {
			return nil
		}
		out.Write(line)
		out.Write(crlf)
	}
	if vias == 0 || froms != 1 || tos != 1 || ids != 1 || seqs != 1 {
		return nil
	}
	out.WriteString(headers)
	out.WriteString("Content-Length: 0\r\n\r\n")
	return out.Bytes()
}

// oneLine reports whether everybody sees one header in a line, which may be
// folded.
func oneLine(line []byte) bool {
	for i, c := range line {
		switch c {
		case 0:
			return false
		case '\r':
			if i+1 == len(line) || line[i+1] != '\n' {
				return false
			}
		case '\n':
			if i == 0 || line[i-1] != '\r' {
				return false
			}
		}
	}
	return true
}

// stamped is a Via with where its request came from (RFC 3581 4). What its
// sender wrote there himself stays behind it and is not looked at.
func stamped(via []byte, from netip.AddrPort) []byte {
	first, rest := via, []byte(nil)
	if i := bytes.IndexByte(via, ','); i >= 0 {
		first, rest = via[:i], via[i:]
	}
	var out []byte
	if before, after, ok := cutRport(first); ok {
		out = append(append(out, before...), ";rport="+strconv.Itoa(int(from.Port()))...)
		out = append(out, after...)
	} else {
		out = append(out, first...)
	}
	if indexFold(first, ";received=") < 0 {
		out = append(bytes.TrimRight(out, " \t"), ";received="+from.Addr().String()...)
	}
	return append(out, rest...)
}

// cutRport cuts a Via around an rport parameter without a value.
func cutRport(via []byte) (before, after []byte, ok bool) {
	const name = ";rport"
	i := indexFold(via, name)
	if i < 0 {
		return via, nil, false
	}
	after = via[i+len(name):]
	if len(after) > 0 && after[0] != ';' && after[0] != ' ' {
		return via, nil, false
	}
	return via[:i], after, true
}

// returnTo is where a response to a request over UDP goes: to where it came
// from, and without rport to the port in its Via (RFC 3261 18.2.2).
func returnTo(p []byte, from netip.AddrPort) netip.AddrPort {
	for line, rest := nextHeader(afterStartLine(p)); len(line) > 0; line, rest = nextHeader(rest) {
		if named(line, "via", 'v') == nil {
			continue
		}
		line, _, _ = bytes.Cut(line, []byte(","))
		if indexFold(line, ";rport") >= 0 {
			return from
		}
		line, _, _ = bytes.Cut(line, []byte(";"))
		host := bytes.TrimRight(line, " \t")
		i := bytes.LastIndexByte(host, ':')
		port, err := strconv.ParseUint(string(host[i+1:]), 10, 16)
		if err != nil || port == 0 || bytes.LastIndexByte(host, ' ') > i {
			port = 5060
		}
		return netip.AddrPortFrom(from.Addr(), uint16(port))
	}
	return from
}
