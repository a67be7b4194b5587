package bitrix

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

// history is a bed with calls that have ended, newest first, and one that has
// not. The nth call lasted n seconds.
func history(t *testing.T, n int) *bed {
	t.Helper()
	b := newBed(t, tester{})
	kinds := []store.Kind{store.KindCallback, store.KindInbound, store.KindOutbound, store.KindInternal}
	for i := n; i > 0; i-- {
		at := created.Add(time.Duration(i) * time.Minute)
		c := store.Call{
			ID: fmt.Sprintf("%012x7%03x8def0123456789ab", at.UnixMilli(), i), Kind: kinds[i%len(kinds)], State: store.StateEnded,
			Line: "reg1332", Number: fmt.Sprintf("+7999000%04d", i), CreatedAt: at, TalkMS: int64(i)*1000 + 999, Code: "200", Reason: "",
			Manager: &store.Endpoint{Extension: "101"},
		}
		if i%2 == 1 {
			c.Code, c.Reason, c.Manager = "304", "nobody answered", nil
		}
		b.records = append(b.records, c)
	}
	b.records = append([]store.Call{{ID: testCallID, Kind: store.KindCallback, State: store.StateTalking, CreatedAt: created.Add(time.Hour)}}, b.records...)
	return b
}

// durations asks for the statistic and returns the durations of its rows.
func (b *bed) durations(t *testing.T, pairs ...string) (string, answer) {
	t.Helper()
	got := b.ask(t, hook+"voximplant.statistic.get?"+form(pairs...), "", "")
	rows, ok := got.Result.([]any)
	if !ok {
		t.Fatalf("%q: %s", pairs, got.raw)
	}
	var out []string
	for _, r := range rows {
		one, _ := r.(map[string]any)
		out = append(out, fmt.Sprint(one["CALL_DURATION"]))
	}
	return strings.Join(out, " "), got
}

func TestStatisticRowIsAsDocumented(t *testing.T) {
	b := history(t, 1)
	c := &b.records[1]
	c.Kind, c.Code, c.Manager = store.KindInbound, "200", &store.Endpoint{Extension: "101"}
	c.Recording = &store.Recording{DurationMS: 61500}
	c.Legs = []store.Leg{{Role: store.RoleCallee, Trunk: "provider", AnsweredAt: &created}}
	_, got := b.durations(t)
	row, _ := got.Result.([]any)[0].(map[string]any)
	for field, want := range map[string]any{
		"CALL_TYPE": "3", "PORTAL_USER_ID": "101", "PORTAL_NUMBER": "reg1332", "PHONE_NUMBER": "+79990000001", "CALL_CATEGORY": "external",
		"CALL_ID": "inbound." + c.ID + ".1795176060", "CALL_DURATION": "1", "CALL_START_DATE": "2026-11-20T15:01:00+03:00", "CALL_FAILED_CODE": "200",
		"CALL_RECORD_URL": "https://pbx.example.com/api/v1/calls/" + c.ID + "/recording", "RECORD_DURATION": "61", "CALL_VOTE": nil, "CRM_ENTITY_ID": nil,
		"COST": "0.0000", "TRANSCRIPT_PENDING": "N", "REDIAL_ATTEMPT": "0", "EXTERNAL_CALL_ID": nil,
	} {
		if value, ok := row[field]; !ok || value != want {
			t.Errorf("%s is %#v, want %#v", field, value, want)
		}
	}
	if id, _ := row["ID"].(string); id != fmt.Sprint(c.CreatedAt.UnixMilli()<<12|1) {
		t.Errorf("ID %s", id)
	}
}

func TestStatisticIsFilteredSortedAndPaged(t *testing.T) {
	b := history(t, 12) // 3, 7 and 11 are between phones of the office
	for _, c := range []struct {
		want  string
		pairs []string
	}{
		{"1 2 4 5 6 8 9 10 12", nil},
		{"12 10 9 8 6 5 4 2 1", []string{"SORT", "CALL_DURATION", "ORDER", "desc"}},
		{"4 8 12", []string{"FILTER[CALL_TYPE]", "4"}},
		{"1 5 9", []string{"filter[CALL_TYPE]", "2"}},
		{"1 2 5 6 9 10", []string{"FILTER[CALL_TYPE][]", "1", "FILTER[CALL_TYPE][]", "2"}},
		{"9 10 12", []string{"FILTER[>CALL_DURATION]", "8"}},
		{"8 9 10 12", []string{"FILTER[>=CALL_DURATION]", "8"}},
		{"5 6 8", []string{"FILTER[><CALL_DURATION][]", "5", "FILTER[><CALL_DURATION][]", "8"}},
		{"1 2 4 9 10 12", []string{"FILTER[!><CALL_DURATION][0]", "5", "FILTER[!><CALL_DURATION][1]", "8"}},
		{"1 5 9", []string{"FILTER[PORTAL_USER_ID]", ""}},
		{"2 4 6 8 10 12", []string{"FILTER[!PORTAL_USER_ID]", ""}},
		{"10", []string{"FILTER[%PHONE_NUMBER]", "0010"}},
		{"1 5 9", []string{"FILTER[!=CALL_FAILED_CODE]", "200"}},
		{"1 5 9", []string{"FILTER[?CALL_FAILED_REASON]", "NOBODY"}},
		{"10 12", []string{"FILTER[>=CALL_START_DATE]", "2026-11-20T15:10:00+03:00"}},
		{"1 2", []string{"FILTER[<CALL_START_DATE]", "2026-11-20 15:03:00"}},
		{"4 5", []string{"FILTER[>CALL_START_DATE]", "20.11.2026 15:03:00", "FILTER[<=CALL_START_DATE]", "2026-11-20T12:05:00Z"}},
		{"4", []string{"FILTER[CALL_ID]", callID(&b.records[9])}},
		{"", []string{"FILTER[>CALL_START_DATE]", "2026-11-21"}},
	} {
		if got, _ := b.durations(t, c.pairs...); got != c.want {
			t.Errorf("%s: %s, want %s", url.QueryEscape(strings.Join(c.pairs, " ")), got, c.want)
		}
	}
}

func TestStatisticComesInPagesOfFifty(t *testing.T) {
	b := history(t, 180)
	seen := map[string]bool{}
	start := 0
	for page := range 4 {
		_, got := b.durations(t, "start", fmt.Sprint(start))
		if got.Total == nil || *got.Total != 135 {
			t.Fatalf("total: %s", got.raw[:200])
		}
		rows, _ := got.Result.([]any)
		for _, r := range rows {
			one, _ := r.(map[string]any)
			seen[fmt.Sprint(one["ID"])] = true
		}
		if last := page == 2; (got.Next == nil) != last {
			t.Fatalf("page %d: next %v", page, got.Next)
		}
		if got.Next == nil {
			break
		}
		start = *got.Next
	}
	if len(seen) != 135 {
		t.Errorf("%d calls on all pages", len(seen))
	}
	if got, _ := b.durations(t, "start", "1000"); got != "" {
		t.Errorf("behind the last page: %s", got)
	}
}

func TestStatisticShowsOnlyTheLinesOfTheKey(t *testing.T) {
	b := newBed(t, tester{lines: []string{"sip2"}})
	b.records = history(t, 8).records
	if got, _ := b.durations(t); got != "" {
		t.Errorf("calls of another line: %s", got)
	}
}
