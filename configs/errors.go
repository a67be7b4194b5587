package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a configuration file.
type Error struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1
	Path    string `json:"path"`   // such as trunks[0].format; empty: the file as a whole
	Message string `json:"message"`
}

// Error returns the mistake as file:line:column: path: message.
func (e Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Column, e.Path, e.Message)
}

// Errors are all mistakes of a file in the order in which they stand there.
type Errors []Error

// mostShown keeps a file of garbage from filling a terminal.
const mostShown = 50

// Error returns one line for each mistake, the first 50 of them.
func (e Errors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i == mostShown {
			fmt.Fprintf(&b, "\nand %d more", len(e)-mostShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
	}
	return b.String()
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
}
