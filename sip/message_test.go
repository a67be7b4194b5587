package sip

import (
	"slices"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestTheViasOfARecordAreThoseOfAResponse(t *testing.T) {
	for _, top := range []string{
		"SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKx;rport",
		"SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKx",
		"SIP/2.0/UDP 10.0.0.2:5060;rport=9;branch=z9hG4bKx;received=1.2.3.4",
	} {
		m, err := sipmsg.ParseMessage([]byte("INVITE sip:b@c SIP/2.0\r\nVia: " + top + "\r\nVia: SIP/2.0/TCP 10.0.0.3;branch=z9hG4bKy;rport\r\n" +
			"From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		req := m.(*sipmsg.Request)
		for _, source := range []string{"192.0.2.1:1024", "[2001:db8::1]:1024"} {
			req.SetSource(source)
			before := req.String()
			var want []string
			for _, h := range sipmsg.NewResponseFromRequest(req, sipmsg.StatusTrying, "", nil).GetHeaders("via") {
				want = append(want, h.Value())
			}
			if got := viasBack(req); !slices.Equal(got, want) {
				t.Errorf("%s from %s: %q, not %q", top, source, got, want)
			}
			if req.String() != before {
				t.Errorf("the request is changed: %s", req)
			}
		}
	}
}
