package tts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanText leaves what can be spoken: control and invisible characters go,
// any run of space becomes one blank. The error wraps ErrText.
func cleanText(text string, limit int) (string, error) {
	if n := utf8.RuneCountInString(text); n > limit {
		return "", fmt.Errorf("%w: it has %d characters, at most %d are spoken", ErrText, n, limit)
	}
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("%w: it is empty", ErrText)
	}
	text = printable(text)
	if speakable(text) == 0 {
		return "", fmt.Errorf("%w: it has neither letters nor digits", ErrText)
	}
	return text, nil
}

// printable drops what is not text and makes any run of space one blank.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, unicode.Is(unicode.C, r): // control, format, private use
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// nearest returns up to n of the choices, the most similar to want first.
func nearest(want string, choices []string, n int) []string {
	distance := make(map[string]int, len(choices))
	for _, c := range choices {
		distance[c] = editDistance(strings.ToLower(want), strings.ToLower(c))
	}
	sorted := slices.Clone(choices)
	slices.SortStableFunc(sorted, func(a, b string) int { return cmp.Compare(distance[a], distance[b]) })
	return sorted[:min(n, len(sorted))]
}

// maxCompared bounds what a long unknown name costs.
const maxCompared = 64

// editDistance is the number of insertions, deletions and replacements
// between the beginnings of two names.
func editDistance(a, b string) int {
	ar, br := []rune(a), []rune(b)
	ar, br = ar[:min(len(ar), maxCompared)], br[:min(len(br), maxCompared)]
	row := make([]int, len(br)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range ar {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range br {
			replaced := diagonal
			if x != y {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(br)]
}
