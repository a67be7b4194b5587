package configs

import (
	"fmt"
	"strings"
)

// hint says which of the valid words was probably meant, and all of them where
// they are few.
func hint(word string, valid []string) string {
	near := nearest(word, valid)
	list := strings.Join(valid, ", ")
	switch {
	case near != "" && len(valid) > 1 && len(valid) <= mostListed:
		return fmt.Sprintf("; did you mean %q? Valid: %s", near, list)
	case near != "":
		return fmt.Sprintf("; did you mean %q?", near)
	case len(valid) == 1:
		return fmt.Sprintf("; only %q is valid", list)
	case len(valid) > 0 && len(valid) <= mostListed:
		return "; valid: " + list
	}
	return ""
}

const mostListed = 12

// nearest returns the word that takes the fewest edits, none where all are too
// far from it to have been meant.
func nearest(word string, valid []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return ""
	}
	best, least := "", max(1, len([]rune(word))/3)+1
	for _, v := range valid {
		if d := distance([]rune(word), []rune(strings.ToLower(v))); d < least {
			best, least = v, d
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap with their
// neighbour that turn a into b.
func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
