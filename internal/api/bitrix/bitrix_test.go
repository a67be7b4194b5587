package bitrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/store"
)

const secret = "s3cr3t/key"

// bed is an API over fakes.
type bed struct {
	api      *API
	asked    []call.CallbackRequest
	informed []call.InfocallRequest
	err      error
	boom     bool
	records  []store.Call // newest first
	draining bool
	log      bytes.Buffer
}

type tester struct {
	scopes []string
	lines  []string
}

func (t tester) Name() string { return "site" }
func (t tester) May(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(t.scopes, s) })
}

func (t tester) Sees(line string) bool { return len(t.lines) == 0 || slices.Contains(t.lines, line) }

const testCallID = "0192d0c8a1b27abc8def0123456789ab"

var created = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (b *bed) Callback(_ context.Context, req call.CallbackRequest) (store.Call, bool, error) {
	if b.boom {
		panic("boom")
	}
	if b.err != nil {
		return store.Call{}, false, b.err
	}
	b.asked = append(b.asked, req)
	return store.Call{ID: testCallID, Kind: store.KindCallback, CreatedAt: created}, false, nil
}

func (b *bed) Infocall(_ context.Context, req call.InfocallRequest) (store.Call, bool, error) {
	if b.err != nil {
		return store.Call{}, false, b.err
	}
	b.informed = append(b.informed, req)
	return store.Call{ID: testCallID, Kind: store.KindInfocall, CreatedAt: created}, false, nil
}

// Calls gives pages of two, as small as can be with more than one on them.
func (b *bed) Calls(_ context.Context, f store.Filter) ([]store.Call, string, error) {
	if b.err != nil {
		return nil, "", b.err
	}
	var all []store.Call
	for _, c := range b.records {
		if f.State != c.State || !f.From.IsZero() && c.CreatedAt.Before(f.From) || !f.To.IsZero() && !c.CreatedAt.Before(f.To) {
			continue
		}
		all = append(all, c)
	}
	from := 0
	if f.Cursor != "" {
		_, _ = fmt.Sscan(f.Cursor, &from)
	}
	if from+2 >= len(all) {
		return all[from:], "", nil
	}
	return all[from : from+2], fmt.Sprint(from + 2), nil
}

func newBed(t *testing.T, who tester) *bed {
	t.Helper()
	cfg := &configs.Config{
		Lines:      []configs.Line{{ID: "reg1332", Name: "Main office", Number: "+74950000000"}, {ID: "sip2", Number: "+74950000009"}},
		Extensions: []configs.Extension{{Number: "101", Name: "Anna", Mobile: "+79990000001"}, {Number: "102", Name: "Boris"}},
	}
	cfg.TTS.Voices = map[string]configs.Voice{"ruinternalfemale": {Name: "Русский (женский)"}, "x": {}}
	cfg.HTTP.PublicURL = "https://pbx.example.com/"
	b := new(bed)
	if who.scopes == nil {
		who.scopes = []string{"callback", "infocall", "read"}
	}
	b.api = New(Options{
		Calls: b, Records: b, Settings: func() *configs.Config { return cfg }, Zone: func() *time.Location { return time.FixedZone("", 3*3600) },
		Identify: func(_ *http.Request, key string) Client {
			if key == secret {
				return who
			}
			return nil
		},
		Scopes:   Scopes{Callback: []string{"callback"}, Infocall: []string{"infocall"}, Read: []string{"read"}},
		Draining: func() bool { return b.draining },
		Logger:   slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	return b
}

// answer is any envelope.
type answer struct {
	Result any    `json:"result"`
	Next   *int   `json:"next"`
	Total  *int   `json:"total"`
	Error  string `json:"error"`
	Text   string `json:"error_description"`
	Time   map[string]any
	status int
	raw    string
}

// ask sends a request as a client does; body "" is a GET.
func (b *bed) ask(t *testing.T, target, kind, body string, headers ...string) answer {
	t.Helper()
	method := http.MethodPost
	if kind == "" {
		method = http.MethodGet
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.api.ServeHTTP(w, r)
	out := answer{status: w.Code, raw: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v in %s", target, err, out.raw)
	}
	for _, name := range []string{"start", "finish", "duration", "processing", "date_start", "date_finish"} {
		if _, ok := out.Time[name]; !ok {
			t.Errorf("%s: time has no %s: %s", target, name, out.raw)
		}
	}
	if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %s", got)
	}
	return out
}

const (
	hook     = "/rest/1/s3cr3t%2Fkey/"
	formType = "application/x-www-form-urlencoded"
	callback = "FROM_LINE=reg1332&TO_NUMBER=%2B79990000002&TEXT_TO_PRONOUNCE=%D0%97%D0%B2%D0%BE%D0%BD%D0%BE%D0%BA&VOICE=ruinternalfemale"
)

// json writes an answer's result for comparison.
func (a answer) json(t *testing.T) string {
	t.Helper()
	raw, err := json.Marshal(a.Result)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestACallbackIsStartedInEveryEncoding(t *testing.T) {
	asJSON := `{"FROM_LINE":"reg1332","TO_NUMBER":"+79990000002","TEXT_TO_PRONOUNCE":"Звонок","VOICE":"ruinternalfemale"}`
	withAuth := strings.Replace(asJSON, "{", `{"auth":"s3cr3t/key",`, 1)
	var multi bytes.Buffer
	form := multipart.NewWriter(&multi)
	for name, value := range map[string]string{"FROM_LINE": "reg1332", "TO_NUMBER": "+79990000002", "TEXT_TO_PRONOUNCE": "Звонок", "VOICE": "ruinternalfemale"} {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	const name = "voximplant.callback.start"
	for what, r := range map[string][3]string{
		"GET":                           {hook + name + "?" + callback, "", ""},
		"GET with .json":                {hook + name + ".json?" + callback, "", ""},
		"slash at the end":              {hook + name + "/?" + callback, "", ""},
		"method in capitals":            {hook + "Voximplant.Callback.Start?" + callback, "", ""},
		"form":                          {hook + name, formType, callback},
		"names in lower case":           {hook + name, formType, strings.NewReplacer("FROM_LINE", "from_line", "TO_NUMBER", "to_number").Replace(callback)},
		"multipart":                     {hook + name, form.FormDataContentType(), multi.String()},
		"JSON":                          {hook + name, "application/json", asJSON},
		"JSON that is called a text":    {hook + name, "text/plain", asJSON},
		"JSON with a charset":           {hook + name + ".json", "application/json; charset=utf-8", asJSON},
		"auth in the query":             {"/rest/" + name + "?auth=s3cr3t%2Fkey&" + callback, "", ""},
		"auth in the form":              {"/rest/" + name, formType, "auth=s3cr3t%2Fkey&" + callback},
		"auth in JSON":                  {"/rest/" + name, "application/json", withAuth},
		"a body that overrides a query": {hook + name + "?TO_NUMBER=1", formType, callback},
	} {
		b := newBed(t, tester{})
		got := b.ask(t, r[0], r[1], r[2])
		if got.status != 200 || got.json(t) != `{"CALL_ID":"callback.`+testCallID+`.1795176000","RESULT":true}` {
			t.Errorf("%s: %d %s", what, got.status, got.raw)
			continue
		}
		want := call.CallbackRequest{Line: "reg1332", Number: "+79990000002", Text: "Звонок", Voice: "ruinternalfemale", KeyName: "site"}
		if len(b.asked) != 1 || b.asked[0] != want {
			t.Errorf("%s: asked for %+v", what, b.asked)
		}
	}
}

func TestAnInformationalCallIsStarted(t *testing.T) {
	b := newBed(t, tester{})
	got := b.ask(t, hook+"voximplant.infocall.startWithText", formType, callback)
	if got.status != 200 || got.json(t) != `{"CALL_ID":"infocall.`+testCallID+`.1795176000","RESULT":true}` {
		t.Errorf("%d %s", got.status, got.raw)
	}
	want := call.InfocallRequest{Line: "reg1332", Number: "+79990000002", Text: "Звонок", Voice: "ruinternalfemale", KeyName: "site"}
	if len(b.informed) != 1 || b.informed[0] != want {
		t.Errorf("asked for %+v", b.informed)
	}
}

func TestAnInformationalCallPlaysASound(t *testing.T) {
	b := newBed(t, tester{})
	const sound = "https://example.net/hello.mp3"
	got := b.ask(t, hook+"voximplant.infocall.startwithsound", formType, "FROM_LINE=reg1332&TO_NUMBER=%2B79990000002&URL="+sound)
	if got.status != 200 || got.json(t) != `{"CALL_ID":"infocall.`+testCallID+`.1795176000","RESULT":true}` {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if want := (call.InfocallRequest{Line: "reg1332", Number: "+79990000002", Sound: sound, KeyName: "site"}); len(b.informed) != 1 || b.informed[0] != want {
		t.Errorf("asked for %+v", b.informed)
	}
}

func TestErrorsAreBitrix24s(t *testing.T) {
	refuse := func(status int, code, field, detail string) error {
		return &call.RefusedError{Status: status, Code: code, Problems: []call.Problem{{Field: field, Detail: detail}}}
	}
	start := hook + "voximplant.callback.start?"
	for what, c := range map[string]struct {
		who    tester
		err    error
		target string
		status int
		code   string
		text   string
	}{
		"no key":                         {target: "/rest/server.time", status: 401, code: "NO_AUTH_FOUND", text: "Wrong authorization data"},
		"a wrong auth":                   {target: "/rest/server.time?auth=x", status: 401, code: "NO_AUTH_FOUND", text: "Wrong authorization data"},
		"a wrong webhook secret":         {target: "/rest/1/x/server.time", status: 401, code: "INVALID_CREDENTIALS", text: "Invalid request credentials"},
		"no such method":                 {target: hook + "crm.nothing", status: 404, code: "ERROR_METHOD_NOT_FOUND", text: "Method not found!"},
		"an address with a part too few": {target: "/rest/1/server.time", status: 404, code: "ERROR_METHOD_NOT_FOUND", text: "Method not found!"},
		"a scope that is missing": {
			who: tester{scopes: []string{"read"}}, target: start + callback, status: 403, code: "insufficient_scope",
			text: "The request requires higher privileges than provided by the webhook token",
		},
		"a line that is not the key's": {who: tester{lines: []string{"sip2"}}, target: start + callback, status: 403, code: "ACCESS_DENIED", text: "Access denied"},
		"a parameter that is missing": {
			target: start + strings.Replace(callback, "TO_NUMBER", "X", 1), status: 400, code: "ERROR_ARGUMENT",
			text: "Argument 'TO_NUMBER' is null or empty",
		},
		"a line that there is not": {
			err: refuse(422, call.CodeUnknownLine, "line", "is unknown"), target: start + callback, status: 400, code: "ERROR_CORE",
			text: "Could not find line reg1332",
		},
		"a number that is wrong": {
			err: refuse(422, call.CodeInvalidNumber, "number", "is too short"), target: start + callback, status: 400, code: "ERROR_CORE",
			text: "Phone number is not correct",
		},
		"a number that may not be called": {
			err: refuse(403, call.CodeNotAllowed, "number", "lies outside limits.destinations"), target: start + callback, status: 400,
			code: "ERROR_CORE", text: "number: lies outside limits.destinations",
		},
		"a line that there is not, of an infocall": {
			err:    refuse(422, call.CodeUnknownLine, "line", "is unknown"),
			target: hook + "voximplant.infocall.startwithtext?" + callback, status: 400, code: "ERROR_CORE", text: "Could not find config for number reg1332",
		},
		"no sound": {
			target: hook + "voximplant.infocall.startwithsound?" + callback, status: 400, code: "ERROR_ARGUMENT", text: "Argument 'URL' is null or empty",
		},
		"a scope that is missing for an infocall": {
			who: tester{scopes: []string{"callback"}}, target: hook + "voximplant.infocall.startwithtext?" + callback,
			status: 403, code: "insufficient_scope", text: "The request requires higher privileges than provided by the webhook token",
		},
		"too many calls":           {err: refuse(429, call.CodeTooMany, "", "ten an hour"), target: start + callback, status: 400, code: "ERROR_CORE", text: "ten an hour"},
		"a server that stops":      {err: refuse(503, call.CodeDraining, "", "x"), target: start + callback, status: 503, code: "QUERY_LIMIT_EXCEEDED", text: "Too many requests"},
		"a store that is away":     {err: store.ErrAway, target: start + callback, status: 503, code: "QUERY_LIMIT_EXCEEDED", text: "Too many requests"},
		"a key that is used again": {err: store.ErrKeyReused, target: start + callback, status: 409, code: "ERROR_CORE", text: "The idempotency key came with another request before"},
		"a fault of ours":          {err: errors.New("x"), target: start + callback, status: 500, code: "INTERNAL_SERVER_ERROR", text: "Internal server error"},
		"a filter that is wrong": {
			target: hook + "voximplant.statistic.get?FILTER[>NOTHING]=1", status: 400, code: "ERROR_CORE",
			text: "Unknown field definition `NOTHING` in the filter",
		},
		"a date that is none": {
			target: hook + "voximplant.statistic.get?FILTER[>CALL_START_DATE]=soon", status: 400, code: "ERROR_ARGUMENT",
			text: `Argument 'FILTER' holds no date in CALL_START_DATE: "soon"`,
		},
		"a sort that is none": {
			target: hook + "voximplant.statistic.get?SORT=CALL_TYPE", status: 400, code: "ERROR_ARGUMENT",
			text: "Argument 'SORT' names no field that calls can be sorted by",
		},
	} {
		b := newBed(t, c.who)
		b.err = c.err
		got := b.ask(t, c.target, "", "")
		if got.status != c.status || got.Error != c.code || got.Text != c.text || got.Result != nil {
			t.Errorf("%s: %d %s", what, got.status, got.raw)
		}
	}
}

func TestAnErrorOfAnArgumentNamesIt(t *testing.T) {
	got := newBed(t, tester{}).ask(t, hook+"voximplant.callback.start", formType, "FROM_LINE=reg1332")
	if !strings.Contains(got.raw, `"argument":"TO_NUMBER"`) {
		t.Errorf("%s", got.raw)
	}
}

func TestNothingIsStartedWhileTheServerStops(t *testing.T) {
	b := newBed(t, tester{})
	b.draining = true
	if got := b.ask(t, hook+"voximplant.callback.start?"+callback, "", ""); got.status != 503 || len(b.asked) != 0 {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestAPanicTellsNobodyTheKey(t *testing.T) {
	b := newBed(t, tester{})
	b.boom = true
	got := b.ask(t, hook+"voximplant.callback.start?"+callback, "", "")
	if got.status != 500 || strings.Contains(b.log.String(), "s3cr3t") || !strings.Contains(b.log.String(), "voximplant.callback.start") {
		t.Errorf("%d %s\n%s", got.status, got.raw, b.log.String())
	}
}

func TestUnknownVoiceIsTheDefaultOne(t *testing.T) {
	b := newBed(t, tester{})
	b.ask(t, hook+"voximplant.callback.start?"+strings.Replace(callback, "ruinternalfemale", "internalfemale", 1), "", "")
	if len(b.asked) != 1 || b.asked[0].Voice != "" || !strings.Contains(b.log.String(), "internalfemale") {
		t.Errorf("%+v\n%s", b.asked, b.log.String())
	}
}

func TestIdempotencyKeyBelongsToTheParametersWhateverTheirOrder(t *testing.T) {
	b := newBed(t, tester{})
	parts := strings.Split(callback, "&")
	slices.Reverse(parts)
	for _, form := range []string{callback, "auth=x&" + strings.Join(parts, "&"), strings.Replace(callback, "reg1332", "sip2", 1)} {
		b.ask(t, hook+"voximplant.callback.start", formType, form, "Idempotency-Key", "form-17")
	}
	if len(b.asked) != 3 {
		t.Fatalf("%d requests", len(b.asked))
	}
	first, second, third := b.asked[0].Key, b.asked[1].Key, b.asked[2].Key
	if first == nil || *first != *second || first.Value != "form-17" || first.Scope != "site" || third.Hash == first.Hash {
		t.Errorf("%+v %+v %+v", first, second, third)
	}
}

func TestDirectoriesAreMapsByID(t *testing.T) {
	b := newBed(t, tester{})
	for method, want := range map[string]string{
		"voximplant.line.get":          `{"reg1332":"Main office","sip2":"+74950000009"}`,
		"voximplant.line.outgoing.get": `"reg1332"`,
		"voximplant.tts.voices.get":    `{"ruinternalfemale":"Русский (женский)","x":"x"}`,
		"voximplant.url.get": `{"buy_connector":"https://pbx.example.com/docs","detail_statistics":"https://pbx.example.com/api/v1/calls",` +
			`"edit_config":"https://pbx.example.com/docs?config=#CONFIG_ID#","lines":"https://pbx.example.com/api/v1/lines"}`,
	} {
		if got := b.ask(t, hook+method, "", ""); got.status != 200 || got.json(t) != want {
			t.Errorf("%s: %d %s", method, got.status, got.raw)
		}
	}
	none := newBed(t, tester{lines: []string{"other"}})
	if got := none.ask(t, hook+"voximplant.line.get", "", ""); !strings.Contains(got.raw, `"result":[]`) {
		t.Errorf("an empty map is not written as PHP does: %s", got.raw)
	}
	if got := none.ask(t, hook+"voximplant.line.outgoing.get", "", ""); got.Result != "" {
		t.Errorf("%s", got.raw)
	}
}

func TestMethodGetTellsWhatThereIsAndWhatOneMayCall(t *testing.T) {
	b := newBed(t, tester{scopes: []string{"read"}})
	for name, want := range map[string]string{
		"user.get": `{"isAvailable":true,"isExisting":true}`, "voximplant.callback.start": `{"isAvailable":false,"isExisting":true}`,
		"crm.nothing": `{"isAvailable":false,"isExisting":false}`,
	} {
		if got := b.ask(t, hook+"method.get?name="+name, "", ""); got.json(t) != want {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
}

func TestServerTimeHasItsOffset(t *testing.T) {
	got := newBed(t, tester{}).ask(t, hook+"server.time", "", "")
	if s, _ := got.Result.(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+03:00$`).MatchString(s) {
		t.Errorf("%s", got.raw)
	}
}

func TestUsersAreTheExtensions(t *testing.T) {
	b := newBed(t, tester{})
	got := b.ask(t, hook+"user.get?sort=UF_PHONE_INNER&order=DESC&FILTER[ACTIVE]=Y&FILTER[USER_TYPE]=employee", "", "")
	users, _ := got.Result.([]any)
	if len(users) != 2 || *got.Total != 2 || got.Next != nil {
		t.Fatalf("%s", got.raw)
	}
	if u, _ := users[0].(map[string]any); u["ID"] != "102" || u["ACTIVE"] != true || u["NAME"] != "Boris" || u["UF_PHONE_INNER"] != "102" {
		t.Errorf("%s", got.raw)
	}
	for query, want := range map[string]int{"ID=101": 1, "FILTER[@UF_PHONE_INNER][]=101&FILTER[@UF_PHONE_INNER][]=102": 2, "FILTER[%25NAME]=nn": 1, "FILTER[!ID]=101": 1, "FILTER[ID]=7": 0} {
		if got := b.ask(t, hook+"user.get?"+query, "", ""); *got.Total != want {
			t.Errorf("%s: %s", query, got.raw)
		}
	}
	if got := b.ask(t, hook+"user.get?start=-1", "", ""); got.Total != nil {
		t.Errorf("a total that was not wanted: %s", got.raw)
	}
}

// form escapes what PHP's http_build_query would.
func form(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

func TestBatchRunsItsCommandsInOrderAndRefersToEarlierResults(t *testing.T) {
	b := newBed(t, tester{})
	commands := []string{
		"users", "user.get?" + form("FILTER[NAME]", "Boris"),
		"line", "voximplant.line.outgoing.get",
		"call", "voximplant.callback.start.json?FROM_LINE=$result[line]&TO_NUMBER=" + url.QueryEscape("+79990000002") +
			"&TEXT_TO_PRONOUNCE=" + url.QueryEscape("Для $result[users][0][NAME]"),
		"bad", "nothing.at.all",
		"nested", "batch?cmd[a]=server.time",
		"lost", "voximplant.callback.start?FROM_LINE=$result[bad][X]&TO_NUMBER=1&TEXT_TO_PRONOUNCE=x",
	}
	var pairs []string
	for i := 0; i < len(commands); i += 2 {
		pairs = append(pairs, "cmd["+commands[i]+"]", commands[i+1])
	}
	asForm := b.ask(t, hook+"batch", formType, form(pairs...), "Idempotency-Key", "k")
	var object []string
	for i := 0; i < len(commands); i += 2 {
		value, _ := json.Marshal(commands[i+1])
		object = append(object, fmt.Sprintf("%q:%s", commands[i], value))
	}
	asJSON := b.ask(t, hook+"batch.json", "application/json", `{"halt":0,"cmd":{`+strings.Join(object, ",")+`}}`)
	for _, got := range []answer{asForm, asJSON} {
		out, _ := got.Result.(map[string]any)
		results, _ := out["result"].(map[string]any)
		failed, _ := out["result_error"].(map[string]any)
		if got.status != 200 || len(results) != 3 || len(failed) != 3 {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		for key, code := range map[string]string{"bad": "ERROR_METHOD_NOT_FOUND", "nested": "ERROR_BATCH_METHOD_NOT_ALLOWED", "lost": "ERROR_ARGUMENT"} {
			if e, _ := failed[key].(map[string]any); e["error"] != code {
				t.Errorf("%s: %v", key, failed[key])
			}
		}
		if total, _ := out["result_total"].(map[string]any); total["users"] != 1.0 || len(total) != 1 {
			t.Errorf("totals %v", out["result_total"])
		}
		if _, ok := out["result_next"].([]any); !ok {
			t.Errorf("an empty map is not written as PHP does: %v", out["result_next"])
		}
		if times, _ := out["result_time"].(map[string]any); len(times) != 3 {
			t.Errorf("times %v", out["result_time"])
		}
	}
	if len(b.asked) != 2 || b.asked[0].Line != "reg1332" || b.asked[0].Text != "Для Boris" || b.asked[0].Key == nil || b.asked[0].Key.Value != "k#call" || b.asked[1].Key != nil {
		t.Errorf("asked for %+v", b.asked)
	}
}

func TestBatchHaltsAtTheFirstErrorWhereItIsTold(t *testing.T) {
	b := newBed(t, tester{})
	got := b.ask(t, hook+"batch?"+form("halt", "1", "cmd[]", "server.time", "cmd[]", "nothing", "cmd[]", "server.time"), "", "")
	out, _ := got.Result.(map[string]any)
	if results, _ := out["result"].([]any); len(results) != 1 {
		t.Errorf("a list of commands has no list of results, or went on: %s", got.raw)
	}
	if failed, _ := out["result_error"].(map[string]any); len(failed) != 1 || failed["1"] == nil {
		t.Errorf("%s", got.raw)
	}
}

func TestBatchTakesFiftyCommands(t *testing.T) {
	var pairs []string
	for range 52 {
		pairs = append(pairs, "cmd[]", "server.time")
	}
	got := newBed(t, tester{}).ask(t, hook+"batch", formType, form(pairs...))
	out, _ := got.Result.(map[string]any)
	results, _ := out["result"].([]any)
	failed, _ := out["result_error"].(map[string]any)
	if e, _ := failed["50"].(map[string]any); len(results) != 50 || len(failed) != 2 || e["error"] != "ERROR_BATCH_LENGTH_EXCEEDED" {
		t.Errorf("%s", got.raw)
	}
	if got := newBed(t, tester{}).ask(t, hook+"batch", "", ""); got.Error != "ERROR_ARGUMENT" {
		t.Errorf("a batch of nothing: %s", got.raw)
	}
}
