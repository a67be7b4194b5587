package sip

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// refusal is why a try to register has come to nothing.
type refusal struct {
	reason string        // for people: what is wrong, where, and what to do
	next   bool          // another address of the host may do better
	after  time.Duration // not before, says the registrar; 0: it does not say
	final  bool          // it will be the same next time unless somebody does something
}

// statusLine is a response in short.
func statusLine(res *sipmsg.Response) string {
	return strings.TrimSpace(strconv.Itoa(res.StatusCode) + " " + plainText(res.Reason))
}

// refused explains a final response to REGISTER that is no success. asked is
// the time that was asked for, login what its challenges were answered with.
func (t *trunk) refused(res *sipmsg.Response, dest string, asked time.Duration, login *login) *refusal {
	where, status := "registrar "+t.where(dest), statusLine(res)
	r := &refusal{after: retryAfterOf(res)}
	switch code := res.StatusCode; {
	case isChallenge(res):
		r.final = true
		r.reason = t.unanswered(res, where, login)
	case code == sipmsg.StatusForbidden:
		r.final = true
		r.reason = fmt.Sprintf("%s refuses to register user %s (%s); check trunks[].username, auth_user and password, "+
			"and with the provider whether the account may register from this address", where, t.Username, status)
	case code == sipmsg.StatusNotFound:
		r.final = true
		r.reason = fmt.Sprintf("%s does not know user %s (%s); check trunks[].username and domain", where, t.Username, status)
	case code == statusIntervalTooBrief:
		r.final = true
		r.reason = tooBrief(res, where, asked)
	case code == sipmsg.StatusRequestTimeout || code >= 500 && code < 600:
		r.next = true
		r.reason = fmt.Sprintf("%s cannot register anybody now (%s)%s; ask the provider if it lasts", where, status, comeBack(r.after))
	default:
		r.reason = fmt.Sprintf("%s answers REGISTER with %s%s; ask the provider what it means", where, status, comeBack(r.after))
	}
	return r
}

// tooBrief explains a 423 that asking for a longer time was no answer to.
func tooBrief(res *sipmsg.Response, where string, asked time.Duration) string {
	status := statusLine(res)
	switch least, ok := seconds(header(res, "min-expires")); {
	case !ok:
		return fmt.Sprintf("%s finds the registration too short and does not say how long it has to be (%s); raise trunks[].expires", where, status)
	case least > asked:
		return fmt.Sprintf("%s finds every registration too short and asks for a longer one each time, now for %s (%s); ask the provider", where, span(least), status)
	case least == maxExpires:
		return fmt.Sprintf("%s finds a registration of %s too short (%s), and a longer one is not asked for; ask the provider", where, span(asked), status)
	default:
		return fmt.Sprintf("%s finds a registration of %s too short and says that %s would do (%s); ask the provider", where, span(asked), span(least), status)
	}
}

// unanswered explains a challenge that could not be answered, or was in vain.
func (t *trunk) unanswered(res *sipmsg.Response, where string, login *login) string {
	switch {
	case login.user == "" || login.password == "":
		return where + " asks for a password, and none is configured; set trunks[].username and password"
	case login.oversized(res):
		return fmt.Sprintf("%s asks for a password with a challenge of more than %d KB (%s), which is not answered; ask the provider", where, maxChallenge>>10, statusLine(res))
	case !login.answerable(res):
		return fmt.Sprintf("%s wants a kind of login that is not known here (%s): it is digest with MD5, SHA-256 or SHA-512-256; ask the provider", where, statusLine(res))
	}
	return fmt.Sprintf("%s refuses the user name or the password (%s); check trunks[].username, auth_user and password", where, statusLine(res))
}

// unlisted explains a success that is none.
func (t *trunk) unlisted(res *sipmsg.Response, dest string) *refusal {
	return &refusal{final: true, reason: fmt.Sprintf("registrar %s answers %s and does not list our Contact, so calls would not come here; "+
		"ask the provider whether user %s may register, and how many devices at once", t.where(dest), statusLine(res), t.Username)}
}

func comeBack(after time.Duration) string {
	if after <= 0 {
		return ""
	}
	return " and asks to come back in " + span(after)
}
