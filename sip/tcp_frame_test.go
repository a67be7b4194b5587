package sip

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// framed cuts a stream that comes in pieces of that many bytes.
func framed(stream string, piece int) (messages []string, pings int, err error) {
	f := &framer{}
	for len(stream) > 0 {
		n := min(piece, len(stream))
		f.add([]byte(stream[:n]))
		stream = stream[n:]
		for {
			m, p, err := f.next()
			pings += p
			if err != nil {
				return messages, pings, err
			}
			if m == nil {
				break
			}
			messages = append(messages, string(m))
		}
	}
	return messages, pings, nil
}

func sized(start string, body int, headers ...string) string {
	return start + "\r\n" + strings.Join(append(headers, fmt.Sprintf("Content-Length: %d", body)), "\r\n") + "\r\n\r\n" + strings.Repeat("b", body)
}

func TestStreamIsCutIntoMessages(t *testing.T) {
	one := sized("INVITE sip:a@b SIP/2.0", 5, "Call-ID: 1")
	two := sized("SIP/2.0 200 OK", 0, "Subject: x\r\n Content-Length: 999")
	three := "BYE sip:a SIP/2.0\r\nl \t: 3\r\nL:3\r\n\r\n\r\n\r"
	stream := "\r\n" + one + "\r\n\r\n" + two + three + "\r\n\r\n\r\n\r\n" + one
	for _, piece := range []int{1, 2, 3, 7, 64, len(stream)} {
		messages, pings, err := framed(stream, piece)
		if err != nil || fmt.Sprintf("%q", messages) != fmt.Sprintf("%q", []string{one, two, three, one}) || pings != 3 {
			t.Errorf("in pieces of %d: %q, %d pings, %v", piece, messages, pings, err)
		}
	}
}

func TestWhatCannotBeCutIsAnError(t *testing.T) {
	for stream, want := range map[string]error{
		"GET / HTTP/1.1\r\n":                                        errNotSIP,
		"\x16\x03\x01\x02":                                          errNotSIP,
		strings.Repeat("a", maxStartLine):                           errNotSIP,
		"BYE sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n":                   errNoLength,
		sized("BYE sip:a SIP/2.0", 1, "l: 2"):                       errNoLength,
		"BYE sip:a SIP/2.0\r\nl: -1\r\n\r\n":                        errNoLength,
		"BYE sip:a SIP/2.0\r\nl: 1\r\n 2\r\n\r\n":                   errNoLength,
		"BYE sip:a SIP/2.0\r\nl:\r\n 2\r\n\r\n":                     errNoLength,
		"BYE sip:a SIP/2.0\r\nl: 65535\r\n\r\n":                     errTooLarge,
		"BYE sip:a SIP/2.0\r\nl: 4294967297\r\n\r\n":                errNoLength,
		"BYE sip:a SIP/2.0\r\n" + strings.Repeat("X: y\r\n", 11000): errTooLarge,
	} {
		if messages, _, err := framed(stream, 1000); !errors.Is(err, want) {
			t.Errorf("%.60q: %q, %v, want %v", stream, messages, err, want)
		}
	}
	if m, _, err := framed(sized("BYE sip:a SIP/2.0", 65000), 4096); err != nil || len(m) != 1 {
		t.Errorf("a large message: %d, %v", len(m), err)
	}
}

func FuzzFramer(f *testing.F) {
	p := &peer{addr: carrierAddr, tag: "t"}
	for _, s := range []string{
		"", "\r\n\r\n", "\r", p.initial("1", "body:"+testSDP), p.initial("1") + "\r\n" + p.cancelOf("1"),
		"SIP/2.0 200 OK\r\nl: 3\r\n\r\nabcSIP/2.0 200 OK\r\nContent-Length : 0\r\n\r\n", "A b SIP/2.0\r\nl:1\r\nl:2\r\n\r\n",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		whole, pings, err := framed(string(data), len(data)+1)
		cut, pings2, err2 := framed(string(data), 1+max(0, piece%97))
		if !errors.Is(err2, err) || fmt.Sprint(cut) != fmt.Sprint(whole) || pings != pings2 {
			t.Fatalf("in one piece %q, %d, %v; in several %q, %d, %v", whole, pings, err, cut, pings2, err2)
		}
		rest := data
		for _, m := range whole {
			if !looksLikeSIP([]byte(m)) || len(m) > maxStreamMessage {
				t.Errorf("message %q", m)
			}
			rest = bytes.TrimLeft(rest, "\r\n")
			if !bytes.HasPrefix(rest, []byte(m)) {
				t.Errorf("%q is not in the stream", m)
			}
			rest = rest[len(m):]
		}
	})
}
