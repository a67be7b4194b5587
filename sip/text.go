package sip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest texts that are put into a header, in characters.
const (
	maxText = 128
	maxUser = 64
)

// plainText makes a text safe for a header: no control characters (above all
// no line ends, which would begin another header), valid UTF-8, bounded.
func plainText(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, r == '\u2028', r == '\u2029':
			return -1
		case r == '\t', r == '\n':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
	if utf8.RuneCountInString(clean) > maxText {
		clean = string([]rune(clean)[:maxText])
	}
	return strings.TrimSpace(clean)
}

// quotable is plainText for the inside of a quoted string (RFC 3261 25.1).
func quotable(s string) string {
	s = plainText(s)
	if !strings.ContainsAny(s, `\"`) {
		return s
	}
	s = strings.ReplaceAll(s, `\`, `\\`)
	return strings.ReplaceAll(s, `"`, `\"`)
}

// unquote removes the quotes of a quoted string and its escapes.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return unescape(s[1 : len(s)-1])
}

func unescape(s string) string {
	if !strings.ContainsRune(s, '\\') {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// token keeps what may stand in a token (RFC 3261 25.1).
func token(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isAlnum(byte(r)) || strings.ContainsRune("-.!%*_+`'~", r)) {
			return r
		}
		return -1
	}, s)
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// escapeUser writes a user part of a URI: what the grammar does not allow
// there is percent-encoded, control characters are left out.
func escapeUser(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxUser; i++ {
		c := s[i]
		switch {
		case isAlnum(c) || strings.IndexByte("-_.!~*'()&=+$,", c) >= 0:
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// userOf reads a user part: parameters (;phone-context=…) are cut off and
// percent-encoding is undone.
func userOf(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return unescapePercent(s)
}

// unescapePercent undoes percent-encoding; the result is plain text.
func unescapePercent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return plainText(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return plainText(b.String())
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// splitQuoted splits at sep where it does not stand inside quotes or angle
// brackets. It returns at least one part.
func splitQuoted(s string, sep byte) []string {
	var parts []string
	quoted, angle, start := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == sep && !angle:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[min(start, len(s)):])
}
