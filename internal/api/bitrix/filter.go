package bitrix

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// operators stand before the name of a field in a filter, the longer first
// (https://apidocs.bitrix24.com/api-reference/telephony/voximplant/statistic/voximplant-statistic-get.html).
var operators = []string{"!><", "><", ">=", "<=", "!=", "!%", "!@", "!?", ">", "<", "=", "%", "@", "?", "!"}

// term is one condition of a filter.
type term struct {
	field string
	op    string // one of operators, without a ! in front
	not   bool
	cells []cell // the values, as cells of the field
}

// terms must all hold.
type terms []term

// parseFilter reads a filter over rows with the fields of a sample.
func parseFilter(filter *dict, sample row, zone *time.Location) (terms, *Error) {
	if filter == nil {
		return nil, nil
	}
	var out terms
	for _, key := range filter.keys {
		t, bad := parseTerm(strings.ToUpper(key), filter.values[key], sample, zone)
		if bad != nil {
			return nil, bad
		}
		out = append(out, t)
	}
	return out, nil
}

func parseTerm(key string, value any, sample row, zone *time.Location) (term, *Error) {
	t, values := term{op: "="}, list(value)
	name := key
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(key, op); ok {
			t.op, t.not = strings.TrimPrefix(op, "!"), op[0] == '!'
			name = rest
			break
		}
	}
	if t.op == "" || t.op == "@" {
		t.op = "="
	}
	model, ok := sample[name]
	if !ok {
		return term{}, errCore(fmt.Sprintf("Unknown field definition `%.40s` in the filter", name))
	}
	t.field = name
	if t.op == "><" && len(values) != 2 {
		return term{}, errInvalid("FILTER", "needs two values for ><"+name)
	}
	for _, v := range values {
		c := wanted(v, model)
		if model.date && v != "" {
			at, ok := parseMoment(v, zone)
			if !ok && t.op != "%" && t.op != "?" {
				return term{}, errInvalid("FILTER", fmt.Sprintf("holds no date in %s: %.40q", name, v))
			}
			c.time = at
		}
		t.cells = append(t.cells, c)
	}
	return t, nil
}

// parseMoment reads a date in the forms that Bitrix24 takes.
func parseMoment(s string, zone *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, strings.ReplaceAll(s, " ", "+")); err == nil { // a plus sign that was not escaped
		return t, true
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, time.DateOnly, "02.01.2006 15:04:05", "02.01.2006"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// match reports whether all conditions hold for the cells of a row.
func (ts terms) match(cellOf func(field string) cell) bool {
	return !slices.ContainsFunc(ts, func(t term) bool { return t.holds(cellOf(t.field)) == t.not })
}

// holds says whether a cell meets the condition, but for its negation.
func (t *term) holds(c cell) bool {
	if t.op == "><" {
		return !c.null && c.compare(&t.cells[0]) >= 0 && c.compare(&t.cells[1]) <= 0
	}
	if !c.date && !c.whole {
		c.small = c.lower()
	}
	for i := range t.cells {
		if t.meets(&c, &t.cells[i]) {
			return true
		}
	}
	return false
}

// meets says whether a cell meets the condition with one of its values.
func (t *term) meets(c, v *cell) bool {
	switch t.op {
	case "%", "?":
		return !c.null && strings.Contains(c.lower(), v.lower())
	case ">":
		return !c.null && c.compare(v) > 0
	case ">=":
		return !c.null && c.compare(v) >= 0
	case "<":
		return !c.null && c.compare(v) < 0
	case "<=":
		return !c.null && c.compare(v) <= 0
	}
	return c.compare(v) == 0
}
