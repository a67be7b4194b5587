package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perezvon/internal/store"
)

func runList(t *testing.T, eng Engine) {
	t.Run("filters", func(t *testing.T) { runFilters(t, eng) })
	t.Run("pages hold every call once, newest first", func(t *testing.T) { runPages(t, eng) })
	t.Run("a page is 50 calls unless told, and at most 1000", func(t *testing.T) {
		s := opened(t, eng)
		var last *store.Commit
		for n := range 1001 {
			last = s.SaveCall(newCall(n))
		}
		wait(t, last)
		for limit, want := range map[int]int{0: 50, -1: 50, 1: 1, 1000: 1000, 5000: 1000} {
			calls, next, err := s.Calls(t.Context(), store.Filter{Limit: limit})
			if err != nil || len(calls) != want || next == "" {
				t.Errorf("limit %d: %d calls, next %q, error %v", limit, len(calls), next, err)
			}
		}
	})
	t.Run("later calls do not disturb the pages", func(t *testing.T) {
		s := opened(t, eng)
		for n := range 4 {
			create(t, s, newCall(n))
		}
		first, next, err := s.Calls(t.Context(), store.Filter{Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		create(t, s, newCall(10))
		second, end, err := s.Calls(t.Context(), store.Filter{Limit: 2, Cursor: next})
		if err != nil || end != "" {
			t.Fatalf("next %q, error %v", end, err)
		}
		same(t, "pages", append(ids(first), ids(second)...),
			[]string{newCall(3).ID, newCall(2).ID, newCall(1).ID, newCall(0).ID})
	})
	t.Run("a foreign cursor is refused", func(t *testing.T) {
		s := opened(t, eng)
		create(t, s, newCall(1))
		create(t, s, newCall(2))
		_, good, err := s.Calls(t.Context(), store.Filter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		bad := []string{
			"x", "-", "!", "0", "' OR 1", strings.Repeat("A", 22), strings.Repeat("0", 5000), "\x00", "ж",
			good[1:], good[:len(good)-1], good + "A", good + "=", " " + good, strings.ToUpper(good) + "a",
		}
		for _, cursor := range bad {
			if _, _, err := s.Calls(t.Context(), store.Filter{Cursor: cursor}); !errors.Is(err, store.ErrBadCursor) {
				t.Errorf("cursor %q: error %v", cursor, err)
			}
		}
	})
	t.Run("calls to a number that were asked for are counted, those from it and those that people dial are not", func(t *testing.T) {
		s := opened(t, eng)
		for n := range 8 {
			c := ended(newCall(n))
			c.Number = "+7"
			switch n {
			case 4:
				c.Number = "+8"
			case 5:
				c.Kind = store.KindInbound
			case 6:
				c.Kind = store.KindOutbound
			case 7:
				c.Kind = store.KindInternal
			}
			create(t, s, c)
		}
		limited := func(n, count int, since time.Time) error {
			c := newCall(n)
			c.Number = "+7"
			_, _, err := s.CreateCall(t.Context(), c, store.Admission{PerNumber: store.Limit{Count: count, Since: since}})
			return err
		}
		for since, had := range map[time.Time]int{{}: 4, newCall(1).CreatedAt: 3, newCall(3).CreatedAt: 1} {
			if err := limited(10, had, since); !errors.Is(err, store.ErrTooMany) {
				t.Errorf("%d calls since %v, and one more: %v", had, since, err)
			}
		}
		if err := limited(11, 5, time.Time{}); err != nil {
			t.Errorf("the fifth of five calls: %v", err)
		}
		again := newCall(12)
		again.Number = "+7"
		adm := store.Admission{PerNumber: store.Limit{Count: 1}}
		if got, dup, err := s.CreateCall(t.Context(), again, adm); err != nil || !dup || got.ID != newCall(11).ID {
			t.Errorf("the open callback was not returned: %v, duplicate %v, error %v", got.ID, dup, err)
		}
	})
}

func runFilters(t *testing.T, eng Engine) {
	s := opened(t, eng)
	for n := range 6 {
		c := newCall(n)
		switch n {
		case 1:
			c = ended(c)
		case 2:
			c = ended(c)
			c.Result = store.ResultMissed
		case 3:
			c.Kind = store.KindInbound
		case 4:
			c.Line = "second"
		case 5:
			c.State = store.StateTalking
		}
		create(t, s, c)
	}
	at := func(n int) time.Time { return newCall(n).CreatedAt }
	for name, tc := range map[string]struct {
		f    store.Filter
		want string
	}{
		"nothing":           {store.Filter{}, "5 4 3 2 1 0"},
		"kind":              {store.Filter{Kind: store.KindInbound}, "3"},
		"state":             {store.Filter{State: store.StateQueued}, "4 3 0"},
		"state talking":     {store.Filter{State: store.StateTalking}, "5"},
		"state ended":       {store.Filter{State: store.StateEnded}, "2 1"},
		"result":            {store.Filter{Result: store.ResultMissed}, "2"},
		"number":            {store.Filter{Number: newCall(4).Number}, "4"},
		"line":              {store.Filter{Line: "main"}, "5 3 2 1 0"},
		"from is inclusive": {store.Filter{From: at(4)}, "5 4"},
		"to is exclusive":   {store.Filter{To: at(2)}, "1 0"},
		"from and to":       {store.Filter{From: at(2), To: at(4)}, "3 2"},
		"an empty span":     {store.Filter{From: at(4), To: at(4)}, ""},
		"another zone":      {store.Filter{From: at(4).In(time.FixedZone("", -5*3600))}, "5 4"},
		"a far past":        {store.Filter{From: time.Date(3, 1, 1, 0, 0, 0, 0, time.UTC)}, "5 4 3 2 1 0"},
		"a far future":      {store.Filter{To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "5 4 3 2 1 0"},
		"all at once": {store.Filter{
			Kind: store.KindCallback, State: store.StateEnded, Result: store.ResultCompleted,
			Number: newCall(1).Number, Line: "main", From: at(1), To: at(2),
		}, "1"},
		"no such": {store.Filter{Number: "%"}, ""},
	} {
		calls, next, err := s.Calls(t.Context(), tc.f)
		if err != nil || next != "" {
			t.Errorf("%s: next %q, error %v", name, next, err)
		}
		var got []string
		for _, c := range calls {
			got = append(got, fmt.Sprint(int(c.CreatedAt.Sub(start())/time.Second)))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

// runPages makes calls with few different times, so that many are equal, and
// reads them back in pages of any length under any filter.
func runPages(t *testing.T, eng Engine) {
	s := opened(t, eng)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		line := fmt.Sprint("line", round)
		var all []store.Call
		var last *store.Commit
		for i := range rapid.IntRange(0, 40).Draw(rt, "calls") {
			c := newCall(rapid.IntRange(0, 5).Draw(rt, "second"))
			c.ID = fmt.Sprintf("%016x%016x", rapid.IntRange(0, 3).Draw(rt, "id"), round*1000+i)
			c.Line = line
			if rapid.Bool().Draw(rt, "ended") {
				c = ended(c)
			}
			all = append(all, c)
			last = s.SaveCall(c)
		}
		if last != nil {
			if err := last.Wait(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		f := store.Filter{Line: line, Limit: rapid.IntRange(1, 12).Draw(rt, "limit")}
		f.State = rapid.SampledFrom([]store.State{"", store.StateQueued, store.StateEnded}).Draw(rt, "state")
		want := slices.DeleteFunc(all, func(c store.Call) bool { return f.State != "" && c.State != f.State })
		slices.SortFunc(want, func(a, b store.Call) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
		})
		var got []string
		for page := 0; ; page++ {
			calls, next, err := s.Calls(t.Context(), f)
			if err != nil {
				rt.Fatal(err)
			}
			if len(calls) > f.Limit || (len(calls) == 0 && page > 0) {
				rt.Fatalf("page %d has %d calls, limit %d", page, len(calls), f.Limit)
			}
			got = append(got, ids(calls)...)
			if next == "" {
				break
			}
			f.Cursor = next
		}
		if !slices.Equal(got, ids(want)) {
			rt.Fatalf("got %v\nwant %v", got, ids(want))
		}
	})
}
