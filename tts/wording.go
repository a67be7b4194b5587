package tts

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// wording is a text as it was understood.
type wording struct {
	id    string // what tells it from any other: the words, or with their markup
	marks []mark // nil: plain words
}

// readText understands a text: plain, or SSML when it begins with <speak>.
// The limit is one of characters that are spoken. The error wraps ErrText.
func readText(text string, limit int) (wording, error) {
	if !isMarkup(text) {
		clean, err := cleanText(text, limit)
		return wording{id: clean}, err
	}
	if n := utf8.RuneCountInString(text); n > markupFactor*limit {
		return wording{}, fmt.Errorf("%w: it has %d characters with its markup, at most %d are read", ErrText, n, markupFactor*limit)
	}
	s := wording{marks: scan(text)}
	if _, err := cleanText(strings.TrimSpace(words(s.parts())), limit); err != nil {
		return wording{}, err
	}
	s.id = s.markup([]string{"break", "p", "s", "sub", "emphasis", "prosody", "say-as", "phoneme"})
	return s, nil
}

// part is text up to a pause.
type part struct {
	text  string        // cleaned; empty where a pause comes first
	pause time.Duration // behind it, besides that between sentences
}

// words are parts without their pauses.
func words(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.text + " ")
	}
	return b.String()
}

// parts is what is said, without markup: breaks as pauses, what <sub> stands
// for in place of it, and paragraphs and sentences apart.
func (s *wording) parts() []part {
	if s.marks == nil {
		return []part{{text: s.id}}
	}
	var (
		list  []part
		words strings.Builder
		total time.Duration
	)
	flush := func(pause time.Duration) {
		pause = min(pause, mostPauses-total)
		total += pause
		text := printable(words.String())
		words.Reset()
		if speakable(text) > 0 {
			list = append(list, part{text, pause})
		} else if n := len(list); n > 0 {
			list[n-1].pause = min(list[n-1].pause+pause, longestPause)
		} else if pause > 0 {
			list = append(list, part{"", pause})
		}
	}
	substituted := false
	for i := range s.marks {
		switch m := &s.marks[i]; {
		case m.element == "sub":
			alias := m.attribute("alias")
			if substituted = !m.closes && !m.empty && speakable(alias) > 0 && s.closed(i); substituted {
				words.WriteString(alias)
			}
		case substituted: // the alias was said
		case m.element == "":
			words.WriteString(m.text)
		case m.element == "break" && !m.closes:
			flush(m.pause())
		case m.element == "p" || m.element == "s" || m.element == "speak":
			flush(0)
		case !inline(m.element):
			words.WriteByte(' ')
		}
	}
	flush(0)
	return list
}

// closed reports whether the element at i has a closing tag.
func (s *wording) closed(i int) bool {
	return slices.ContainsFunc(s.marks[i+1:], func(m mark) bool { return m.closes && m.element == s.marks[i].element })
}

// markup writes the text anew as SSML with the given elements alone: well
// formed whatever it was made of.
func (s *wording) markup(elements []string) string {
	if s.marks == nil {
		return ""
	}
	var (
		b    strings.Builder
		open []string
	)
	b.WriteString("<speak>")
	for i := range s.marks {
		m := &s.marks[i]
		allowed, ok := known(m.element)
		switch {
		case m.element == "":
			b.WriteString(escape(spaced(m.text)))
		case !ok || !slices.Contains(elements, m.element):
			if !inline(m.element) {
				b.WriteByte(' ')
			}
		case m.closes:
			if n := slices.Index(open, m.element); n >= 0 { // and what was left open within it
				for ; len(open) > n; open = open[:len(open)-1] {
					b.WriteString("</" + open[len(open)-1] + ">")
				}
			}
		case m.element == "break":
			fmt.Fprintf(&b, `<break time="%dms"/>`, m.pause().Milliseconds())
		case !m.empty && len(open) < deepestMarkup:
			b.WriteString("<" + m.element)
			for _, name := range allowed {
				if v := m.attribute(name); v != "" {
					b.WriteString(" " + name + `="` + escape(v) + `"`)
				}
			}
			b.WriteByte('>')
			open = append(open, m.element)
		}
	}
	for _, element := range slices.Backward(open) {
		b.WriteString("</" + element + ">")
	}
	b.WriteString("</speak>")
	return b.String()
}

// spaced is printable text with one blank where space was at its ends.
func spaced(text string) string {
	clean := printable(text)
	if clean == "" {
		return " "
	}
	if unicode.IsSpace(firstOf(text)) {
		clean = " " + clean
	}
	if unicode.IsSpace(lastOf(text)) {
		clean += " "
	}
	return clean
}

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(text)
}
