package sip

import (
	"bytes"
	"strconv"

	sipmsg "github.com/emiago/sipgo/sip"
)

// What is looked at before a packet is parsed. These functions see whatever
// anybody sends.

// looksLikeSIP reports whether the first line could be a request's or a
// response's.
func looksLikeSIP(p []byte) bool {
	line, _, ok := bytes.Cut(p, crlf)
	if !ok || len(line) < len("A a SIP/2.0") {
		return false
	}
	return bytes.HasPrefix(line, sipVersion) || bytes.HasSuffix(line, sipVersion)
}

// sniffKnock returns the method of a request that somebody who wants to be
// served begins with, empty if p is none.
func sniffKnock(p []byte) sipmsg.RequestMethod {
	for _, m := range []sipmsg.RequestMethod{sipmsg.INVITE, sipmsg.REGISTER, sipmsg.OPTIONS} {
		if rest, ok := bytes.CutPrefix(p, []byte(m)); ok && len(rest) > 0 && rest[0] == ' ' && looksLikeSIP(p) {
			return m
		}
	}
	return ""
}

// sniffCallID returns the value of the Call-ID header without parsing the
// rest, nil if there is none. It points into p.
func sniffCallID(p []byte) []byte {
	for {
		i := bytes.Index(p, crlf)
		if i < 0 {
			return nil
		}
		p = p[i+len(crlf):]
		if len(p) == 0 || p[0] == '\r' { // the body begins
			return nil
		}
		var value []byte
		switch p[0] | 0x20 {
		case 'c':
			value = afterName(p, "call-id")
		case 'i':
			value = afterName(p, "i")
		}
		if value == nil {
			continue
		}
		line, _, _ := bytes.Cut(value, crlf)
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line
		}
		return nil
	}
}

// sniffMergeKey is mergeKey of a request that is not parsed yet.
func sniffMergeKey(p []byte) string {
	var tag, number []byte
	for line, rest := nextHeader(afterStartLine(p)); len(line) > 0; line, rest = nextHeader(rest) {
		if value := named(line, "from", 'f'); value != nil {
			tag = tagOf(value)
		} else if value = named(line, "cseq", 0); value != nil {
			number, _, _ = bytes.Cut(bytes.TrimLeft(value, linear), []byte(" "))
		}
	}
	seq, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil {
		return ""
	}
	return mergeKeyOf(string(sniffCallID(p)), string(tag), uint32(seq))
}

// sniffMethod returns the method of a request, nil if p is none.
func sniffMethod(p []byte) []byte {
	i := bytes.IndexByte(p, ' ')
	if i < 0 || bytes.HasPrefix(p, sipVersion) {
		return nil
	}
	return p[:i]
}

// afterStartLine is where the headers begin.
func afterStartLine(p []byte) []byte {
	_, rest, _ := bytes.Cut(p, crlf)
	return rest
}

// nextHeader cuts the first header off, without the end of its line; it may be
// folded. It is empty where the body begins, or nothing is left.
func nextHeader(p []byte) (line, rest []byte) {
	if len(p) == 0 || p[0] == '\r' {
		return nil, nil
	}
	line = wholeLine(p)
	return line, p[min(len(p), len(line)+len(crlf)):]
}

// named returns the value of a header if it has this name, else nil. compact is
// 0 where there is no such form.
func named(line []byte, long string, compact byte) []byte {
	if line[0]|0x20 == long[0] {
		if value := afterName(line, long); value != nil {
			return value
		}
	}
	if compact != 0 && line[0]|0x20 == compact && len(line) > 1 {
		if after := bytes.TrimLeft(line[1:], " \t"); len(after) > 0 && after[0] == ':' {
			return after[1:]
		}
	}
	return nil
}

// sniffToTag returns the tag of To, nil without one.
func sniffToTag(p []byte) []byte {
	for line, rest := nextHeader(afterStartLine(p)); len(line) > 0; line, rest = nextHeader(rest) {
		if value := named(line, "to", 't'); value != nil {
			return tagOf(value)
		}
	}
	return nil
}

// tagOf returns the tag parameter of a From or To.
func tagOf(value []byte) []byte {
	if i := bytes.LastIndexByte(value, '>'); i >= 0 {
		value = value[i:]
	}
	const name = ";tag="
	i := indexFold(value, name)
	if i < 0 {
		return nil
	}
	value = value[i+len(name):]
	if end := bytes.IndexAny(value, "; \t\r"); end >= 0 {
		value = value[:end]
	}
	return value
}

// credentials calls f with every user name of all credentials that a message
// carries, until f returns false.
func credentials(p []byte, f func(user string) bool) {
	for line, rest := nextHeader(afterStartLine(p)); len(line) > 0; line, rest = nextHeader(rest) {
		value := named(line, "authorization", 0)
		if value == nil {
			value = named(line, "proxy-authorization", 0)
		}
		for value != nil {
			var user string
			if user, value = credentialsUser(value); user != "" && !f(user) {
				return
			}
		}
	}
}

// wholeLine is what comes before the end of a header, which may be folded.
func wholeLine(p []byte) []byte {
	for at := 0; ; {
		i := bytes.Index(p[at:], crlf)
		if i < 0 {
			return p
		}
		at += i + len(crlf)
		if at == len(p) || p[at] != ' ' && p[at] != '\t' {
			return p[:at-len(crlf)]
		}
	}
}

// credentialsUser is the first value of username in digest credentials, and what
// comes after it; rest is nil where nothing does. What stands in quotes is no
// name.
func credentialsUser(line []byte) (user string, rest []byte) {
	for len(line) > 0 {
		name, after := cutToken(line)
		switch {
		case line[0] == '"':
			_, line = cutValue(line)
			continue
		case len(name) == 0:
			line = line[1:]
			continue
		}
		line = after
		after = bytes.TrimLeft(after, linear)
		if len(after) == 0 || after[0] != '=' {
			continue // the scheme
		}
		var value []byte
		value, line = cutValue(bytes.TrimLeft(after[1:], linear))
		if bytes.EqualFold(name, []byte("username")) {
			return string(value), line
		}
	}
	return "", nil
}

// linear is the white space in a header that may be folded.
const linear = " \t\r\n"

// cutToken cuts a token off the beginning; it is empty where there is none.
func cutToken(p []byte) (token, rest []byte) {
	end := bytes.IndexAny(p, `,="`+linear)
	if end < 0 {
		end = len(p)
	}
	return p[:end], p[end:]
}

// cutValue cuts a token or a quoted string off the beginning, as it is written.
func cutValue(p []byte) (value, rest []byte) {
	if len(p) == 0 || p[0] != '"' {
		return cutToken(p)
	}
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return p[1:i], p[i+1:]
		}
	}
	return p[1:], nil
}

// indexFold is bytes.Index without regard to the case of ASCII letters; name is
// in lower case.
func indexFold(p []byte, name string) int {
	for i := 0; i+len(name) <= len(p); i++ {
		if (p[i] == name[0] || p[i]|0x20 == name[0]) && bytes.EqualFold(p[i:i+len(name)], []byte(name)) {
			return i
		}
	}
	return -1
}

var (
	crlf       = []byte("\r\n")
	sipVersion = []byte("SIP/2.0")
)

// afterName returns what follows "name:" at the start of p, nil if p does not
// start so. White space before the colon is allowed.
func afterName(p []byte, name string) []byte {
	if len(p) < len(name) || !bytes.EqualFold(p[:len(name)], []byte(name)) {
		return nil
	}
	p = p[len(name):]
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		p = p[1:]
	}
	if len(p) == 0 || p[0] != ':' {
		return nil
	}
	return p[1:]
}
