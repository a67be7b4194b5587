package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// Requests that cannot be carried out are answered with what is wrong, in
// which field, and the server goes on as if nothing had been.
func TestBadRequestsAreAnsweredAndTheServerStaysUp(t *testing.T) {
	t.Parallel()
	customers, manager := newCarrier(t), newPhone(t, 0)
	const number = "+79160000040"
	customers.Number(number, append(lab.Customer(0), lab.Talk(500*time.Millisecond), lab.Bye()))
	s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.Addr().String(), more: "limits: {destinations: [RU, \"!+7840\"]}\n"})

	const good = "application/json"
	tests := []struct {
		name, contentType, body string
		status                  int
		code                    string
		fields                  []string
		says                    string // part of what a person reads
	}{
		{"unknown line", good, `{"line":"mian","number":"+79160000041"}`, 422, "unknown_line", []string{"line"}, `"main"`},
		{"no line and no number", good, `{}`, 422, "invalid_request", []string{"line", "number"}, ""},
		{"a number of letters", good, `{"line":"main","number":"call me"}`, 422, "invalid_number", []string{"number"}, "call me"},
		{"a number too short", good, `{"line":"main","number":"+7916"}`, 422, "invalid_number", []string{"number"}, ""},
		{"a foreign destination", good, `{"line":"main","number":"+442079460000"}`, 422, "not_allowed", []string{"number"}, ""},
		{"an excluded destination", good, `{"line":"main","number":"+78402260000"}`, 422, "", []string{"number"}, ""},
		{"a premium number", good, `{"line":"main","number":"+78091234567"}`, 422, "", []string{"number"}, ""},
		{"our own number", good, `{"line":"main","number":"` + lineNumber + `"}`, 422, "", []string{"number"}, ""},
		{"unknown voice", good, `{"line":"main","number":"+79160000041","voice":"ruinternalfemal"}`, 422, "unknown_voice", []string{"voice"}, "ruinternalfemale"},
		{"unknown manager", good, `{"line":"main","number":"+79160000041","manager":"999"}`, 422, "invalid_manager", []string{"manager"}, ""},
		{"a long text", good, `{"line":"main","number":"+79160000041","text":"` + strings.Repeat("слово ", 4000) + `"}`, 422, "invalid_text", []string{"text"}, ""},
		{"a megabyte of text", good, `{"line":"main","number":"+79160000041","text":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "body_too_large", nil, ""},
		{"everything wrong at once", good, `{"line":"main","number":"x","voice":"y","manager":"z"}`, 422, "invalid_request", []string{"number", "voice", "manager"}, ""},
		{"an unknown field", good, `{"line":"main","number":"+79160000041","txet":"a"}`, 422, "", []string{"txet"}, ""},
		{"a number that is a number", good, `{"line":"main","number":79160000041}`, 422, "", []string{"number"}, ""},
		{"cut off JSON", good, `{"line":"main","number":`, 400, "bad_json", nil, ""},
		{"no body", good, ``, 400, "", nil, ""},
		{"not JSON at all", good, "line=main", 400, "bad_json", nil, ""},
		{"a form", "application/x-www-form-urlencoded", "line=main&number=%2B79160000041", 415, "unsupported_media_type", nil, good},
		{"binary rubbish", good, "\x00\xff\xfe{", 400, "bad_json", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := s.refused(t, tt.contentType, tt.body)
			if p.Status != tt.status || tt.code != "" && p.Code != tt.code {
				t.Errorf("answered %d %s, want %d %s: %s", p.Status, p.Code, tt.status, tt.code, p.Detail)
			}
			text := p.Detail
			var fields []string
			for _, e := range p.Errors {
				fields = append(fields, e.Field)
				text += "\n" + e.Field + ": " + e.Detail
				if e.Detail == "" {
					t.Errorf("nothing is said about the field %s", e.Field)
				}
			}
			for _, f := range tt.fields {
				if !slices.Contains(fields, f) {
					t.Errorf("the fields named are %q, %s is not among them", fields, f)
				}
			}
			if p.Detail == "" || !strings.Contains(text, tt.says) {
				t.Errorf("the answer says %q, want it to speak of %s", text, tt.says)
			}
			if len(text) > 4000 {
				t.Errorf("the answer has %d bytes, nobody reads that", len(text))
			}
		})
	}
	list, err := s.Calls(within(t, 10*time.Second), nil)
	if err != nil || len(list.Calls) != 0 {
		t.Errorf("refused requests have made %d calls: %v", len(list.Calls), err)
	}
	call := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	atRest(t, customers, manager)
	s.clean()
	s.stop()
}

// refused posts a callback that must be refused.
func (s *server) refused(t *testing.T, contentType, body string) api.Problem {
	t.Helper()
	res, err := http.Post(s.url("/api/v1/callbacks"), contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the answer is %q, want application/problem+json", got)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p api.Problem
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatalf("%v: %.500s", err, data)
	}
	if p.Status != res.StatusCode {
		t.Errorf("the problem says status %d, the answer has %d", p.Status, res.StatusCode)
	}
	return p
}
