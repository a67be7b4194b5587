package sip

import (
	"slices"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

const statusUnsupportedScheme = 416 // RFC 3261 21.4.14

// single are the headers of which a message has one (RFC 3261 7.3.1), with
// their compact forms.
var single = [][]string{
	{"call-id", "i"}, {"cseq"}, {"from", "f"}, {"to", "t"}, {"max-forwards"}, {"content-length", "l"}, {"content-type", "c"},
}

// wrong says with which status to refuse a request that can be parsed and must
// not be served, 0 if it may be.
func wrong(req *sipmsg.Request) (status int, phrase string) {
	if req.From() == nil || req.To() == nil || req.CallID() == nil || fromTag(req) == "" {
		return sipmsg.StatusBadRequest, "Bad Request: header missing"
	}
	for _, names := range single {
		n := 0
		for _, h := range req.Headers() {
			if slices.ContainsFunc(names, func(name string) bool { return isNamed(h, name) }) {
				n++
			}
		}
		if n > 1 { // which of them is meant cannot be known
			return sipmsg.StatusBadRequest, "Bad Request: several " + names[0]
		}
	}
	if s := req.CSeq(); s == nil || s.MethodName != req.Method && req.Method != astrayCancel {
		return sipmsg.StatusBadRequest, "Bad Request: CSeq of another method"
	}
	if scheme := req.Recipient.Scheme; scheme != "" && !slices.ContainsFunc([]string{"sip", "sips", "tel"}, func(s string) bool { return strings.EqualFold(s, scheme) }) {
		return statusUnsupportedScheme, "Unsupported URI Scheme"
	}
	return 0, ""
}

// acceptsSDP reports whether an INVITE's sender reads session descriptions:
// also one that does not say (RFC 3261 20.1).
func acceptsSDP(req *sipmsg.Request) bool {
	hs := headersOf(req, "accept")
	if len(hs) == 0 {
		return true
	}
	for _, h := range hs {
		for kind := range strings.SplitSeq(h.Value(), ",") {
			kind, _, _ = strings.Cut(kind, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case sdpType, "application/*", "*/*":
				return true
			}
		}
	}
	return false
}
