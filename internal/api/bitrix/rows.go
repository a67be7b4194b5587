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
	text string
	time time.Time // where it is a date
	null bool
	num  bool
	date bool
}

func text(s string) cell             { return cell{text: s} }
func number[T int | int64](n T) cell { return cell{text: itoa(n), num: true} }
func null(num bool) cell             { return cell{null: true, num: num} }

// textOr is null where there is no text.
func textOr(s string) cell { return cell{text: s, null: s == ""} }

func moment(t time.Time, zone *time.Location) cell {
	return cell{text: t.In(zone).Format(time.RFC3339), time: t, date: true}
}

// row is one of a list, by the names of its fields.
type row map[string]cell

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
func (c cell) compare(other cell) int {
	switch {
	case c.null || other.null:
		return cmp.Compare(at(!c.null), at(!other.null))
	case c.date && other.date:
		return c.time.Compare(other.time)
	case c.num && other.num:
		a, _ := strconv.ParseInt(c.text, 10, 64) // numbers of ours
		b, err := strconv.ParseInt(other.text, 10, 64)
		if err == nil {
			return cmp.Compare(a, b)
		}
	}
	return cmp.Compare(strings.ToLower(c.text), strings.ToLower(other.text))
}

// sortRows orders by a field, rows that are the same in it by their id.
func sortRows(rows []row, field string, descending bool) {
	slices.SortStableFunc(rows, func(a, b row) int {
		n := cmp.Or(a[field].compare(b[field]), a["ID"].compare(b["ID"]))
		if descending {
			return -n
		}
		return n
	})
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
