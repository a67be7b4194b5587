package trace

import "bytes"

// removed stands where a secret was in a header. In a body a secret is
// overwritten with as many x, so that Content-Length stays true.
const removed = "removed"

// redact returns a message without its secrets: what answers and asks for
// credentials, passwords, tokens, keys of media, and every body that is neither
// a session description nor a piece of SIP. It is for whatever a stranger may
// have sent: what is not understood is rather taken out. Of a message that was
// cut off the last line goes, for it may be half of something.
func redact(data []byte, isCut bool) []byte {
	return appendRedacted(make([]byte, 0, len(data)+len(data)/8), data, isCut)
}

// appendRedacted is redact into a buffer behind what is in it.
func appendRedacted(to, data []byte, isCut bool) []byte {
	if isCut {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
	}
	r := redactor{out: to, kind: bodyOther}
	rest, secret := data, false
	for len(rest) > 0 {
		line, end, after := cutLine(rest)
		if len(line) == 0 { // the body begins
			r.out = append(r.out, end...)
			r.body(after)
			break
		}
		rest = after
		switch {
		case line[0] != ' ' && line[0] != '\t':
			secret = r.header(line)
		case secret: // goes on with what was taken out
			r.out = append(r.out, " "+removed...)
		default:
			secret = r.continued(line)
		}
		r.out = append(r.out, end...)
	}
	return r.out
}

type redactor struct {
	out    []byte
	kind   bodyKind
	packed bool // the body is compressed: nobody can see what is in it
}

// bodyKind is what is known of a body by its Content-Type.
type bodyKind uint8

const (
	bodyOther bodyKind = iota // nothing of it is kept
	bodySDP
	bodySIP   // message/sipfrag, message/sip
	bodyMixed // multipart
)

// cutLine returns the first line of b, what ends it, and the rest. Each of CR,
// LF and both ends one: parsers differ.
func cutLine(b []byte) (line, end, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		i = len(b)
	}
	if j := bytes.IndexByte(b[:i], '\r'); j >= 0 {
		i = j
	}
	if i == len(b) {
		return b, nil, nil
	}
	n := i + 1
	if b[i] == '\r' && n < len(b) && b[n] == '\n' {
		n++
	}
	return b[:i], b[i:n], b[n:]
}

// header writes a line of the head and reports whether something of its value
// was taken out, so that it may go on in a folded line.
func (r *redactor) header(line []byte) (secret bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	var buf nameBuffer
	key := buf.lower(bytes.TrimSpace(name))
	switch {
	case !ok:
		return r.values(line) || isDigest(key) || secretHeader(key)
	case bytes.ContainsAny(key, " \t"): // the first line
	case isDigest(key):
		r.out = append(append(r.out, name...), ':')
		r.credentials(value)
		return true
	case secretHeader(key):
		r.out = append(append(r.out, name...), ": "+removed...)
		return true
	case is(key, "content-type", "c"):
		r.kind = kindOf(value)
	case is(key, "content-encoding", "e"):
		r.packed = true
	}
	return r.values(line)
}

// continued is header for a folded line. It may name the type of the body as
// well.
func (r *redactor) continued(line []byte) (secret bool) {
	if k := kindOf(line); k != bodyOther {
		r.kind = k
	}
	return r.values(line)
}

func kindOf(value []byte) bodyKind {
	media, _, _ := bytes.Cut(value, []byte(";"))
	var buf nameBuffer
	switch kind := buf.lower(bytes.TrimSpace(media)); {
	case is(kind, "application/sdp"):
		return bodySDP
	case is(kind, "message/sipfrag", "message/sip"):
		return bodySIP
	case bytes.HasPrefix(kind, []byte("multipart/")):
		return bodyMixed
	}
	return bodyOther
}

// isDigest reports whether a header asks for credentials or gives them.
func isDigest(key []byte) bool {
	return is(key, "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate")
}

// secretHeader reports whether nothing of a header's value is kept. y is the
// short form of Identity (RFC 8224).
func secretHeader(key []byte) bool {
	switch string(key) { // what nearly every message has takes no look at its name
	case "via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length", "content-type",
		"user-agent", "server", "allow", "supported", "route", "record-route", "session-expires", "min-se":
		return false
	}
	return is(key, "identity", "y") || telling(key)
}

// harmless reports whether a parameter of Digest is no secret. It helps to find
// out why credentials are refused.
func harmless(name []byte) bool {
	return is(name, "username", "realm", "uri", "algorithm", "qop", "stale", "nc", "domain")
}

// credentials writes what is told of a challenge or of credentials.
func (r *redactor) credentials(value []byte) {
	scheme, rest, _ := bytes.Cut(bytes.TrimLeft(value, " \t"), []byte(" "))
	var buf nameBuffer
	if !is(buf.lower(scheme), "digest") {
		r.out = append(r.out, " "+removed...)
		return
	}
	r.out = append(r.out, " Digest "...)
	for {
		rest = bytes.TrimLeft(rest, " \t,")
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			break
		}
		name := bytes.TrimSpace(rest[:eq])
		value, after, ok := parameter(rest[eq+1:])
		if !ok {
			break
		}
		if rest = after; harmless(buf.lower(name)) {
			one := redactor{}
			one.values(value)
			r.out = append(append(append(append(r.out, name...), '='), one.out...), ", "...)
		}
	}
	r.out = append(r.out, removed...)
}

// parameter cuts a value, quoted or not, off the front. It is not ok where a
// quote is never closed.
func parameter(b []byte) (value, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, " \t")
	if len(b) == 0 || b[0] != '"' {
		if i := bytes.IndexByte(b, ','); i >= 0 {
			return bytes.TrimSpace(b[:i]), b[i:], !bytes.ContainsRune(b[:i], '"')
		}
		return bytes.TrimSpace(b), nil, !bytes.ContainsRune(b, '"')
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[:i+1], b[i+1:], true
		}
	}
	return nil, nil, false
}

// values writes a line whose parameters and URIs may hold secrets, and reports
// whether there is one, or the name of one at the end.
func (r *redactor) values(line []byte) (secret bool) {
	for from := 0; ; {
		at, end := nextSecret(line, from)
		if at < 0 {
			r.out = append(r.out, line[from:]...)
			return secret || named(line[from:])
		}
		r.out = append(append(r.out, line[from:at]...), removed...)
		from, secret = end, true
	}
}

// body writes a body, of the same length.
func (r *redactor) body(b []byte) {
	start := len(r.out)
	r.out = append(r.out, b...)
	for rest := r.out[start:]; len(rest) > 0; {
		var line []byte
		line, _, rest = cutLine(rest)
		r.bodyLine(line)
	}
}

// bodyLine overwrites what is secret in a line of a body, and every line that
// does not belong into a body of its kind.
func (r *redactor) bodyLine(line []byte) {
	switch {
	case r.kind == bodyOther || r.packed:
		overwrite(line)
	case r.kind != bodySIP && isSDP(line):
		sdpLine(line)
	case r.kind == bodySIP:
		fragmentLine(line)
	case r.kind == bodyMixed && bytes.HasPrefix(line, []byte("--")), r.kind == bodyMixed && indexFold(line, "content-") == 0:
		overwriteValues(line)
	default:
		overwrite(line)
	}
}

// isSDP reports whether a line is one of a session description (RFC 4566 5).
func isSDP(line []byte) bool {
	return len(line) > 1 && line[1] == '=' && bytes.IndexByte([]byte("vosiuepcbtrzkam"), line[0]|0x20) >= 0
}

// fragmentLine overwrites what is secret in a line of a piece of SIP.
func fragmentLine(line []byte) {
	name, value, header := bytes.Cut(line, []byte(":"))
	var buf nameBuffer
	key := buf.lower(bytes.TrimRight(name, " \t"))
	switch {
	case bytes.HasPrefix(line, []byte("SIP/2.0 ")) || bytes.HasSuffix(line, []byte(" SIP/2.0")):
		overwriteValues(line)
	case !header || len(key) == 0 || len(key) != len(word(key)):
		overwrite(line)
	case isDigest(key) || secretHeader(key):
		overwrite(value)
	default:
		overwriteValues(line)
	}
}

// sdpLine overwrites keys and passwords in a line of a session description:
// those of SDES (RFC 4568), MIKEY (RFC 4567), k= (RFC 4566) and ICE.
func sdpLine(line []byte) {
	value := line[2:]
	name, rest, _ := bytes.Cut(value, []byte(":"))
	var buf nameBuffer
	key := buf.lower(name)
	switch {
	case line[0] == 'k' || line[0] == 'K':
		overwrite(value)
	case is(key, "crypto"):
		overwrite(cryptoKeys(rest))
	case is(key, "key-mgmt", "identity") || telling(key):
		overwrite(rest)
	default:
		if k := indexFold(value, "inline:"); k >= 0 {
			overwrite(value[k+len("inline:"):])
		}
		overwriteValues(value) // few have an equals sign or an @
	}
}

// cryptoKeys is the value of a=crypto but for the tag, the suite and the word
// that a key follows; all of it where it has another form than "1 SUITE inline:".
func cryptoKeys(value []byte) []byte {
	rest := bytes.TrimLeft(value, "0123456789")
	space := bytes.TrimLeft(rest, " \t")
	keys := bytes.TrimLeftFunc(space, func(r rune) bool { return r == '_' || r < 0x80 && isWord(byte(r)) })
	params := bytes.TrimLeft(keys, " \t")
	if len(rest) == len(value) || len(space) == len(rest) || len(keys) == len(space) || len(params) == len(keys) {
		return value
	}
	if indexFold(params, "inline:") == 0 {
		return params[len("inline:"):]
	}
	return params
}

func overwriteValues(line []byte) {
	for from := 0; ; {
		at, end := nextSecret(line, from)
		if at < 0 {
			return
		}
		overwrite(line[at:end])
		from = end
	}
}

func overwrite(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}
