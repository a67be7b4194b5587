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
	kept := &shelf{by: by, descending: strings.EqualFold(q.text("ORDER"), "DESC"), most: min(max(0, q.start()), maxRows) + pageSize}
	if bad := a.statisticRows(ctx, q, conditions, kept); bad != nil {
		return nil, bad
	}
	p := kept.page(q.start())
	out := make([]map[string]any, 0, len(p.rows))
	for _, r := range p.rows {
		out = append(out, a.statisticRow(&r.call).plain())
	}
	return &reply{result: out, paged: q.start() >= 0, total: p.total, next: p.next}, nil
}

// statisticRows puts the calls that match on a shelf.
func (a *API) statisticRows(ctx context.Context, q *query, conditions terms, kept *shelf) *Error {
	filter := store.Filter{State: store.StateEnded, Limit: 1000}
	conditions.narrow(&filter)
	zone := a.Zone()
	for {
		calls, next, err := a.Records.Calls(ctx, filter)
		if err != nil {
			return a.failed(ctx, q, err)
		}
		for i := range calls {
			c := &calls[i]
			if callTypes[c.Kind] == "" || !q.client.Sees(c.Line) {
				continue
			}
			cellOf := func(field string) cell { return a.statisticCell(c, field, zone) }
			if conditions.match(cellOf) {
				kept.put(ranked{by: cellOf(kept.by), id: cellOf("ID"), call: *c})
			}
		}
		if kept.total > maxRows {
			return errCore("Too many calls match: narrow the filter by CALL_START_DATE")
		}
		if next == "" {
			return nil
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

// statisticRow is a call as Bitrix24 tells of it.
func (a *API) statisticRow(c *store.Call) row {
	r, zone := make(row, len(statisticFields)), a.Zone()
	for _, name := range statisticFields {
		r[name] = a.statisticCell(c, name, zone)
	}
	return r
}

// statisticFields are the fields of a row.
var statisticFields = []string{
	"ID", "PORTAL_USER_ID", "PORTAL_NUMBER", "PHONE_NUMBER", "CALL_ID", "EXTERNAL_CALL_ID", "CALL_CATEGORY", "CALL_TYPE", "CALL_START_DATE",
	"CALL_DURATION", "CALL_FAILED_CODE", "CALL_FAILED_REASON", "CALL_RECORD_URL", "RECORD_DURATION", "RECORD_FILE_ID", "REDIAL_ATTEMPT",
	"COST", "COST_CURRENCY", "TRANSCRIPT_PENDING", "TRANSCRIPT_ID", "SESSION_ID", "CALL_VOTE", "CALL_LOG", "COMMENT",
	"CRM_ENTITY_TYPE", "CRM_ENTITY_ID", "CRM_ACTIVITY_ID", "REST_APP_ID", "REST_APP_NAME",
}

// statisticCell is one field of a row. Each is made when it is looked at: of
// most calls that are looked through it is one or two. The id is a number that
// grows with the calls.
func (a *API) statisticCell(c *store.Call, field string, zone *time.Location) cell {
	switch field {
	case "ID":
		return number(numericID(c.ID))
	case "PORTAL_NUMBER":
		return text(c.Line)
	case "PHONE_NUMBER":
		return text(c.Number)
	case "CALL_ID":
		return text(callID(c))
	case "CALL_TYPE":
		return text(callType(c))
	case "CALL_START_DATE":
		return moment(c.CreatedAt, zone)
	case "CALL_DURATION":
		return number(c.TalkMS / 1000)
	case "CALL_FAILED_CODE":
		return text(c.Code)
	case "CALL_FAILED_REASON":
		return text(c.Reason)
	case "REDIAL_ATTEMPT":
		return number(max(0, len(c.Attempts)-1))
	case "PORTAL_USER_ID":
		if c.Manager != nil {
			return textOr(c.Manager.Extension)
		}
		return null(true)
	case "RECORD_DURATION":
		if c.Recording != nil {
			return number(c.Recording.DurationMS / 1000)
		}
		return null(true)
	case "CALL_RECORD_URL":
		return a.recordURL(c)
	}
	return sameCell(field)
}

// recordURL is where the recording of a call is.
func (a *API) recordURL(c *store.Call) cell {
	base := strings.TrimSuffix(a.Settings().HTTP.PublicURL, "/")
	if c.Recording == nil || base == "" {
		return null(false)
	}
	return text(base + "/api/v1/calls/" + c.ID + "/recording")
}

// sameCell is a field that is the same of all calls.
func sameCell(field string) cell {
	switch field {
	case "CALL_CATEGORY":
		return text("external")
	case "COST":
		return text("0.0000")
	case "COST_CURRENCY":
		return text("")
	case "TRANSCRIPT_PENDING":
		return text("N")
	case "EXTERNAL_CALL_ID", "CALL_LOG", "COMMENT", "CRM_ENTITY_TYPE", "REST_APP_NAME":
		return null(false)
	}
	return null(true)
}

// callType is Bitrix24's number of a kind of calls.
func callType(c *store.Call) string {
	if c.Kind == store.KindInbound && forwarded(c) {
		return "3"
	}
	return callTypes[c.Kind]
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
