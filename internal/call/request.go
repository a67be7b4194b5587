package call

import (
	"strings"
	"time"

	"perezvon/internal/store"
)

// CallbackRequest asks for a callback: the call comes in on the line, whoever
// answers hears the text, then the customer is dialled and the two are
// bridged.
type CallbackRequest struct {
	Line    string // id of the line
	Number  string // the customer's, as people write numbers
	Text    string // spoken to the manager; empty: nothing is spoken
	Voice   string // of the text; empty: the default voice
	Manager string // an extension or a number instead of the line's route
	Mode    string // ManagerFirst or CustomerFirst; empty: what the line's callback.mode says

	// NotBefore is when it may be dialled at the earliest, at most
	// MaxAhead from now; zero or past: at once.
	NotBefore time.Time

	Key     *store.Key // makes the request safe to repeat; nil: none
	KeyName string     // name of the API key that asks
}

// Modes of a callback: who is called first.
const (
	ManagerFirst  = "manager_first"
	CustomerFirst = "customer_first"
)

// MaxAhead is how far ahead a callback may be ordered.
const MaxAhead = 30 * 24 * time.Hour

// Problem says what is wrong with one field of a request.
type Problem struct {
	Field  string // as the requester named it: "number"
	Detail string // what is wrong and what would be right
}

// Codes of refusals. They are stable: clients act on them.
const (
	CodeUnknownLine      = "unknown_line"
	CodeInvalidNumber    = "invalid_number"
	CodeNotAllowed       = "not_allowed"
	CodeInvalidText      = "invalid_text"
	CodeUnknownVoice     = "unknown_voice"
	CodeInvalidSound     = "invalid_sound"
	CodeInvalidManager   = "invalid_manager"
	CodeInvalidMode      = "invalid_mode"
	CodeInvalidTime      = "invalid_time"
	CodeUnknownExtension = "unknown_extension"
	CodeLineClosed       = "line_closed"     // its working hours never come
	CodeInvalidRequest   = "invalid_request" // several fields are wrong
	CodeTooMany          = "too_many_calls"
	CodeLoop             = "loop" // the same message to the same number again and again
	CodeDraining         = "draining"
	CodeNotReady         = "not_ready"
	CodeKeyReused        = "idempotency_key_reused"
	CodeInvalidKeys      = "invalid_digits"
	CodeInvalidSide      = "invalid_side"
	CodeAlreadyEnded     = "already_ended"
	CodeNotTalking       = "not_talking"     // the call is not in the state for it
	CodeNotTransferred   = "not_transferred" // nobody took the call
	CodeLineNotAllowed   = "line_not_allowed"
)

// RefusedError is a request that made no call.
type RefusedError struct {
	Status     int // HTTP status that fits
	Code       string
	Problems   []Problem
	RetryAfter time.Duration // 0: repeating it does not help
}

// Error lists every problem.
func (e *RefusedError) Error() string {
	parts := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		if p.Field == "" {
			parts = append(parts, p.Detail)
			continue
		}
		parts = append(parts, p.Field+": "+p.Detail)
	}
	return "refused (" + e.Code + "): " + strings.Join(parts, "; ")
}

// add adds what is wrong with a field; nil: nothing is. The code of several is
// that of an invalid request.
func (e *RefusedError) add(code, field string, err error) {
	if err == nil {
		return
	}
	e.Problems = append(e.Problems, Problem{Field: field, Detail: err.Error()})
	if e.Code = code; len(e.Problems) > 1 {
		e.Code = CodeInvalidRequest
	}
}
