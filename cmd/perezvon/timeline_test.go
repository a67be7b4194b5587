package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
)

func TestTimelineSaysWhoHungUpAndWhy(t *testing.T) {
	const up = `"answered_at":"2027-01-11T09:00:00Z",`
	var line timeline
	for _, tc := range []struct{ typ, data, want string }{
		{store.EventCallCreated, `{"kind":"internal","manager":"101"}`, "dialled at extension 101"},
		{store.EventCallCreated, `{"kind":"outbound","manager":"101"}`, "dialled at extension 101"},
		{store.EventCallCreated, `{"kind":"outbound","manager":"101","key":"crm"}`, "placed"},
		{store.EventCallState, `{"state":"held","text":"the manager holds"}`, "on hold (the manager holds)"},
		{store.EventTransferred, `{"by":"101","to":"102"}`, "  101 has transferred the call to 102"},
		{store.EventTransferred, `{"by":"101","to":"102","key":"crm"}`, "  transferred from 101 to 102 by crm"},
		{store.EventCallCreated, `{"kind":"callback"}`, "placed"},
		{store.EventLegEnded, `{"role":"customer","number":"+7",` + up + `"reason":"hung up (by customer)"}`, "  the customer's phone +7: hung up by the customer"},
		{store.EventLegEnded, `{"role":"manager","extension":"101",` + up + `"reason":"the call is over (by us)"}`, "  we hung up the manager's phone 101, for the call was over"},
		{store.EventLegEnded, `{"role":"manager","extension":"101",` + up + `"reason":"no audio (by us)"}`, "  we hung up the manager's phone 101: no audio"},
		{store.EventLegEnded, `{"role":"manager","extension":"101","sip_code":487,"reason":"hung up (by customer)"}`, "  we stopped ringing the manager's phone 101: the customer hung up"},
		{store.EventLegEnded, `{"role":"manager","extension":"101","sip_code":486,"reason":"486 Busy Here (User busy)"}`, "  the manager's phone 101 is done: 486 Busy Here (User busy)"},
		{store.EventCallEnded, `{"result":"abandoned","code":"304"}`, "ended: abandoned: the customer hung up while holding [304]"},
		{store.EventCallEnded, `{"result":"missed","code":"304","reason":"603 Decline"}`, "ended: missed: declined (603 Decline) [304]"},
		{
			store.EventCallEnded, `{"result":"manager_unavailable","code":"480","reason":"no manager could be reached; the last one: 603 Decline"}`,
			"ended: no manager could be reached (the last one: 603 Decline) [480]",
		},
	} {
		if got, _ := line.describe(api.Event{Type: tc.typ, Data: json.RawMessage(tc.data)}); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	if got := outcomeWords("inbound", "abandoned", ""); got != "abandoned: the caller gave up" {
		t.Error(got)
	}
}

func TestStoryOfAPhoneSaysWhatBecameOfIt(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	later := at.Add(6200 * time.Millisecond)
	s := story{now: later, zone: time.UTC, call: api.Call{Kind: "inbound", Legs: []api.Leg{{ID: "first"}}}}
	code, hold := 480, "hung up (by customer)"
	for want, l := range map[string]api.Leg{
		"called us; we refused with 480 Temporarily Unavailable.":  {ID: "first", Role: "caller", StartedAt: at, EndedAt: &later, SIPCode: &code},
		"was answered and was up for 6.2 s so far.":                {Role: "manager", State: "answered", StartedAt: at, AnsweredAt: &at},
		"rang 6.2 s; we stopped ringing it: the customer hung up.": {Role: "manager", State: "ended", StartedAt: at, RingAt: &at, EndedAt: &later, Reason: &hold},
		"was answered and was up for 6.2 s; the customer hung up.": {Role: "customer", State: "ended", StartedAt: at, AnsweredAt: &at, EndedAt: &later, Reason: &hold},
	} {
		if got := s.fate(&l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// told are the events of a call in words.
func told(events ...[2]string) (all []string) {
	var line timeline
	for _, e := range events {
		text, _ := line.describe(api.Event{Type: e[0], Data: json.RawMessage(e[1])})
		all = append(all, text)
	}
	return all
}

func TestTimelineTellsWhoCallsFromWhoIsCalled(t *testing.T) {
	for name, c := range map[string]struct{ created, caller, called, calls, answered, dialling, picksUp string }{
		"from outside": {
			`{"kind":"inbound"}`, `"role":"caller","number":"+7","trunk":"carrier"`, `"role":"callee","extension":"101"`,
			"  the caller's phone +7 through carrier calls", "  the caller's phone +7 through carrier is answered by us",
			"  dialling the callee's phone 101", "  the callee's phone 101 is answered",
		},
		"to outside": {
			`{"kind":"outbound","manager":"101"}`, `"role":"manager","extension":"101"`, `"role":"manager","extension":"102"`,
			"  the manager's phone 101 calls", "  the manager's phone 101 is answered by us",
			"  dialling the manager's phone 102", "  the manager's phone 102 is answered", // who takes it over
		},
		"inside": {
			`{"kind":"internal","manager":"101"}`, `"role":"caller","extension":"101"`, `"role":"caller","extension":"103"`,
			"  the caller's phone 101 calls", "  the caller's phone 101 is answered by us",
			"  dialling the caller's phone 103", "  the caller's phone 103 is answered",
		},
		"by a click": {
			`{"kind":"outbound","manager":"101","key":"crm"}`, `"role":"manager","extension":"101"`, `"role":"customer","number":"+7"`,
			"  dialling the manager's phone 101", "  the manager's phone 101 is answered",
			"  dialling the customer's phone +7", "  the customer's phone +7 is answered",
		},
	} {
		got := told(
			[2]string{store.EventCallCreated, c.created},
			[2]string{store.EventLegDialling, `{"id":"1",` + c.caller + `}`}, [2]string{store.EventLegAnswered, `{"id":"1",` + c.caller + `}`},
			[2]string{store.EventLegDialling, `{"id":"2",` + c.called + `}`}, [2]string{store.EventLegAnswered, `{"id":"2",` + c.called + `}`},
		)[1:]
		if want := []string{c.calls, c.answered, c.dialling, c.picksUp}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestEndOfAnInternalCallIsToldOfItsOwnSides(t *testing.T) {
	got := told([2]string{store.EventCallCreated, `{"kind":"internal","manager":"101"}`},
		[2]string{store.EventLegEnded, `{"id":"2","role":"callee","extension":"102","reason":"hung up (by manager)"}`},
		[2]string{store.EventLegEnded, `{"id":"2","role":"callee","extension":"102","answered_at":"2027-01-11T09:00:00Z","reason":"hung up by crm (by us)"}`})
	want := []string{"dialled at extension 101", "  we stopped ringing the callee's phone 102: the manager hung up", "  we hung up the callee's phone 102 for crm"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	reason := "hung up (by manager)"
	l := api.Leg{ID: "1", Role: "caller", State: "ended", StartedAt: at, AnsweredAt: &at, EndedAt: &at, Reason: &reason}
	for _, m := range ladder(&l, "internal", true) {
		if m.text == "BYE" && m.ours {
			t.Error("their BYE is told as ours")
		}
	}
}

func TestStoryOfACallDialledAtAPhone(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	legs := []api.Leg{{ID: "1", Role: "manager", Extension: "101", StartedAt: at, AnsweredAt: &at}, {ID: "2", Role: "customer", Number: "+7", StartedAt: at, AnsweredAt: &at}}
	for key, want := range map[string]string{"": "called us and was up", "crm": "was answered and was up"} {
		var b strings.Builder
		data, _ := json.Marshal(map[string]string{"kind": "outbound", "manager": "101", "key": key})
		s := story{
			out: &console{w: &b}, now: at.Add(time.Second), zone: time.UTC,
			call:   api.Call{Kind: "outbound", Number: "+7", Line: "main", State: "talking", CreatedAt: at, AnsweredAt: &at, Legs: legs},
			events: []api.Event{{Type: store.EventCallCreated, At: at, Data: data}, {Type: store.EventCallState, At: at, Data: json.RawMessage(`{"state":"talking","text":"the hold is over"}`)}},
		}
		s.tell()
		for _, line := range []string{"The manager's phone 101 " + want, "The customer's phone +7 was answered", "Now        talking, since 0:00.0, for 1.0 s\n"} {
			if !strings.Contains(b.String(), line) {
				t.Errorf("%q is missing in\n%s", line, b.String())
			}
		}
		if strings.Contains(b.String(), "instead of the line's route") {
			t.Error(b.String())
		}
	}
}
