package bitrix

import (
	"cmp"
	"slices"

	"perezvon/internal/store"
)

// ranked is a call with what it is sorted by.
type ranked struct {
	by, id cell
	call   store.Call
}

// shelf keeps the calls that come first in an order, and counts all. What is
// looked through may be many times what a page shows.
type shelf struct {
	by         string // the field
	descending bool
	most       int // how many are needed

	rows  []ranked
	total int
}

// spare is how many more than needed are kept before they are sorted out.
const spare = 1000

func (s *shelf) put(r ranked) {
	s.total++
	s.rows = append(s.rows, r)
	if len(s.rows) >= 2*s.most+spare {
		s.sort()
	}
}

// sort puts the calls in order and drops those that are not needed.
func (s *shelf) sort() {
	slices.SortStableFunc(s.rows, func(a, b ranked) int {
		n := cmp.Or(a.by.compare(&b.by), a.id.compare(&b.id))
		if s.descending {
			return -n
		}
		return n
	})
	if len(s.rows) > s.most {
		clear(s.rows[s.most:])
		s.rows = s.rows[:s.most]
	}
}

type shelfPage struct {
	rows  []ranked
	total int
	next  int
}

// page cuts out the page that begins at a row.
func (s *shelf) page(start int) shelfPage {
	s.sort()
	start = min(max(0, start), s.total)
	end := min(start+pageSize, s.total)
	out := shelfPage{rows: s.rows[start:end], total: s.total}
	if end < s.total {
		out.next = end
	}
	return out
}
