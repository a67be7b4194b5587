package sip

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

const sdpType = "application/sdp"

// newTag returns 128 random bits: tags and branches are what keeps strangers
// from speaking in a dialog.
func newTag() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return hex.EncodeToString(b[:])
}

func newBranch() string { return sipmsg.RFC3261BranchMagicCookie + newTag() }

// newCSeq returns a first sequence number, low enough to be counted up from.
func newCSeq() uint32 {
	var b [2]byte
	_, _ = rand.Read(b[:])
	return 1 + uint32(binary.BigEndian.Uint16(b[:]))
}

// keyedTag derives a tag from the identity of a request, so that every
// response to it carries the same one whoever writes it.
func keyedTag(secret []byte, parts ...string) string {
	mac := hmac.New(sha256.New, secret)
	for _, p := range parts {
		_, _ = io.WriteString(mac, p)
		_, _ = mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// canonParams writes parameter names as everybody compares them: names are
// case-insensitive (RFC 3261 7.3.1), the library compares them byte by byte.
func canonParams(p sipmsg.HeaderParams) {
	for i := range p {
		p[i].K = strings.ToLower(strings.TrimSpace(p[i].K))
		p[i].V = strings.TrimSpace(p[i].V)
	}
}

// param returns a parameter by its case-insensitive name.
func param(p sipmsg.HeaderParams, name string) (string, bool) {
	for _, kv := range p {
		if strings.EqualFold(kv.K, name) {
			return kv.V, true
		}
	}
	return "", false
}

// canonicalise prepares a parsed message, before anybody else sees it.
func canonicalise(m sipmsg.Message) {
	if v := m.Via(); v != nil {
		canonParams(v.Params)
	}
	if f := m.From(); f != nil {
		canonParams(f.Params)
	}
	if t := m.To(); t != nil {
		canonParams(t.Params)
	}
}

func fromTag(m sipmsg.Message) string {
	if h := m.From(); h != nil {
		tag, _ := param(h.Params, "tag")
		return tag
	}
	return ""
}

func toTag(m sipmsg.Message) string {
	if h := m.To(); h != nil {
		tag, _ := param(h.Params, "tag")
		return tag
	}
	return ""
}

func callID(m sipmsg.Message) string {
	if h := m.CallID(); h != nil {
		return string(*h)
	}
	return ""
}

func branchOf(m sipmsg.Message) string {
	if v := m.Via(); v != nil {
		b, _ := param(v.Params, "branch")
		return b
	}
	return ""
}

// header returns the first value of a header, looked up by its long name and
// by its compact one.
func header(m sipmsg.Message, name string) string {
	for _, n := range [2]string{name, compactName(name)} {
		if n == "" {
			continue
		}
		for _, h := range allHeaders(m) {
			if isNamed(h, n) {
				return h.Value()
			}
		}
	}
	return ""
}

// allHeaders are the headers of a message, in its order.
func allHeaders(m sipmsg.Message) []sipmsg.Header {
	if held, ok := m.(interface{ Headers() []sipmsg.Header }); ok {
		return held.Headers()
	}
	return nil
}

// isNamed reports whether a header has a name, in any case.
func isNamed(h sipmsg.Header, name string) bool {
	n := h.Name()
	return len(n) == len(name) && strings.EqualFold(n, name)
}

// headersOf returns the headers of a name, in the order of the message. The
// library's own look-up copies every name that it compares.
func headersOf(m sipmsg.Message, name string) []sipmsg.Header {
	var found []sipmsg.Header
	for _, h := range allHeaders(m) {
		if isNamed(h, name) {
			found = append(found, h)
		}
	}
	return found
}

// compactName is the short form of the headers whose short form the parser
// leaves as it is (RFC 3261 7.3.3 and later).
func compactName(name string) string {
	switch strings.ToLower(name) {
	case "supported":
		return "k"
	case "subject":
		return "s"
	case "session-expires":
		return "x"
	case "refer-to":
		return "r"
	case "referred-by":
		return "b"
	case "event":
		return "o"
	case "content-encoding":
		return "e"
	}
	return ""
}

// optionTags reads a list of option tags, as in Require, by the header's long
// name and by its compact one.
func optionTags(m sipmsg.Message, name string) []string {
	hs := headersOf(m, name)
	if short := compactName(name); short != "" {
		hs = append(hs, headersOf(m, short)...)
	}
	var tags []string
	for _, h := range hs {
		for tag := range strings.SplitSeq(h.Value(), ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// sdpBody returns the session description of a message, nil without one. Of a
// multipart body it is the part that is one.
func sdpBody(m sipmsg.Message) []byte {
	body := m.Body()
	if len(body) == 0 {
		return nil
	}
	written := contentType(m)
	if written == sdpType { // as nearly everybody writes it
		return body
	}
	kind, params, err := mime.ParseMediaType(written)
	if err != nil {
		return nil
	}
	if kind == sdpType {
		return body
	}
	if !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" {
		return nil
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range 8 {
		p, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		if t, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); t == sdpType {
			part, _ := io.ReadAll(p)
			return part
		}
	}
	return nil
}

func contentType(m sipmsg.Message) string {
	type typed interface {
		ContentType() *sipmsg.ContentTypeHeader
	}
	if t, ok := m.(typed); ok {
		if h := t.ContentType(); h != nil {
			return h.Value()
		}
	}
	return ""
}
