package tts

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of marked-up text.
const (
	markupFactor  = 4 // markup may make a text so many times longer than its words may be
	longestPause  = 10 * time.Second
	mostPauses    = time.Minute // all of a text together
	deepestMarkup = 16
	longestValue  = 64 // of an attribute, in characters
)

// isMarkup reports whether a text is meant as SSML: it begins with <speak>, or
// as a document that has it.
func isMarkup(text string) bool {
	text = strings.TrimLeftFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
	if !strings.HasPrefix(text, "<") {
		return false
	}
	head := strings.ToLower(prefix(text, 16))
	for _, begin := range []string{"<speak>", "<speak ", "<speak\t", "<speak\n", "<speak\r", "<speak/", "<?xml ", "<!doctype "} {
		if strings.HasPrefix(head, begin) {
			return true
		}
	}
	return false
}

// known are the elements that are passed on to engines that understand them,
// with their attributes. None of them names a file or an address.
func known(element string) (attributes []string, ok bool) {
	switch element {
	case "p", "s":
		return nil, true
	case "break":
		return []string{"time", "strength"}, true
	case "sub":
		return []string{"alias"}, true
	case "emphasis":
		return []string{"level"}, true
	case "prosody":
		return []string{"rate", "pitch", "volume"}, true
	case "say-as":
		return []string{"interpret-as", "format"}, true
	case "phoneme":
		return []string{"alphabet", "ph"}, true
	}
	return nil, false
}

// inline are elements that may stand within a word: where they are left out,
// no blank takes their place.
func inline(element string) bool {
	return slices.Contains([]string{"emphasis", "prosody", "say-as", "phoneme", "sub", "voice", "lang", "w", "token", "mark"}, element)
}

// mark is a piece of a marked-up text: words, or a tag.
type mark struct {
	text       string // when element is empty
	element    string // lower case, without its namespace
	attributes [][2]string
	closes     bool // </element>
	empty      bool // <element/>
}

func (m *mark) attribute(name string) string {
	for _, a := range m.attributes {
		if a[0] == name {
			return a[1]
		}
	}
	return ""
}

// scan takes a marked-up text apart. Nothing is ever wrong with it: what is no
// tag is text. Declarations, comments and processing instructions go, and with
// them every entity that a document defines; no entity is expanded but those
// of XML itself.
func scan(text string) []mark {
	var marks []mark
	var words strings.Builder
	add := func(m mark) {
		if words.Len() > 0 {
			marks = append(marks, mark{text: words.String()})
			words.Reset()
		}
		marks = append(marks, m)
	}
	for text != "" {
		at := strings.IndexAny(text, "<&")
		if at < 0 {
			words.WriteString(text)
			break
		}
		words.WriteString(text[:at])
		text = text[at:]
		if text[0] == '&' {
			s, n := entity(text)
			words.WriteString(s)
			text = text[n:]
			continue
		}
		if s, n := declaration(text); n > 0 {
			words.WriteString(s)
			text = text[n:]
			continue
		}
		m, n := tag(text)
		if n == 0 { // a sign, not a tag
			words.WriteString(" ")
			text = text[1:]
			continue
		}
		text = text[n:]
		add(m)
		if !m.closes && !m.empty {
			text = text[unspoken(m.element, text):]
		}
	}
	if words.Len() > 0 {
		marks = append(marks, mark{text: words.String()})
	}
	return marks
}

// entity returns what stands at the beginning of a text that begins with &, and
// its length there.
func entity(text string) (string, int) {
	end := strings.IndexByte(prefix(text, 12), ';')
	if end < 2 {
		return "&", 1
	}
	name := text[1:end]
	if !strings.HasPrefix(name, "#") {
		if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return "&", 1
		}
		switch name {
		case "amp":
			return "&", end + 1
		case "lt":
			return "<", end + 1
		case "gt":
			return ">", end + 1
		case "quot":
			return `"`, end + 1
		case "apos":
			return "'", end + 1
		}
		return " ", end + 1 // one that the document would define
	}
	digits, base := name[1:], 10
	if strings.HasPrefix(digits, "x") || strings.HasPrefix(digits, "X") {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > unicode.MaxRune || !utf8.ValidRune(rune(n)) {
		return " ", end + 1
	}
	return string(rune(n)), end + 1
}

// declaration returns what a comment, a CDATA section, a document type or a
// processing instruction at the beginning of a text says, and its length; 0
// where there is none.
func declaration(text string) (string, int) {
	until := func(begin, end string) int {
		if i := strings.Index(text[len(begin):], end); i >= 0 {
			return len(begin) + i + len(end)
		}
		return len(text)
	}
	switch {
	case strings.HasPrefix(text, "<!--"):
		return " ", until("<!--", "-->")
	case strings.HasPrefix(text, "<![CDATA["):
		n := until("<![CDATA[", "]]>")
		return strings.TrimSuffix(text[len("<![CDATA["):n], "]]>"), n
	case strings.HasPrefix(text, "<?"):
		return " ", until("<?", "?>")
	case strings.HasPrefix(text, "<!"):
		n := until("<!", ">")
		if strings.ContainsRune(text[:n], '[') { // entities of its own, up to what is said
			if n = strings.Index(strings.ToLower(text), "<speak"); n < 0 {
				n = until("<!", "]")
			}
		}
		return " ", n
	}
	return "", 0
}

// tag returns the tag at the beginning of a text and its length; 0 where it is
// none.
func tag(text string) (mark, int) {
	var m mark
	rest := text[1:]
	if m.closes = strings.HasPrefix(rest, "/"); m.closes {
		rest = rest[1:]
	}
	if !unicode.IsLetter(firstOf(rest)) {
		return mark{}, 0
	}
	inside, n := insideOf(rest)
	if n == 0 {
		return mark{}, 0
	}
	if inside, m.empty = strings.CutSuffix(inside, "/"); m.closes {
		m.empty = false
	}
	end := strings.IndexFunc(inside, func(r rune) bool { return unicode.IsSpace(r) || r == '/' })
	if end < 0 {
		end = len(inside)
	}
	name := strings.ToLower(inside[:end])
	m.element = name[strings.LastIndexByte(name, ':')+1:]
	if m.element == "" {
		m.element = "?"
	}
	m.attributes = attributes(inside[end:])
	return m, len(text) - len(rest) + n
}

// insideOf returns what stands before the > that ends a tag, and the length
// with it; 0 where none does. A quote that is never closed is no quote.
func insideOf(rest string) (string, int) {
	var quote rune
	for i, r := range rest {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && r == '>':
			return rest[:i], i + 1
		case quote == 0 && r == '<':
			return "", 0
		}
	}
	if i := strings.IndexAny(rest, "<>"); i >= 0 && rest[i] == '>' {
		return rest[:i], i + 1
	}
	return "", 0
}

func attributes(text string) [][2]string {
	var out [][2]string
	for {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			return out
		}
		if fields := strings.Fields(name); len(fields) > 0 {
			name = strings.ToLower(fields[len(fields)-1])
		}
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		quote := firstOf(rest)
		if quote != '"' && quote != '\'' {
			return out
		}
		value, after, ok := strings.Cut(rest[1:], string(quote))
		if !ok {
			return out
		}
		out = append(out, [2]string{name, valueOf(value)})
		text = after
	}
}

// valueOf is an attribute's value with the entities of XML expanded, cleaned
// and shortened.
func valueOf(value string) string {
	var b strings.Builder
	for value = prefix(value, 4*longestValue); value != ""; {
		at := strings.IndexByte(value, '&')
		if at < 0 {
			b.WriteString(value)
			break
		}
		s, n := entity(value[at:])
		b.WriteString(value[:at] + s)
		value = value[at+n:]
	}
	return prefix(printable(b.String()), longestValue)
}

// unspoken returns the length of what is never spoken of an element: all of it
// up to its closing tag, where it has one.
func unspoken(element, text string) int {
	switch element {
	case "desc", "metadata", "lexicon", "script", "style":
		return max(0, strings.Index(strings.ToLower(text), "</"+element))
	}
	return 0
}

// pause is how long a <break> is.
func (m *mark) pause() time.Duration {
	if d, err := time.ParseDuration(m.attribute("time")); err == nil && d >= 0 {
		return min(d, longestPause)
	}
	switch m.attribute("strength") {
	case "none":
		return 0
	case "x-weak":
		return 100 * time.Millisecond
	case "weak":
		return 200 * time.Millisecond
	case "strong":
		return 700 * time.Millisecond
	case "x-strong":
		return time.Second
	}
	return 400 * time.Millisecond
}
