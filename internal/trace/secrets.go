package trace

import (
	"bytes"
	"slices"
	"strings"
)

// nextSecret finds the next value in a line that is one: of a parameter whose
// name says so, or the password of a URI. at is negative where there is none.
func nextSecret(line []byte, from int) (at, end int) {
	if bytes.IndexByte(line[from:], '=') < 0 && bytes.IndexByte(line[from:], '@') < 0 {
		return -1, -1
	}
	for i := from; i < len(line); i++ {
		switch line[i] {
		case ':', '/':
			if at, end = password(line, i); end > at {
				return at, end
			}
		case '=':
			var buf nameBuffer
			if !telling(buf.lower(word(line[from:i]))) {
				continue
			}
			if at, end = value(line, i+1); end > at {
				return at, end
			}
		}
	}
	return -1, -1
}

// password is where the password of a URI begins and ends whose scheme ends at
// i. Everything up to the last @ is taken for it.
func password(line []byte, i int) (at, end int) {
	switch c := line[i]; {
	case c == '/' && (i == 0 || line[i-1] != '/'):
		return 0, 0
	case c == ':' && !hasSuffixFold(line[:i], "sip") && !hasSuffixFold(line[:i], "sips"):
		return 0, 0
	}
	uri := line[i+1:]
	if stop := bytes.IndexAny(uri, "<>\" \t"); stop >= 0 {
		uri = uri[:stop]
	}
	last := bytes.LastIndexByte(uri, '@')
	colon := bytes.IndexByte(uri, ':')
	if colon < 0 || colon >= last {
		return 0, 0
	}
	return i + 1 + colon + 1, i + 1 + last
}

func hasSuffixFold(b []byte, s string) bool {
	return len(b) >= len(s) && indexFold(b[len(b)-len(s):], s) == 0
}

// word is the name at the end of b, before an equals sign.
func word(b []byte) []byte {
	b = bytes.TrimRight(b, " \t")
	i := len(b)
	for i > 0 && isWord(b[i-1]) {
		i--
	}
	return b[i:]
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_' || c == '.' || c == '%'
}

// named reports whether a line ends with the name of a secret and an equals
// sign.
func named(line []byte) bool {
	name, ok := bytes.CutSuffix(bytes.TrimRight(line, " \t"), []byte("="))
	var buf nameBuffer
	return ok && telling(buf.lower(word(name)))
}

// value is where the value that begins behind an equals sign begins and ends.
func value(line []byte, from int) (at, end int) {
	at = from
	for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
		at++
	}
	if at < len(line) && line[at] == '"' {
		at++
		for end = at; end < len(line) && line[end] != '"'; end++ {
			if line[end] == '\\' {
				end++
			}
		}
		return at, min(end, len(line))
	}
	end = at
	for end < len(line) && !strings.ContainsRune(";,&>? \t\"", rune(line[end])) {
		end++
	}
	return at, end
}

// telling reports whether a name, in lower case, is that of a secret.
func telling(name []byte) bool {
	if len(name) < 2 {
		return false
	}
	if is(name, "response", "opaque", "pin", "pn-prid", "pw", "key", "sig", "jwt", "bearer") {
		return true
	}
	for i, c := range name {
		switch rest := name[i:]; c {
		case 'p':
			if begins(rest, "pass", "pwd") {
				return true
			}
		case 's':
			if begins(rest, "secret", "signature") {
				return true
			}
		case 'a':
			if begins(rest, "auth", "apikey") {
				return true
			}
		case 'c':
			if begins(rest, "cookie", "credential") {
				return true
			}
		case 't', 'n', '-', '_':
			if begins(rest, "token", "nonce", "-key", "_key") {
				return true
			}
		}
	}
	return false
}

func begins(b []byte, words ...string) bool {
	for _, w := range words {
		if len(b) >= len(w) && string(b[:len(w)]) == w {
			return true
		}
	}
	return false
}

// nameBuffer holds a name in lower case.
type nameBuffer [64]byte

// lower returns b in lower case; of a name that is longer than any that is
// looked for, the end, where the telling part mostly is.
func (n *nameBuffer) lower(b []byte) []byte {
	if len(b) > len(n) {
		b = b[len(b)-len(n):]
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		n[i] = c
	}
	return n[:len(b)]
}

// is reports whether a name is one of these.
func is(name []byte, words ...string) bool { return slices.Contains(words, string(name)) }

// indexFold is bytes.Index for a needle in lower case, in any case.
func indexFold(b []byte, needle string) int {
	for i := 0; i+len(needle) <= len(b); i++ {
		if b[i]|0x20 == needle[0] && strings.EqualFold(string(b[i:i+len(needle)]), needle) {
			return i
		}
	}
	return -1
}
