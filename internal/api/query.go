package api

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// strictQuery is embedded in inputs: a parameter that does not exist is a
// mistake, not something to pass over.
type strictQuery struct{}

// Resolve names every unknown parameter.
func (strictQuery) Resolve(ctx huma.Context) []error {
	var known []string
	for _, p := range ctx.Operation().Parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	u := ctx.URL()
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return []error{badField("query", "is not a valid query string: "+err.Error())}
	}
	var errs []error
	for name := range query {
		if slices.Contains(known, name) {
			continue
		}
		detail := "is not a parameter of this request"
		if len(known) > 0 {
			detail += "; there are " + strings.Join(known, ", ")
		}
		errs = append(errs, badField(name, detail))
	}
	return errs
}

func badField(field, detail string) *huma.ErrorDetail {
	return &huma.ErrorDetail{Location: field, Message: detail}
}

// moment reads an RFC 3339 time or a date, whose midnight is meant. A plus
// sign that was not escaped arrives as a space.
func moment(s string, zone *time.Location) (time.Time, bool) {
	s = strings.ReplaceAll(s, " ", "+")
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	return t, err == nil
}
