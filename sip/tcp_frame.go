package sip

import (
	"bytes"
	"errors"
	"strconv"
)

const (
	maxStreamMessage = readSize // with its header and body
	maxStartLine     = 8 << 10
)

// What makes a connection one that cannot be read on: nobody knows where its
// next message begins.
var (
	errNotSIP    = errors.New("what came is not SIP")
	errNoLength  = errors.New("a message has no usable Content-Length")
	errTooLarge  = errors.New("a message is larger than 64 KiB")
	errHalfSent  = errors.New("the rest of a message did not come")
	errIdle      = errors.New("nothing came for a long time")
	errPeerEnded = errors.New("the far side closed the connection")
)

// framer cuts a stream of bytes into messages: by the empty line and by
// Content-Length, which every message in a stream has (RFC 3261 18.3, 20.14).
// It sees whatever anybody sends.
type framer struct {
	buf    []byte
	seen   int // bytes of buf in which no empty line begins
	need   int // length of the message at the start of buf; 0: not known yet
	breaks int // CRLFs in a row before the next message
}

// add appends what was read.
func (f *framer) add(b []byte) { f.buf = append(f.buf, b...) }

// half reports whether a message has begun and is not whole.
func (f *framer) half() bool { return len(f.buf) > 0 && !bytes.Equal(f.buf, crlf[:1]) }

// next returns the next whole message, nil if there is none yet. It points into
// the framer and is valid until add. pings is how many keep-alives came before
// it, two CRLFs each (RFC 5626 4.4.1). After an error there is nothing more to
// be had.
func (f *framer) next() (message []byte, pings int, err error) {
	for bytes.HasPrefix(f.buf, crlf) {
		f.buf = f.buf[len(crlf):]
		if f.breaks++; f.breaks%2 == 0 {
			pings++
		}
	}
	if f.need == 0 {
		if err := f.measure(); err != nil || f.need == 0 {
			return nil, pings, err
		}
	}
	if len(f.buf) < f.need {
		return nil, pings, nil
	}
	message = f.buf[:f.need:f.need]
	f.buf = f.buf[f.need:]
	f.seen, f.need, f.breaks = 0, 0, 0
	return message, pings, nil
}

// measure finds out how long the message at the start of buf is.
func (f *framer) measure() error {
	if err := plausible(f.buf); err != nil {
		return err
	}
	end := bytes.Index(f.buf[f.seen:], emptyLine)
	if end < 0 {
		f.seen = max(0, len(f.buf)-len(emptyLine)+1)
		if len(f.buf) > maxStreamMessage {
			return errTooLarge
		}
		return nil
	}
	end += f.seen + len(emptyLine)
	body, ok := contentLength(f.buf[:end])
	if !ok {
		return errNoLength
	}
	if end > maxStreamMessage || body > maxStreamMessage-end {
		return errTooLarge
	}
	f.need = end + body
	return nil
}

var emptyLine = []byte("\r\n\r\n")

// plausible reports early that this is no SIP: a TLS or HTTP client is not
// waited for until its buffer is full.
func plausible(p []byte) error {
	if len(p) == 0 || p[0] == '\r' && len(p) == 1 {
		return nil
	}
	if c := p[0] | 0x20; c < 'a' || c > 'z' {
		return errNotSIP
	}
	line, _, whole := bytes.Cut(p[:min(len(p), maxStartLine)], crlf)
	switch {
	case whole && !looksLikeSIP(p):
		return errNotSIP
	case !whole && len(line) == maxStartLine:
		return errNotSIP
	}
	return nil
}

// contentLength reads the header of that name, which must be there and say the
// same thing if it is there twice. head ends with the empty line.
func contentLength(head []byte) (n int, ok bool) {
	for {
		i := bytes.Index(head, crlf)
		if i < 0 {
			return n, ok
		}
		head = head[i+len(crlf):]
		var value []byte
		switch {
		case len(head) == 0:
		case head[0]|0x20 == 'c':
			value = afterName(head, "content-length")
		case head[0]|0x20 == 'l':
			value = afterName(head, "l")
		}
		if value == nil {
			continue
		}
		line, rest, _ := bytes.Cut(value, crlf)
		one, err := strconv.ParseUint(string(bytes.Trim(line, " \t")), 10, 31)
		if err != nil || ok && int(one) != n || len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
			return 0, false // folded: the parser may read another number
		}
		n, ok = int(one), true
	}
}
