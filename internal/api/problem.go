package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// Problem is an RFC 9457 problem. It is an error and what clients see of it.
type Problem struct {
	Title  string       `json:"title" doc:"The HTTP status in words" example:"Unprocessable Entity"`
	Status int          `json:"status" doc:"The HTTP status" example:"422"`
	Code   string       `json:"code" doc:"What went wrong, for programs; never changes" example:"invalid_number"`
	Detail string       `json:"detail" doc:"What went wrong, for people" example:"number: is too short"`
	Errors []FieldError `json:"errors,omitempty" nullable:"false" doc:"Every bad field"`

	header http.Header // sent with it
}

// FieldError is one bad field of a request.
type FieldError struct {
	Field  string `json:"field" doc:"Name of the field, parameter or header" example:"number"`
	Detail string `json:"detail" doc:"What is wrong and what would be right" example:"is too short"`
}

func newProblem(status int, code, detail string, errs ...FieldError) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Errors: errs}
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status, as huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are sent with the problem.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of problems.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// with adds a header.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// retryAfter says when to come back, in whole seconds and at least one.
func (p *Problem) retryAfter(d time.Duration) *Problem {
	return p.with("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

// write sends the problem outside of huma.
func (p *Problem) write(w http.ResponseWriter, log *slog.Logger) {
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", problemType)
	w.Header().Del("Content-Length")
	w.WriteHeader(p.Status)
	if err := encode(w, p); err != nil {
		log.Debug("problem not delivered", "error", err)
	}
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func jsonFormat() huma.Format {
	return huma.Format{Marshal: encode, Unmarshal: json.Unmarshal}
}

// problemOf turns what a handler met into a problem. What is not the
// client's doing is logged and told without particulars.
func (a *API) problemOf(ctx context.Context, op string, err error) *Problem {
	var (
		p       *Problem
		refused *call.RefusedError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refused):
		return refusal(refused)
	case errors.Is(err, store.ErrKeyReused):
		return keyReused()
	case errors.Is(err, store.ErrAway):
		return newProblem(http.StatusServiceUnavailable, CodeStoreAway,
			"Redis does not answer, and this machine alone does not know this; calls go on, and new ones are taken").retryAfter(comeBack)
	case errors.Is(err, store.ErrClosed):
		return newProblem(http.StatusServiceUnavailable, CodeNotReady, "the store is closed: the server stops or starts").retryAfter(comeBack)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return newProblem(http.StatusServiceUnavailable, CodeTimeout, "the request was given up").retryAfter(comeBack)
	}
	a.Logger.ErrorContext(ctx, "request went wrong", "op", op, "error", err)
	return newProblem(http.StatusInternalServerError, CodeInternal, "the server met an error; its log says more")
}

// callNotFound repeats the id, as far as it could be one: who pastes too much
// or too little sees it.
func callNotFound(id string) *Problem {
	const most = 40
	if r := []rune(id); len(r) > most {
		id = string(r[:most]) + "…"
	}
	return newProblem(http.StatusNotFound, CodeCallNotFound, fmt.Sprintf("there is no such call: %q", id))
}

func badCursor(field string) *Problem {
	return newProblem(http.StatusUnprocessableEntity, CodeInvalidRequest, field+": is not from an earlier answer; leave it out to start from the beginning",
		FieldError{field, "is not from an earlier answer; leave it out to start from the beginning"})
}

// comeBack is when to try again where nothing better is known.
const comeBack = 5 * time.Second

// refusal is a request that made no call.
func refusal(r *call.RefusedError) *Problem {
	p := newProblem(r.Status, r.Code, "")
	var general []string
	for _, bad := range r.Problems {
		if bad.Field == "" {
			general = append(general, bad.Detail)
			continue
		}
		p.Errors = append(p.Errors, FieldError(bad))
	}
	p.Errors = tidy(p.Errors)
	if p.Detail = strings.Join(general, "; "); p.Detail == "" {
		p.Detail = summary(p.Errors)
	}
	if p.Detail == "" {
		p.Detail = "the request is refused"
	}
	switch {
	case r.RetryAfter > 0:
		return p.retryAfter(r.RetryAfter)
	case r.Status == http.StatusServiceUnavailable:
		return p.retryAfter(comeBack)
	}
	return p
}

// summary says in one line what the list says in full.
func summary(errs []FieldError) string {
	switch len(errs) {
	case 0:
		return ""
	case 1:
		return errs[0].Field + ": " + errs[0].Detail
	default:
		names := make([]string, 0, len(errs))
		for _, e := range errs {
			names = append(names, e.Field)
		}
		return strconv.Itoa(len(errs)) + " fields are wrong: " + strings.Join(slices.Compact(names), ", ")
	}
}

// tidy orders by field and drops repetitions, so that the same mistakes
// always give the same answer.
func tidy(errs []FieldError) []FieldError {
	slices.SortStableFunc(errs, func(a, b FieldError) int { return cmp.Compare(a.Field, b.Field) })
	return slices.Compact(errs)
}

// limitOf is how large the body of an operation may be, for people.
func limitOf(op *huma.Operation) string {
	if n := op.MaxBodyBytes >> 20; n > 0 {
		return strconv.FormatInt(n, 10) + " MiB"
	}
	return strconv.Itoa(maxBody>>10) + " KiB"
}

// transformError replaces huma's error model by a problem.
func transformError(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	errs := make([]FieldError, 0, len(m.Errors))
	for _, d := range m.Errors {
		if d != nil {
			errs = append(errs, fieldError(d))
		}
	}
	if m.Status == http.StatusUnprocessableEntity {
		errs = moreProblems(ctx.Context(), errs)
	}
	errs = tidy(errs)
	switch m.Status {
	case http.StatusBadRequest:
		if len(errs) == 0 {
			return newProblem(m.Status, CodeBadJSON, "the body is empty; send a JSON object"), nil
		}
		return newProblem(m.Status, CodeBadJSON, "the body is not JSON: "+errs[len(errs)-1].Detail, errs...), nil
	case http.StatusRequestTimeout:
		return newProblem(m.Status, CodeTimeout, "the body did not arrive in time"), nil
	case http.StatusRequestEntityTooLarge:
		return newProblem(m.Status, CodeBodyTooLarge, "the body is larger than "+limitOf(ctx.Operation())), nil
	case http.StatusUnsupportedMediaType:
		return newProblem(m.Status, CodeMediaType, "send the body as application/json"), nil
	case http.StatusUnprocessableEntity:
		return newProblem(m.Status, CodeInvalidRequest, summary(errs), errs...), nil
	case http.StatusInternalServerError: // only a body that broke off reaches this
		return newProblem(http.StatusInternalServerError, CodeInternal, "the request could not be read"), nil
	default:
		return newProblem(m.Status, CodeBadRequest, m.Detail, errs...), nil
	}
}

// requiredRE finds the field in huma's sentence about a missing one.
var requiredRE = regexp.MustCompile(`^expected required property (\S+) to be present$`)

// fieldError names the field as the client did: without huma's "body." and
// "query." in front.
func fieldError(d *huma.ErrorDetail) FieldError {
	field := d.Location
	for _, prefix := range []string{"body.", "query.", "header.", "path."} {
		field = strings.TrimPrefix(field, prefix)
	}
	if m := requiredRE.FindStringSubmatch(d.Message); m != nil {
		return FieldError{strings.TrimPrefix(strings.TrimPrefix(field, "body")+"."+m[1], "."), "is required"}
	}
	switch d.Message {
	case "unexpected property":
		return FieldError{field, "is not a field of this request"}
	case "":
		return FieldError{field, "is wrong"}
	default:
		return FieldError{field, d.Message}
	}
}
