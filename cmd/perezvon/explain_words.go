package main

import (
	"cmp"

	"perezvon/internal/store"
)

// partyWords names a side of a call.
func partyWords(party string) string {
	switch store.Party(party) {
	case store.PartyUs:
		return "us"
	case store.PartyTrunk:
		return "the provider"
	case store.PartyManager:
		return "the manager"
	case store.PartyCustomer:
		return "the customer"
	}
	return party
}

// q850Words says what a cause means (ITU-T Q.850 table 1).
func q850Words(cause int) string {
	switch cause {
	case 1:
		return "unallocated number"
	case 2, 3:
		return "no route to the destination"
	case 16:
		return "normal call clearing"
	case 17:
		return "user busy"
	case 18:
		return "no user responding: the phone is off or out of reach"
	case 19:
		return "user alerted, no answer"
	case 20:
		return "subscriber absent: the phone is off or out of coverage"
	case 21:
		return "call rejected"
	case 22:
		return "number changed"
	case 26:
		return "cleared because another phone took the call"
	case 27:
		return "destination out of order"
	case 28:
		return "invalid number format: the number is incomplete"
	case 31:
		return "normal, unspecified"
	case 34:
		return "no circuit available: the network is full"
	case 38:
		return "network out of order"
	case 41:
		return "temporary failure of the network"
	case 42:
		return "switching equipment congestion"
	case 44:
		return "requested circuit not available"
	case 47:
		return "resource unavailable"
	case 50, 55, 57, 58, 63:
		return "this service is not available or not paid for"
	case 88:
		return "incompatible destination"
	case 102:
		return "a timer of the network expired"
	case 111:
		return "protocol error"
	case 127:
		return "interworking, unspecified"
	}
	return "see ITU-T Q.850"
}

// codeWords are those of Bitrix24 for its status codes.
func codeWords(code string) string {
	switch code {
	case "200":
		return "success"
	case "304":
		return "missed"
	case "402":
		return "out of funds"
	case "403":
		return "forbidden"
	case "404":
		return "wrong number"
	case "423":
		return "blocked"
	case "480":
		return "temporarily unavailable"
	case "484", "503":
		return "direction unavailable"
	case "486":
		return "busy"
	case "603":
		return "declined"
	case "603-S":
		return "cancelled"
	}
	return "undefined"
}

// amoWords is the call status of amoCRM for a result; empty where that result
// has none.
func amoWords(result string) string {
	switch store.Result(result) {
	case store.ResultVoicemail:
		return "1, left a message"
	case store.ResultManagerUnavailable, store.ResultManagerHungUp, store.ResultExpired, store.ResultCancelled, store.ResultHungUpEarly, store.ResultMachine:
		return "2, call back later"
	case store.ResultCompleted, store.ResultCustomerCalled, store.ResultDelivered:
		return "4, talked"
	case store.ResultInvalidNumber, store.ResultDirection:
		return "5, wrong number"
	case store.ResultCustomerNoAnswer, store.ResultCustomerDeclined, store.ResultCustomerUnavailable,
		store.ResultNoAnswer, store.ResultDeclined, store.ResultUnavailable:
		return "6, no answer"
	case store.ResultCustomerBusy:
		return "7, busy"
	case store.ResultTrunkFailed, store.ResultNoAudio, store.ResultSpeechFailed, store.ResultInterrupted, store.ResultNotAllowed, store.ResultBlocked:
		return "8, other"
	}
	return ""
}

// crmWords says how a CRM knows the result.
func crmWords(result, code string) string {
	words := "Bitrix24 status code " + cmp.Or(code, "OTHER") + ", " + codeWords(code)
	if amo := amoWords(result); amo != "" {
		words += "; amoCRM call status " + amo
	}
	return words
}
