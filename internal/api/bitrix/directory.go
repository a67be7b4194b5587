package bitrix

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"perezvon/configs"
)

// lines are those that the client may use, in the order of the configuration.
func (a *API) lines(q *query) []configs.Line {
	return slices.DeleteFunc(slices.Clone(a.Settings().Lines), func(l configs.Line) bool { return !q.client.Sees(l.ID) })
}

// lineGet is voximplant.line.get: the names of the lines by their ids.
func (a *API) lineGet(_ context.Context, q *query) (*reply, *Error) {
	out := new(phpMap)
	for _, l := range a.lines(q) {
		out.set(l.ID, cmp.Or(l.Name, l.Number, l.ID))
	}
	return &reply{result: out}, nil
}

// lineOutgoingGet is voximplant.line.outgoing.get: calls out go through the
// first line unless they name another.
func (a *API) lineOutgoingGet(_ context.Context, q *query) (*reply, *Error) {
	lines := a.lines(q)
	if len(lines) == 0 {
		return &reply{result: ""}, nil
	}
	return &reply{result: lines[0].ID}, nil
}

// voicesGet is voximplant.tts.voices.get: the names of the voices by their ids.
func (a *API) voicesGet(context.Context, *query) (*reply, *Error) {
	out := new(phpMap)
	voices := a.Settings().TTS.Voices
	for _, id := range slices.Sorted(maps.Keys(voices)) {
		out.set(id, cmp.Or(voices[id].Name, id))
	}
	return &reply{result: out}, nil
}

// urlGet is voximplant.url.get: where what Bitrix24 has pages for is found here.
func (a *API) urlGet(context.Context, *query) (*reply, *Error) {
	base := strings.TrimSuffix(a.Settings().HTTP.PublicURL, "/")
	return &reply{result: map[string]string{
		"detail_statistics": base + "/api/v1/calls",
		"buy_connector":     base + "/docs",
		"edit_config":       base + "/docs?config=#CONFIG_ID#",
		"lines":             base + "/api/v1/lines",
	}}, nil
}

// userFields are those of user.get; the number of an extension is the user's id.
func userRow(e *configs.Extension) row {
	return row{
		"ID": text(e.Number), "ACTIVE": text("Y"), "NAME": text(e.Name), "LAST_NAME": text(""), "USER_TYPE": text("employee"),
		"PERSONAL_MOBILE": text(e.Mobile), "UF_PHONE_INNER": text(e.Number),
	}
}

// userGet is user.get: the extensions as employees.
func (a *API) userGet(_ context.Context, q *query) (*reply, *Error) {
	filter, _ := q.params.get("FILTER").(*dict)
	terms, bad := parseFilter(filter, userRow(&configs.Extension{}), a.Zone())
	if bad != nil {
		return nil, bad
	}
	if id := q.text("ID"); id != "" {
		terms = append(terms, term{field: "ID", op: "=", cells: []cell{text(id)}})
	}
	rows := []row{}
	extensions := a.Settings().Extensions
	for i := range extensions {
		if r := userRow(&extensions[i]); terms.match(r.cell) {
			rows = append(rows, r)
		}
	}
	if by := strings.ToUpper(q.text("SORT")); by != "" {
		if _, ok := userRow(&configs.Extension{})[by]; !ok {
			return nil, errInvalid("SORT", "names no field")
		}
		sortRows(rows, by, strings.EqualFold(q.text("ORDER"), "DESC"))
	}
	out := page(rows, q.start())
	users := make([]map[string]any, 0, len(out.rows))
	for _, r := range out.rows {
		u := r.plain()
		u["ACTIVE"] = true
		users = append(users, u)
	}
	return &reply{result: users, paged: q.start() >= 0, total: out.total, next: out.next}, nil
}
