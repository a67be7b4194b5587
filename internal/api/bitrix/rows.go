package bitrix

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is fixed in Bitrix24.
const pageSize = 50

// cell is a value of a row: a text, a number, a time or null.
type cell struct {
	text  string
	small string    // text in small letters, where that is made beforehand
	time  time.Time // where it is a date
	n     int64     // where it is whole
	whole bool      // text is an integer
	null  bool
	num   bool
	date  bool
}

func text(s string) cell { return cell{text: s} }
func null(num bool) cell { return cell{null: true, num: num} }

func number[T int | int64](n T) cell {
	return cell{text: itoa(n), n: int64(n), whole: true, num: true}
}

// wanted is what somebody asks for, made ready to be compared with many cells of
// the kind of a model: a long one is not to be read again for each.
func wanted(s string, model cell) cell {
	c := cell{text: s, small: strings.ToLower(s), num: model.num, date: model.date, null: s == ""}
	if c.num {
		n, err := strconv.ParseInt(s, 10, 64)
		c.n, c.whole = n, err == nil
	}
	return c
}

// lower is the text in small letters, by which texts are compared.
func (c *cell) lower() string {
	if c.small == "" {
		return strings.ToLower(c.text)
	}
	return c.small
}

// textOr is null where there is no text.
func textOr(s string) cell { return cell{text: s, null: s == ""} }

func moment(t time.Time, zone *time.Location) cell {
	return cell{text: t.In(zone).Format(time.RFC3339), time: t, date: true}
}

// row is one of a list, by the names of its fields.
type row map[string]cell

func (r row) cell(name string) cell { return r[name] }

// plain is the row as it is sent: everything is a string, or null.
func (r row) plain() map[string]any {
	out := make(map[string]any, len(r))
	for name, c := range r {
		if c.null {
			out[name] = nil
			continue
		}
		out[name] = c.text
	}
	return out
}

// compare orders two cells of the same field; null is the least.
func (c *cell) compare(other *cell) int {
	switch {
	case c.null || other.null:
		return cmp.Compare(at(!c.null), at(!other.null))
	case c.date && other.date:
		return c.time.Compare(other.time)
	case c.whole && other.whole:
		return cmp.Compare(c.n, other.n)
	}
	return cmp.Compare(c.lower(), other.lower())
}

// sortRows orders by a field, rows that are the same in it by their id.
func sortRows(rows []row, field string, descending bool) {
	slices.SortStableFunc(rows, func(a, b row) int {
		n := cmp.Or(a.compare(b, field), a.compare(b, "ID"))
		if descending {
			return -n
		}
		return n
	})
}

func (r row) compare(other row, field string) int {
	a, b := r[field], other[field]
	return a.compare(&b)
}

type rowPage struct {
	rows  []row
	total int
	next  int
}

// page cuts out the page that begins at a row.
func page(rows []row, start int) rowPage {
	out := rowPage{total: len(rows)}
	start = min(max(0, start), len(rows))
	end := min(start+pageSize, len(rows))
	if end < len(rows) {
		out.next = end
	}
	out.rows = rows[start:end]
	return out
}
