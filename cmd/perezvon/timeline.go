package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
)

// stateWords says where a call is.
func stateWords(state string) string {
	switch store.State(state) {
	case store.StateQueued:
		return "waiting for its turn"
	case store.StateScheduled:
		return "waiting for its time"
	case store.StateRendering:
		return "preparing the words"
	case store.StateWaitingRetry:
		return "waiting for another try"
	case store.StateRingingManager:
		return "ringing the manager"
	case store.StateAnnouncing:
		return "telling the manager"
	case store.StateRingingCustomer:
		return "ringing the customer"
	case store.StateRinging:
		return "ringing"
	case store.StatePlaying:
		return "speaking to the caller"
	case store.StateTalking:
		return "talking"
	case store.StateHeld:
		return "on hold"
	case store.StateEnded:
		return "ended"
	default:
		return strings.ReplaceAll(state, "_", " ")
	}
}

// resultWords says how a call ended.
func resultWords(result string) string {
	switch store.Result(result) {
	case store.ResultCompleted:
		return "completed: the two have talked"
	case store.ResultManagerUnavailable:
		return "no manager could be reached"
	case store.ResultManagerHungUp:
		return "the manager hung up"
	case store.ResultCustomerBusy:
		return "the customer is busy"
	case store.ResultCustomerNoAnswer:
		return "the customer did not answer"
	case store.ResultCustomerDeclined:
		return "the customer declined"
	case store.ResultCustomerUnavailable:
		return "the customer's phone is off or out of reach"
	case store.ResultInvalidNumber:
		return "the number does not exist"
	case store.ResultDirection:
		return "the number is incomplete or is not served"
	case store.ResultTrunkFailed:
		return "the provider could not place the call"
	case store.ResultNoAudio:
		return "no sound came"
	case store.ResultSpeechFailed:
		return "the words could not be spoken"
	case store.ResultExpired:
		return "the call came too late to be dialled"
	case store.ResultInterrupted:
		return "the server was interrupted during the call"
	case store.ResultCancelled:
		return "cancelled"
	case store.ResultMissed:
		return "missed: nobody answered"
	case store.ResultAbandoned:
		return "abandoned: the caller gave up"
	case store.ResultBusy:
		return "everybody was busy"
	case store.ResultOutOfHours:
		return "nobody answered outside the working hours"
	case store.ResultVoicemail:
		return "the caller left a message"
	case store.ResultCustomerCalled:
		return "the customer called in meanwhile and was answered"
	case store.ResultDelivered:
		return "delivered: the message was heard"
	case store.ResultHungUpEarly:
		return "hung up before enough of the message was heard"
	case store.ResultMachine:
		return "a machine answered, and nothing was played to it"
	case store.ResultNoAnswer:
		return "nobody answered"
	case store.ResultDeclined:
		return "the call was declined"
	case store.ResultUnavailable:
		return "the phone is off or out of reach"
	case store.ResultBlocked:
		return "the number is blocked"
	case store.ResultNotAllowed:
		return "the number may not be dialled"
	default:
		return strings.ReplaceAll(result, "_", " ")
	}
}

// outcomeWords is resultWords where the kind of the call and the reason say
// more.
func outcomeWords(kind, result, reason string) string {
	switch {
	case result == string(store.ResultAbandoned) && kind == string(store.KindCallback):
		return "abandoned: the customer hung up while holding"
	case result == string(store.ResultBusy) && kind == string(store.KindInfocall):
		return "the number is busy"
	case result == string(store.ResultMissed) && strings.HasPrefix(reason, "603 "):
		return "missed: declined"
	}
	return resultWords(result)
}

// withReason adds a reason to the words of a result, without those that stand
// in both.
func withReason(words, reason string) string {
	_, second, _ := strings.Cut(words, ": ")
	for _, same := range []string{words, second} {
		if rest, ok := strings.CutPrefix(reason, same); ok && same != "" {
			reason = strings.TrimLeft(rest, ";:, ")
		}
	}
	return words + because(reason)
}

// resultTone is whether a result is good or bad.
func resultTone(result string) tone {
	switch store.Result(result) {
	case store.ResultCompleted, store.ResultCustomerCalled, store.ResultDelivered:
		return good
	case store.ResultCancelled, store.ResultVoicemail:
		return plain
	default:
		return bad
	}
}

// eventData is what is read from the data of any event.
type eventData struct {
	Kind       string     `json:"kind"`
	Failures   int        `json:"failures"`
	Key        string     `json:"key"`     // name of the API key that asked for it
	Manager    string     `json:"manager"` // whom the request names, or who dialled
	ID         string     `json:"id"`      // of the leg that the event is about
	Leg        string     `json:"leg"`     // the same where there is more to tell than the leg
	State      string     `json:"state"`
	Attempt    int        `json:"attempt"`
	NextAt     *time.Time `json:"next_at"`
	Text       string     `json:"text"`
	Result     string     `json:"result"`
	Code       string     `json:"code"`
	Reason     string     `json:"reason"`
	Role       string     `json:"role"`
	Number     string     `json:"number"`
	Extension  string     `json:"extension"`
	Trunk      string     `json:"trunk"`
	SIPCode    int        `json:"sip_code"`
	AnsweredAt *time.Time `json:"answered_at"`
	NoAudio    bool       `json:"no_audio"`
	File       string     `json:"file"`
	DurationMS int64      `json:"duration_ms"`
	By         string     `json:"by"` // of a transfer
	To         string     `json:"to"`
}

// phone names the phone of a leg.
func (d *eventData) phone() string {
	name := d.Extension
	if name == "" {
		name = d.Number
	}
	if d.Trunk != "" {
		name += " through " + d.Trunk
	}
	if d.Role != "" {
		return "the " + d.Role + "'s phone " + name
	}
	return "the phone " + name
}

// done tells how a phone's part ended in a call of a kind, and by whom.
func (d *eventData) done(kind string) string {
	reason, by := endedBy(d.Reason)
	answered := d.AnsweredAt != nil
	switch {
	case strings.Contains(d.Reason, elsewhere):
		return d.phone() + " is done: another phone took the call"
	case by == string(store.PartyUs) && answered && reason == callOver:
		return "we hung up " + d.phone() + ", for the call was over"
	case by == string(store.PartyUs) && answered:
		return "we hung up " + d.phone() + onBehalf(reason)
	case by == string(store.PartyUs) || by == "" && reason == "":
		return d.phone() + " is done" + because(reason) + ifSIP(d.SIPCode)
	case by != "" && !answered && by != partyOfRole(kind, d.Role):
		return "we stopped ringing " + d.phone() + ": " + partyWords(by) + " " + reason
	case by != "":
		return d.phone() + ": " + reason + " by " + partyWords(by)
	case strings.HasPrefix(reason, fmt.Sprint(d.SIPCode)+" "):
		return d.phone() + " is done: " + reason
	}
	return d.phone() + " is done: " + reason + ifSIP(d.SIPCode)
}

// onBehalf is the reason of our own hanging up: on somebody's behalf, or
// another.
func onBehalf(reason string) string {
	if who, ok := strings.CutPrefix(reason, "hung up by "); ok {
		return " for " + who
	}
	return ": " + reason
}

// callOver is the reason of our BYE to whoever is left of a call.
const callOver = "the call is over"

// elsewhere is in the reason of a leg whose group another phone won.
const elsewhere = "Call completed elsewhere"

// timeline tells events in words. It remembers the phones of one call.
type timeline struct {
	kind   string                 // of the call, once it is known
	comes  bool                   // somebody calls us: the first phone is the caller's
	caller string                 // id of that phone's leg
	phones map[string]string      // by id of the leg
	moment func(time.Time) string // writes times to come; nil: moment
}

// describe tells an event in words. What is not understood is shown as it is.
func (t *timeline) describe(e api.Event) (string, tone) {
	var d eventData
	if len(e.Data) > 0 && json.Unmarshal(e.Data, &d) != nil {
		return e.Type + " " + string(e.Data), faint
	}
	if d.ID != "" && strings.HasPrefix(e.Type, "leg.") {
		if t.phones == nil {
			t.phones = make(map[string]string)
		}
		if len(t.phones) == 0 && t.comes {
			t.caller = d.ID
		}
		t.phones[d.ID] = d.phone()
	}
	switch e.Type {
	case store.EventCallCreated:
		t.kind, t.comes = d.Kind, comesIn(d.Kind, d.Key)
		switch {
		case d.Kind == string(store.KindInbound):
			return "came in", plain
		case t.comes:
			return "dialled at extension " + d.Manager, plain
		}
		return "placed", plain
	case store.EventCallState:
		return t.describeState(&d), accent
	case store.EventCallEnded:
		return "ended: " + withReason(outcomeWords(t.kind, d.Result, d.Reason), d.Reason) + ifCode(d.Code), resultTone(d.Result)
	case store.EventLegDialling:
		if t.calls(&d) {
			return "  " + d.phone() + " calls", faint
		}
		return "  dialling " + d.phone(), faint
	case store.EventLegRinging:
		return "  " + d.phone() + " rings", faint
	case store.EventLegAnswered:
		if t.calls(&d) {
			return "  " + d.phone() + " is answered by us", faint
		}
		return "  " + d.phone() + " is answered", faint
	case store.EventLegEnded:
		return "  " + d.done(t.kind), faint
	case store.EventDecision:
		return "  " + cmp.Or(d.Text, "a decision"), faint
	case store.EventTransferred:
		if d.Key != "" {
			return "  transferred from " + d.By + " to " + d.To + " by " + d.Key, plain
		}
		return "  " + d.By + " has transferred the call to " + d.To, plain
	case store.EventNumberBlocked:
		return fmt.Sprintf("  the number is blocked after %d failed attempts in a row", d.Failures), bad
	case store.EventMediaQuality:
		if d.NoAudio {
			return "  no sound comes from " + cmp.Or(t.phones[d.Leg], "one of the phones"), bad
		}
	case store.EventRecordingReady:
		return "  recorded " + seconds(d.DurationMS) + ": " + d.File, faint
	case store.EventRecordingRemoved:
		return "  the recording was removed, for it had been kept for long enough", faint
	}
	return strings.TrimSpace("  " + e.Type + " " + string(e.Data)), faint
}

// comesIn reports whether somebody calls us for a call: from outside, or at a
// phone of the office. key is that of the API that asked for it.
func comesIn(kind, key string) bool {
	switch store.Kind(kind) {
	case store.KindInbound, store.KindInternal:
		return true
	case store.KindOutbound:
		return key == ""
	}
	return false
}

// calls reports whether the phone of a leg event calls us. Where the beginning
// of the call was not seen, its role says so.
func (t *timeline) calls(d *eventData) bool {
	if t.caller != "" {
		return d.ID == t.caller
	}
	return d.Role == string(store.RoleCaller)
}

func (t *timeline) describeState(d *eventData) string {
	text := stateWords(d.State)
	if t.kind == string(store.KindInfocall) && d.State == string(store.StatePlaying) {
		text = "playing the message"
	}
	write := t.moment
	if write == nil {
		write = moment
	}
	switch {
	case d.NextAt != nil && d.State == string(store.StateScheduled):
		text += " until " + write(*d.NextAt)
	case d.NextAt != nil && d.State == string(store.StateWaitingRetry):
		text += fmt.Sprintf(": try %d at %s", d.Attempt+1, write(*d.NextAt))
	case d.Attempt > 1 && !waits(d.State):
		text += fmt.Sprintf(" (try %d)", d.Attempt)
	}
	return text + because(d.Text)
}

// waits reports whether nothing happens in a state for a while.
func waits(state string) bool {
	return state == string(store.StateScheduled) || state == string(store.StateWaitingRetry)
}

// because adds a reason in parentheses, unless it has some itself.
func because(reason string) string {
	switch {
	case reason == "":
		return ""
	case strings.Contains(reason, "("):
		return "; " + reason
	}
	return " (" + reason + ")"
}

func ifCode(code string) string {
	if code == "" {
		return ""
	}
	return " [" + code + "]"
}

func ifSIP(code int) string {
	if code == 0 || code == 200 {
		return ""
	}
	return fmt.Sprintf(" [SIP %d]", code)
}

// print prints the next events of the timeline.
func (t *timeline) print(out *console, events []api.Event) {
	for _, e := range events {
		text, tone := t.describe(e)
		out.line(tone, "%s  %s", clock(e.At), text)
	}
}
