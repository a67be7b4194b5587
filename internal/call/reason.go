package call

import (
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
	"perezvon/sip"
)

// EndReason says why a leg or a call was ended. It is the cause of the
// cancelled context, and it writes the Reason headers of our CANCEL and BYE
// (RFC 3326).
type EndReason struct {
	By   store.Party
	SIP  int    // status of a Reason: SIP header, 0: none
	Q850 int    // cause of a Reason: Q.850 header, 0: none
	Text string // for people, and the text of the header
}

// Error is the reason in words.
func (e *EndReason) Error() string { return fmt.Sprintf("%s (by %s)", e.Text, e.By) }

// SIPReasons are the Reason headers of the CANCEL or BYE that this reason
// causes.
func (e *EndReason) SIPReasons() []sip.Reason {
	var reasons []sip.Reason
	if e.SIP != 0 {
		reasons = append(reasons, sip.Reason{Protocol: "SIP", Cause: e.SIP, Text: e.Text})
	}
	if e.Q850 != 0 {
		reasons = append(reasons, sip.Reason{Protocol: "Q.850", Cause: e.Q850, Text: e.Text})
	}
	return reasons
}

// endReason finds the EndReason in a context's cause or an error.
func endReason(err error) *EndReason {
	if reason, ok := errors.AsType[*EndReason](err); ok {
		return reason
	}
	return nil
}

// Q.850 causes that say more than the SIP status they come with
// (ITU-T Q.850 table 1).
const (
	causeUnallocated      = 1
	causeNoRoute          = 3
	causeNormal           = 16
	causeUserBusy         = 17
	causeNoUserResponding = 18
	causeNoAnswer         = 19
	causeSubscriberAbsent = 20
	causeRejected         = 21
	causeInvalidFormat    = 28
	causeNoCircuit        = 34
	causeOutOfOrder       = 38
	causeTemporary        = 41
	causeCongestion       = 42
	causeRecovery         = 102
)

// Codes are Bitrix24's STATUS_CODE values.
const (
	codeOK          = "200"
	codeMissed      = "304"
	codeNoFunds     = "402"
	codeForbidden   = "403"
	codeWrong       = "404"
	codeBlocked     = "423"
	codeUnavailable = "480"
	codeDirection   = "484"
	codeBusy        = "486"
	codeTrunk       = "503"
	codeDeclined    = "603"
	codeCancelled   = "603-S"
	codeOther       = "OTHER"
)

// longRing is the ringing after which 480, 487 and 408 mean "did not answer"
// rather than "could not be reached".
const longRing = 10 * time.Second

// measure is what one failed INVITE says: the code and whose reason it was.
// For the callee the owner is left empty, since only the caller of measure
// knows whether that is the manager or the customer.
type measure struct {
	code  string
	owner store.Party
}

// measureFailure reads a failed INVITE by the table "SIP to result".
func measureFailure(f *sip.Failure) measure {
	switch f.Kind {
	case sip.Cancelled:
		return measure{codeCancelled, store.PartyUs}
	case sip.RingTimeout:
		return measure{code: codeMissed}
	case sip.Rejected:
		return measureStatus(f.Status, q850(f.Reasons), f.Rang)
	case sip.NotRegistered:
		return measure{code: codeUnavailable}
	case sip.Internal: // no port for its sound, no room in the journal
		return measure{codeTrunk, store.PartyUs}
	default: // silence, never rang, no transport, no address, unusable SDP
		return measure{codeTrunk, store.PartyTrunk}
	}
}

// measureStatus reads a final response. Statuses that say everything come
// first, then the Q.850 cause, then what is left of the status.
func measureStatus(status, cause int, rang time.Duration) measure {
	switch status {
	case 404, 410, 604:
		return measure{code: codeWrong}
	case 484:
		return measure{code: codeDirection}
	case 486, 600:
		return measure{code: codeBusy}
	case 603, 607, 608:
		return measure{code: codeDeclined}
	case 402:
		return measure{codeNoFunds, store.PartyTrunk}
	}
	switch cause {
	case causeUnallocated:
		return measure{code: codeWrong}
	case causeNoRoute, causeInvalidFormat:
		return measure{code: codeDirection}
	case causeUserBusy:
		return measure{code: codeBusy}
	case causeRejected:
		return measure{code: codeDeclined}
	case causeNoAnswer:
		return measure{code: codeMissed}
	case causeNoUserResponding, causeSubscriberAbsent:
		return measure{code: codeUnavailable}
	case causeNoCircuit, causeOutOfOrder, causeTemporary, causeCongestion:
		return measure{codeTrunk, store.PartyTrunk}
	}
	switch {
	case (status == 480 || status == 487 || status == 408) && rang >= longRing:
		return measure{code: codeMissed}
	case status == 480 || status == 487:
		return measure{code: codeUnavailable}
	case status == 403:
		return measure{codeForbidden, store.PartyTrunk}
	case trunkStatus(status):
		return measure{codeTrunk, store.PartyTrunk}
	default:
		return measure{code: codeOther}
	}
}

// trunkStatus reports whether a status is the trunk's own trouble.
func trunkStatus(status int) bool {
	switch status {
	case 401, 407, 406, 415, 482, 483, 488, 606:
		return true
	}
	return status >= 300 && status < 400 || status >= 500 && status < 600
}

// q850 returns the first Q.850 cause of Reason headers, 0 when there is none.
func q850(reasons []sip.Reason) int {
	for _, r := range reasons {
		if r.Protocol == "Q.850" {
			return r.Cause
		}
	}
	return 0
}

// outcome is how an attempt ended.
type outcome struct {
	result   store.Result
	code     string
	owner    store.Party
	reason   string
	hangupBy store.Party
	retry    retryKind
}

// retryKind says when another attempt makes sense.
type retryKind int

const (
	retryNever  retryKind = iota
	retryLater            // after callback.retry
	retryBusy             // after callback.busy_retry
	retrySoon             // as soon as possible, uses no attempt
	retryFree             // when somebody may be free, uses no attempt
	retryAtOnce           // nothing was begun: the same attempt is taken up again
)

// customerOutcome turns the failed dial of a customer into an outcome.
func customerOutcome(f *sip.Failure) outcome {
	m := measureFailure(f)
	o := outcome{code: m.code, owner: m.owner, reason: f.Error()}
	if o.owner == "" {
		o.owner = store.PartyCustomer
	}
	switch m.code {
	case codeWrong:
		o.result = store.ResultInvalidNumber
	case codeDirection:
		o.result = store.ResultDirection
	case codeBusy:
		o.result, o.retry = store.ResultCustomerBusy, retryBusy
	case codeDeclined:
		o.result = store.ResultCustomerDeclined
	case codeMissed:
		o.result, o.retry = store.ResultCustomerNoAnswer, retryLater
	case codeNoFunds, codeForbidden, codeTrunk:
		o.result, o.retry = store.ResultTrunkFailed, retryLater
	case codeCancelled:
		o.result = store.ResultCancelled
	default: // unavailable, or anything else: as measured
		o.result, o.retry = store.ResultCustomerUnavailable, retryLater
	}
	return o
}
