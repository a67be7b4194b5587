package bitrix

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Error is an error as Bitrix24 tells it.
type Error struct {
	Status   int    `json:"-"` // of HTTP
	Code     string `json:"error"`
	Text     string `json:"error_description"`
	Argument string `json:"argument,omitempty"` // the parameter that is wrong, where one is named
}

// Error is the code with its text.
func (e *Error) Error() string { return e.Code + ": " + e.Text }

// Errors of the system (https://apidocs.bitrix24.com/error-codes.html).
var (
	errInternal     = &Error{Status: http.StatusInternalServerError, Code: "INTERNAL_SERVER_ERROR", Text: "Internal server error"}
	errComeBack     = &Error{Status: http.StatusServiceUnavailable, Code: "QUERY_LIMIT_EXCEEDED", Text: "Too many requests"} // what every client repeats later
	errNoAuth       = &Error{Status: http.StatusUnauthorized, Code: "NO_AUTH_FOUND", Text: "Wrong authorization data"}
	errWrongSecret  = &Error{Status: http.StatusUnauthorized, Code: "INVALID_CREDENTIALS", Text: "Invalid request credentials"}
	errScope        = &Error{Status: http.StatusForbidden, Code: "insufficient_scope", Text: "The request requires higher privileges than provided by the webhook token"}
	errDenied       = &Error{Status: http.StatusForbidden, Code: "ACCESS_DENIED", Text: "Access denied"}
	errNoMethod     = &Error{Status: http.StatusNotFound, Code: "ERROR_METHOD_NOT_FOUND", Text: "Method not found!"}
	errNotInBatch   = &Error{Status: http.StatusMethodNotAllowed, Code: "ERROR_BATCH_METHOD_NOT_ALLOWED", Text: "Method is not allowed for batch usage"}
	errKeyReused    = &Error{Status: http.StatusConflict, Code: "ERROR_CORE", Text: "The idempotency key came with another request before"}
	errBatchTooLong = &Error{Status: http.StatusBadRequest, Code: "ERROR_BATCH_LENGTH_EXCEEDED", Text: "Max batch length exceeded"}
)

// errCore is an error of a method.
func errCore(text string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "ERROR_CORE", Text: text}
}

// errMissing names a parameter that must be there.
func errMissing(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "ERROR_ARGUMENT", Text: "Argument '" + name + "' is null or empty", Argument: name}
}

// errInvalid names a parameter whose value cannot be used.
func errInvalid(name, why string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "ERROR_ARGUMENT", Text: "Argument '" + name + "' " + why, Argument: name}
}

// seconds are written with six decimals, as Bitrix24 does.
type seconds float64

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s), 'f', 6, 64), nil
}

func unix(t time.Time) seconds { return seconds(float64(t.UnixMicro()) / 1e6) }

// timing is how long a request or a part of it took.
type timing struct {
	Start            seconds `json:"start"`
	Finish           seconds `json:"finish"`
	Duration         seconds `json:"duration"`
	Processing       seconds `json:"processing"`
	DateStart        string  `json:"date_start"`
	DateFinish       string  `json:"date_finish"`
	OperatingResetAt int64   `json:"operating_reset_at"`
	Operating        seconds `json:"operating"` // nothing is charged here: 0
}

type stopwatch struct {
	start time.Time
	zone  *time.Location
}

func begin(now time.Time, zone *time.Location) stopwatch { return stopwatch{now, zone} }

// operatingWindow is Bitrix24's, after which what a method has used is forgotten.
const operatingWindow = 10 * time.Minute

func (s stopwatch) stop(now time.Time) timing {
	took := seconds(now.Sub(s.start).Seconds())
	return timing{
		Start: unix(s.start), Finish: unix(now), Duration: took, Processing: took,
		DateStart: s.start.In(s.zone).Format(time.RFC3339), DateFinish: now.In(s.zone).Format(time.RFC3339),
		OperatingResetAt: s.start.Add(operatingWindow).Unix(),
	}
}

// success is the envelope of an answer.
type success struct {
	Result any    `json:"result"`
	Next   int    `json:"next,omitempty"`
	Total  *int   `json:"total,omitempty"`
	Time   timing `json:"time"`
}

// failure is the envelope of an error.
type failure struct {
	*Error
	Time timing `json:"time"`
}

// send answers a request.
func (a *API) send(w http.ResponseWriter, out *reply, bad *Error, took stopwatch) {
	status, body := http.StatusOK, any(nil)
	if bad != nil {
		status, body = bad.Status, failure{bad, took.stop(time.Now())}
	} else {
		ok := success{Result: out.result, Next: out.next, Time: took.stop(time.Now())}
		if out.paged {
			ok.Total = &out.total
		}
		body = ok
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		a.Logger.Debug("answer not delivered", "error", err)
	}
}

// phpMap is a map that keeps its order and is written as PHP writes its arrays:
// as a list where the keys are 0, 1, 2 and so on, and so also where it is empty.
type phpMap struct {
	keys   []string
	values map[string]any
}

func (m *phpMap) set(key string, value any) {
	if m.values == nil {
		m.values = make(map[string]any)
	}
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key] = value
}

// list reports whether the keys count from 0.
func (m *phpMap) list() bool {
	for i, k := range m.keys {
		if k != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

// MarshalJSON implements json.Marshaler.
func (m *phpMap) MarshalJSON() ([]byte, error) {
	list := m.list()
	var b bytes.Buffer
	b.WriteByte("{["[at(list)])
	for i, k := range m.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if !list {
			name, err := json.Marshal(k)
			if err != nil {
				return nil, err
			}
			b.Write(name)
			b.WriteByte(':')
		}
		value, err := json.Marshal(m.values[k])
		if err != nil {
			return nil, err
		}
		b.Write(value)
	}
	b.WriteByte("}]"[at(list)])
	return b.Bytes(), nil
}

func at(second bool) int {
	if second {
		return 1
	}
	return 0
}
