package tts

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is asked of an engine at once, in characters.
const (
	longestPiece  = 500  // unless the engine takes less
	longestMarkup = 2000 // of SSML with its tags; longer ones go without
	leastPiece    = 4    // letters and digits: shorter sentences go with the next
)

// Abbreviations in lower case and without their last full stop. Those that
// only stand before something never end a sentence; those that close a list, a
// time or a name do before a capital letter; units do after a number.
const (
	leading = " г ул д стр кв корп к оф пом эт под тел доб моб т п пп гл рис табл см ср напр им пер просп пр-т пл обл респ пос дер ст наб ш бул" +
		" проф акад доц инж зам зав гр ген дир гос о и.о т.е т.к т.н в.и.о" +
		" mr mrs ms mx dr prof st ave rd blvd vs no nos pp fig ext tel approx apt dept est gen sen rep capt sgt col rev hon e.g i.e cf" +
		" jan feb mar apr jun jul aug sep sept oct nov dec "
	closing = " т.д т.п др пр проч etc inc ltd co corp jr sr a.m p.m u.s u.k "
	units   = " г гг руб коп р т тыс млн млрд шт экз мин сек ч час с м км см кг л кв р.м min sec hr hrs ft in lb oz "
)

// sentences splits a cleaned text where one sentence ends and the next begins,
// and what is longer than limit characters at a clause, else between words.
// What it returns, joined with blanks, is the text, unless a single word was
// longer than limit. A full stop within a number, behind an abbreviation or an
// initial ends nothing: where it is in doubt a sentence goes on.
func sentences(text string, limit int) []string {
	var found []string
	begin := 0
	for at, r := range text {
		if !isEnd(r) || at < begin {
			continue
		}
		end := pastEnd(text, at)
		if end < len(text) && ends(text[begin:at], text[at:end], text[end+1:]) {
			found = append(found, text[begin:end])
			begin = end + 1
		}
	}
	found = append(found, text[begin:])
	var pieces []string
	for _, s := range together(found, limit) {
		pieces = append(pieces, clauses(s, limit)...)
	}
	return pieces
}

func isEnd(r rune) bool { return r == '.' || r == '!' || r == '?' || r == '…' }

// pastEnd returns where the blank behind the marks at a position is, past
// quotes and brackets that close; the end of the text where there is none, for
// then no sentence ends here.
func pastEnd(text string, at int) int {
	for i, r := range text[at:] {
		switch {
		case r == ' ':
			return at + i
		case !isEnd(r) && !strings.ContainsRune(`"'»”’)]`, r):
			return len(text)
		}
	}
	return len(text)
}

// ends reports whether the marks between before and after end a sentence.
func ends(before, marks, after string) bool {
	next := firstOf(strings.TrimLeft(after, `"'«“„‘([-–— `))
	if unicode.IsLower(next) || !unicode.IsLetter(next) && !unicode.IsDigit(next) {
		return false
	}
	if marks[0] != '.' || strings.HasPrefix(marks, "..") {
		return true
	}
	word, number := lastWord(before)
	lower := strings.ToLower(word)
	switch {
	case isNumber(word): // "12. 05", "1. Первое", but "Заказ 15. Клиент"
		return unicode.IsLetter(next) && strings.Contains(strings.TrimSpace(before), " ")
	case number && listed(units, lower), listed(closing, lower):
		return unicode.IsLetter(next)
	case listed(leading, lower), utf8.RuneCountInString(word) == 1 && unicode.IsLetter(firstOf(word)):
		return false
	case strings.Contains(word, "."): // т.ч., U.N.
		return false
	}
	return true
}

func listed(list, word string) bool { return word != "" && strings.Contains(list, " "+word+" ") }

func lastOf(s string) rune {
	r, _ := utf8.DecodeLastRuneInString(s)
	return r
}

func firstOf(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// lastWord returns the last word, without opening quotes and brackets, with the
// part before it when that is written apart as in "т. д", and whether a number
// stands before it.
func lastWord(text string) (word string, number bool) {
	words := lastFields(text, 3)
	if len(words) == 0 {
		return "", false
	}
	n := len(words) - 1
	word = strings.TrimLeft(words[n], `"'«“„‘([`)
	if n > 0 {
		before := words[n-1]
		if utf8.RuneCountInString(before) == 2 && strings.HasSuffix(before, ".") && utf8.RuneCountInString(word) <= 2 {
			if both := before + word; listed(closing, strings.ToLower(both)) {
				return both, false
			}
		}
		number = isNumber(before) && unicode.IsDigit(lastOf(before)) // "12, т. Иванов" is no unit
	}
	return word, number || isNumber(strings.TrimRightFunc(word, unicode.IsLetter)) && !isNumber(word)
}

// lastFields returns up to n words from the end of a text.
func lastFields(text string, n int) []string {
	var words []string
	for text = strings.TrimRight(text, " "); text != "" && len(words) < n; text = strings.TrimRight(text, " ") {
		at := strings.LastIndexByte(text, ' ') + 1
		words = append(words, text[at:])
		text = text[:at]
	}
	slices.Reverse(words)
	return words
}

func isNumber(word string) bool {
	return word != "" && strings.IndexFunc(word, func(r rune) bool { return !unicode.IsDigit(r) && !strings.ContainsRune(".,:-/", r) }) < 0
}

// together joins sentences that are too short to be spoken well alone with
// what follows, the last with what is before it.
func together(found []string, limit int) []string {
	var out []string
	for _, s := range found {
		n := len(out) - 1
		if n >= 0 && (speakable(out[n]) < leastPiece || speakable(s) < leastPiece && s == found[len(found)-1]) &&
			utf8.RuneCountInString(out[n])+1+utf8.RuneCountInString(s) <= limit {
			out[n] += " " + s
			continue
		}
		out = append(out, s)
	}
	return out
}

// speakable counts letters and digits.
func speakable(text string) int {
	n := 0
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			n++
		}
	}
	return n
}

// clauses cuts what is longer than limit: behind the last punctuation, else
// between words, never within a number that is written in groups, unless there
// is no other place.
func clauses(text string, limit int) []string {
	var out []string
	for {
		window := prefix(text, limit+1)
		if len(window) == len(text) && utf8.RuneCountInString(text) <= limit {
			return append(out, text)
		}
		at, skip := cutAt(window, text), 1
		if at <= 0 {
			at, skip = len(prefix(text, limit)), 0
		}
		out = append(out, text[:at])
		text = text[at+skip:]
	}
}

// cutAt returns the best blank of a window at the beginning of a text, 0 where
// there is none.
func cutAt(window, text string) int {
	var clause, word, blank int
	for i := range len(window) {
		if window[i] != ' ' || i == 0 {
			continue
		}
		before, after := lastOf(window[:i]), firstOf(text[i+1:])
		blank = i
		switch {
		case unicode.IsDigit(before) && unicode.IsDigit(after):
		case strings.ContainsRune(",;:—–!?.…", before) && !unicode.IsDigit(after):
			clause, word = i, i
		default:
			word = i
		}
	}
	switch {
	case clause > len(window)/4: // not a snippet
		return clause
	case word > 0:
		return word
	}
	return blank
}

// prefix returns the first n characters of a text.
func prefix(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}
