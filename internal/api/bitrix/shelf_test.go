package bitrix

import (
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestShelfKeepsWhatThePageNeedsAndCountsTheRest(t *testing.T) {
	const calls, start = 20_000, 100
	for _, descending := range []bool{false, true} {
		s := &shelf{descending: descending, most: start + pageSize}
		var all []int
		most := 0
		for i := range calls {
			n := i * 7919 % calls
			all = append(all, n)
			s.put(ranked{by: number(n / 3), id: number(n), call: store.Call{TalkMS: int64(n)}})
			most = max(most, len(s.rows))
		}
		if limit := 2*s.most + spare; most > limit {
			t.Errorf("%d calls are kept at one time, want at most %d", most, limit)
		}
		slices.Sort(all)
		if descending {
			slices.Reverse(all)
		}
		p := s.page(start)
		if p.total != calls || p.next != start+pageSize || len(p.rows) != pageSize {
			t.Fatalf("%d rows of %d, next %d", len(p.rows), p.total, p.next)
		}
		for i, r := range p.rows {
			if r.call.TalkMS != int64(all[start+i]) {
				t.Fatalf("descending %v: row %d is %d, want %d", descending, start+i, r.call.TalkMS, all[start+i])
			}
		}
	}
}

func TestValueOfAFilterIsReadOnceForAllCalls(t *testing.T) {
	long := strings.Repeat("A", 1<<16)
	b := newBed(t, tester{})
	sample := b.api.statisticRow(&store.Call{})
	for _, key := range []string{"PHONE_NUMBER", "%PHONE_NUMBER", ">PHONE_NUMBER", "CALL_DURATION", "ID"} {
		filter := new(dict)
		filter.set(key, long)
		conditions, bad := parseFilter(filter, sample, time.UTC)
		if bad != nil {
			t.Fatal(key, bad)
		}
		c := text("+79990000001")
		if field := conditions[0].field; sample[field].num {
			c = number(7)
		}
		cellOf := func(string) cell { return c }
		if n := testing.AllocsPerRun(10, func() { conditions.match(cellOf) }); n > 0 {
			t.Errorf("%s: the value is written anew %v times for each call", key, n)
		}
	}
}

// told counts how often it was written.
type told struct{ times *int }

func (c told) MarshalJSON() ([]byte, error) {
	*c.times++
	return []byte(`{"X":"1"}`), nil
}

func TestResultInABatchIsReadOnceHoweverOftenItIsReferredTo(t *testing.T) {
	var done batchResult
	times := 0
	done.Result.set("a", told{&times})
	if got := refer(strings.Repeat("$result[a][X]", 1000), &done); got != strings.Repeat("1", 1000) || times != 1 {
		t.Errorf("read %d times: %.20v", times, got)
	}
}

func TestEveryFieldOfTheStatisticIsSortedAndFilteredBy(t *testing.T) {
	b := history(t, 5)
	for field := range b.api.statisticRow(&store.Call{}) {
		if field == "CALL_TYPE" {
			continue
		}
		if rows, got := b.durations(t, "SORT", field, "FILTER[!="+field+"]", "2026-01-01"); rows == "" {
			t.Errorf("%s: %s", field, got.raw)
		}
	}
	if n := len(b.api.statisticRow(&store.Call{})); n != 29 {
		t.Errorf("a row has %d fields", n)
	}
}
