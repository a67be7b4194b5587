package bitrix

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"perezvon/internal/store"
)

// maxRows is how many calls one request looks through that match. Whoever has
// more asks by date.
const maxRows = 200_000

// statisticGet is voximplant.statistic.get: the calls that have ended
// (https://apidocs.bitrix24.com/api-reference/telephony/voximplant/statistic/voximplant-statistic-get.html).
func (a *API) statisticGet(ctx context.Context, q *query) (*reply, *Error) {
	sample := a.statisticRow(&store.Call{})
	filter, _ := q.params.get("FILTER").(*dict)
	conditions, bad := parseFilter(filter, sample, a.Zone())
	if bad != nil {
		return nil, bad
	}
	by := strings.ToUpper(q.text("SORT"))
	if by == "" {
		by = "ID"
	}
	if _, ok := sample[by]; !ok || by == "CALL_TYPE" {
		return nil, errInvalid("SORT", "names no field that calls can be sorted by")
	}
	rows, bad := a.statisticRows(ctx, q, conditions)
	if bad != nil {
		return nil, bad
	}
	sortRows(rows, by, strings.EqualFold(q.text("ORDER"), "DESC"))
	p := page(rows, q.start())
	out := make([]map[string]any, 0, len(p.rows))
	for _, r := range p.rows {
		out = append(out, r.plain())
	}
	return &reply{result: out, paged: q.start() >= 0, total: p.total, next: p.next}, nil
}

// statisticRows collects the calls that match.
func (a *API) statisticRows(ctx context.Context, q *query, conditions terms) ([]row, *Error) {
	filter := store.Filter{State: store.StateEnded, Limit: 1000}
	conditions.narrow(&filter)
	rows := []row{}
	for {
		calls, next, err := a.Records.Calls(ctx, filter)
		if err != nil {
			return nil, a.failed(ctx, q, err)
		}
		for i := range calls {
			c := &calls[i]
			if callTypes[c.Kind] == "" || !q.client.Sees(c.Line) {
				continue
			}
			if r := a.statisticRow(c); conditions.match(r) {
				rows = append(rows, r)
			}
		}
		if len(rows) > maxRows {
			return nil, errCore("Too many calls match: narrow the filter by CALL_START_DATE")
		}
		if next == "" {
			return rows, nil
		}
		filter.Cursor = next
	}
}

// narrow has the store look only where calls can match.
func (ts terms) narrow(f *store.Filter) {
	for _, t := range ts {
		if t.field != "CALL_START_DATE" || t.not || len(t.cells) == 0 || t.cells[0].null {
			continue
		}
		from, to := t.cells[0].time, t.cells[len(t.cells)-1].time
		switch t.op {
		case ">", ">=":
			f.From = from
		case "<", "<=":
			f.To = to.Add(time.Second)
		case "><":
			f.From, f.To = from, to.Add(time.Second)
		}
	}
}

// callTypes are Bitrix24's for our kinds of calls; a call between phones of the
// office is none of them.
var callTypes = map[store.Kind]string{
	store.KindOutbound: "1", store.KindInbound: "2", store.KindCallback: "4", store.KindInfocall: "5",
}

// statisticRow is a call as Bitrix24 tells of it. Its id is a number that grows
// with the calls.
func (a *API) statisticRow(c *store.Call) row {
	kind := callTypes[c.Kind]
	if kind == "2" && forwarded(c) {
		kind = "3"
	}
	r := row{
		"ID": number(numericID(c.ID)), "PORTAL_USER_ID": null(true), "PORTAL_NUMBER": text(c.Line), "PHONE_NUMBER": text(c.Number),
		"CALL_ID": text(callID(c)), "EXTERNAL_CALL_ID": null(false), "CALL_CATEGORY": text("external"),
		"CALL_TYPE": text(kind), "CALL_START_DATE": moment(c.CreatedAt, a.Zone()), "CALL_DURATION": number(c.TalkMS / 1000),
		"CALL_FAILED_CODE": text(c.Code), "CALL_FAILED_REASON": text(c.Reason), "CALL_RECORD_URL": null(false), "RECORD_DURATION": null(true),
		"RECORD_FILE_ID": null(true), "REDIAL_ATTEMPT": number(max(0, len(c.Attempts)-1)), "COST": text("0.0000"), "COST_CURRENCY": text(""),
		"TRANSCRIPT_PENDING": text("N"), "TRANSCRIPT_ID": null(true), "SESSION_ID": null(true), "CALL_VOTE": null(true), "CALL_LOG": null(false),
		"COMMENT": null(false), "CRM_ENTITY_TYPE": null(false), "CRM_ENTITY_ID": null(true), "CRM_ACTIVITY_ID": null(true),
		"REST_APP_ID": null(true), "REST_APP_NAME": null(false),
	}
	if c.Manager != nil {
		r["PORTAL_USER_ID"] = textOr(c.Manager.Extension)
	}
	if rec := c.Recording; rec != nil {
		r["RECORD_DURATION"] = number(rec.DurationMS / 1000)
		if base := strings.TrimSuffix(a.Settings().HTTP.PublicURL, "/"); base != "" {
			r["CALL_RECORD_URL"] = text(base + "/api/v1/calls/" + c.ID + "/recording")
		}
	}
	return r
}

// forwarded reports whether a call that came in was answered outside.
func forwarded(c *store.Call) bool {
	for i := range c.Legs {
		if l := &c.Legs[i]; l.Role == store.RoleCallee && l.AnsweredAt != nil {
			return l.Trunk != ""
		}
	}
	return false
}

// numericID makes a number of a UUIDv7: its milliseconds and the twelve bits
// behind them, which count within one (RFC 9562 5.7 and 6.2).
func numericID(id string) int64 {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) < 8 {
		return 0
	}
	var n int64
	for _, b := range raw[:6] {
		n = n<<8 | int64(b)
	}
	return n<<12 | int64(raw[6]&0x0f)<<8 | int64(raw[7])
}
