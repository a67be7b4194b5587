package main

import (
	"encoding/json"
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
	s := story{now: later, zone: time.UTC}
	code, hold := 480, "hung up (by customer)"
	for want, l := range map[string]api.Leg{
		"called us; we refused with 480 Temporarily Unavailable.":  {Role: "caller", StartedAt: at, EndedAt: &later, SIPCode: &code},
		"was answered and was up for 6.2 s so far.":                {Role: "manager", State: "answered", StartedAt: at, AnsweredAt: &at},
		"rang 6.2 s; we stopped ringing it: the customer hung up.": {Role: "manager", State: "ended", StartedAt: at, RingAt: &at, EndedAt: &later, Reason: &hold},
		"was answered and was up for 6.2 s; the customer hung up.": {Role: "customer", State: "ended", StartedAt: at, AnsweredAt: &at, EndedAt: &later, Reason: &hold},
	} {
		if got := s.fate(&l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
