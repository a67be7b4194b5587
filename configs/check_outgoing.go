package configs

import (
	"regexp"
	"slices"
	"strings"
)

// dialled is what phones may begin a number with.
var dialled = regexp.MustCompile(`^\+?[0-9A-Za-z*#_.-]{1,31}$`)

// outgoing checks a rule of what phones may dial.
func (c *checker) outgoing(path string, o *Outgoing) {
	if o.Prefix != "" && c.ok(path+".prefix") && !dialled.MatchString(o.Prefix) {
		c.fail(path+".prefix", "%s is not the beginning of a number: digits, letters and + * # _ . - are", show(o.Prefix))
	}
	if c.ok(path+".strip") && c.ok(path+".prefix") && o.Strip > len(o.Prefix) {
		c.fail(path+".strip", "takes off more than the prefix %s: numbers would lose digits of their own", show(o.Prefix))
	}
	c.refer(path+".line", "line", o.Line, c.lines)
	for i, number := range o.Extensions {
		c.refer(index(path+".extensions", i), "extension", number, c.extensions)
	}
	repeated(c, path+".extensions", o.Extensions)
}

// hidden returns the index of a rule before the i-th that takes all numbers and
// phones which that one is for, -1 where there is none.
func (c *Config) hidden(i int) int {
	o := &c.Outgoing[i]
	return slices.IndexFunc(c.Outgoing[:i], func(first Outgoing) bool {
		return strings.HasPrefix(o.Prefix, first.Prefix) && (len(first.Extensions) == 0 || len(o.Extensions) > 0 &&
			!slices.ContainsFunc(o.Extensions, func(e string) bool { return !slices.Contains(first.Extensions, e) }))
	})
}
