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

// refused explains a final response to REGISTER that is no success. login is
// what its challenges were answered with.
func (t *trunk) refused(res *sipmsg.Response, dest string, login *login) *refusal {
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
		r.reason = fmt.Sprintf("%s finds the registration too short and does not say how long it has to be (%s); raise trunks[].expires", where, status)
	case code == sipmsg.StatusRequestTimeout || code >= 500 && code < 600:
		r.next = true
		r.reason = fmt.Sprintf("%s cannot register anybody now (%s)%s; ask the provider if it lasts", where, status, comeBack(r.after))
	default:
		r.reason = fmt.Sprintf("%s answers REGISTER with %s%s; ask the provider what it means", where, status, comeBack(r.after))
	}
	return r
}

// unanswered explains a challenge that could not be answered, or was in vain.
func (t *trunk) unanswered(res *sipmsg.Response, where string, login *login) string {
	switch {
	case login.user == "" || login.password == "":
		return where + " asks for a password, and none is configured; set trunks[].username and password"
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
