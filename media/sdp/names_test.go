package sdp

import (
	"slices"
	"testing"
)

func TestEncodingsOfAPeerAreNamed(t *testing.T) {
	d, err := Parse([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=video 1 RTP/AVP 31\r\n" +
		"m=audio 4000 RTP/AVP 8 18 0 101 96 99\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:96 opus/48000/2\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Names(); !slices.Equal(got, []string{"PCMA", "G729", "PCMU", "telephone-event", "OPUS", "99"}) {
		t.Errorf("%q", got)
	}
	if got := (&Description{}).Names(); got != nil {
		t.Errorf("without sound: %q", got)
	}
}
