package sip

import (
	"slices"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Place is where an INVITE has a number.
type Place string

// Places of numbers. Which of them a trunk's calls use is the provider's
// choice, see Trunk.
const (
	InRequestURI  Place = "request_uri"
	InTo          Place = "to"
	InFrom        Place = "from"
	InDiversion   Place = "diversion"           // RFC 5806
	InAsserted    Place = "p-asserted-identity" // RFC 3325
	InRemoteParty Place = "remote-party-id"     // draft-ietf-sip-privacy-04
)

// maxPersons is how many values of one header are looked at.
const maxPersons = 8

// person is somebody, as one header value has it.
type person struct {
	number  string // user of a SIP URI, or what a tel URI has; may be empty
	host    string // of a SIP URI, in lower case
	display string
	params  []string // name=value, as they stand there
}

// personsIn reads all values of a header, those without a URI left out.
func personsIn(m sipmsg.Message, name string) []person {
	var all []person
	for _, h := range headersOf(m, name) {
		for _, value := range splitQuoted(h.Value(), ',') {
			if one, ok := parsePerson(value); ok {
				all = append(all, one)
			}
			if len(all) == maxPersons {
				return all
			}
		}
	}
	return all
}

// parsePerson reads a name-addr or addr-spec with its parameters (RFC 3261
// 20.10).
func parsePerson(value string) (one person, ok bool) {
	parts := splitQuoted(value, ';')
	uri := strings.TrimSpace(parts[0])
	one.params = parts[1:]
	if open := openAngle(uri); open >= 0 {
		one.display = plainText(unquote(strings.TrimSpace(uri[:open])))
		end := strings.IndexByte(uri[open:], '>')
		if end < 0 {
			return person{}, false
		}
		uri = uri[open+1 : open+end]
	}
	scheme, rest, found := strings.Cut(uri, ":")
	if !found {
		return person{}, false
	}
	rest, _, _ = strings.Cut(rest, "?")
	switch strings.ToLower(strings.TrimSpace(scheme)) {
	case "tel":
		one.number = strings.Map(unspoken, userOf(rest))
	case "sip", "sips":
		if user, host, named := strings.Cut(rest, "@"); named {
			user, _, _ = strings.Cut(user, ":") // a password
			one.number, rest = userOf(user), host
		}
		rest, _, _ = strings.Cut(rest, ";")
		one.host = strings.ToLower(strings.TrimSpace(rest))
	default:
		return person{}, false
	}
	return one, true
}

// unspoken drops what tel URIs have for the eye alone (RFC 3966 5.1.1).
func unspoken(r rune) rune {
	if strings.ContainsRune("-.()", r) {
		return -1
	}
	return r
}

// openAngle is where the < of a name-addr stands, -1 without one; those inside
// a quoted display name are none.
func openAngle(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			return i
		}
	}
	return -1
}

// param returns a parameter by its case-insensitive name, in lower case.
func (one person) param(name string) string {
	for _, p := range one.params {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.ToLower(unquote(strings.TrimSpace(v)))
		}
	}
	return ""
}

// nobody are users that stand for a number that is withheld or not known.
var nobody = [...]string{"anonymous", "unavailable", "unknown", "restricted"}

// withheld reports whether it is nobody (RFC 3323 4.1.1.3).
func (one person) withheld() bool {
	host := one.host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	return strings.HasSuffix(host, ".invalid") ||
		slices.ContainsFunc(nobody[:], func(name string) bool { return strings.EqualFold(one.number, name) })
}

// private reports whether the caller asks that nobody be told who calls: by
// Privacy (RFC 3323 4.2, RFC 3325 9.3).
func private(m sipmsg.Message) bool {
	for _, h := range headersOf(m, "privacy") {
		for value := range strings.FieldsFuncSeq(h.Value(), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			if strings.EqualFold(value, "id") || strings.EqualFold(value, "user") {
				return true
			}
		}
	}
	return false
}

// callerIn reads who calls from where the trunk has it, else from From. One who
// withholds the number has neither number nor name: an empty number is
// nobody's.
func callerIn(req *sipmsg.Request, place Place) (number, display string) {
	if private(req) {
		return "", ""
	}
	from := req.From()
	one := person{
		number: uriUser(&from.Address), host: strings.ToLower(from.Address.Host),
		display: plainText(unescape(from.DisplayName)),
	}
	switch place {
	case InAsserted:
		if i, ok := firstNumber(personsIn(req, "p-asserted-identity"), nil); ok {
			one = i
		}
	case InRemoteParty:
		calling := func(i person) bool { p := i.param("party"); return p == "" || p == "calling" }
		if i, ok := firstNumber(personsIn(req, "remote-party-id"), calling); ok {
			if p := i.param("privacy"); p == "full" || p == "uri" {
				return "", ""
			}
			one = i
		}
	}
	if one.withheld() {
		return "", ""
	}
	return one.number, one.display
}

// firstNumber is the first of them that has a number and fits.
func firstNumber(all []person, fits func(person) bool) (person, bool) {
	i := slices.IndexFunc(all, func(one person) bool { return one.number != "" && (fits == nil || fits(one)) })
	if i < 0 {
		return person{}, false
	}
	return all[i], true
}

// calledIn reads the number that was dialled from where the trunk has it. Where
// there is no such header it is that of the Request-URI, else that of To.
func calledIn(req *sipmsg.Request, place Place) string {
	request, to := uriUser(&req.Recipient), uriUser(&req.To().Address)
	switch place {
	case InTo:
		if to != "" {
			return to
		}
	case InDiversion:
		// The topmost is who passed the call on to us (RFC 5806 5.1).
		if one, ok := firstNumber(personsIn(req, "diversion"), nil); ok {
			return one.number
		}
	}
	if request != "" {
		return request
	}
	return to
}

// identify reads who calls whom as the trunk has it; nil is a phone's call.
func (in *Incoming) identify(t *trunk) {
	var number, caller Place
	if t != nil {
		number, caller = t.NumberIn, t.CallerIDIn
	}
	in.Called = calledIn(in.req, number)
	in.From, in.FromDisplay = callerIn(in.req, caller)
}

// Numbers are the numbers that were dialled, as each of Trunks has them that is
// still configured, the first one's first; none comes twice.
func (in *Incoming) Numbers() []string {
	all := []string{in.Called}
	for _, name := range in.Trunks {
		t := in.a.peers.trunk(name)
		if t == nil { // a reload was faster
			continue
		}
		if number := calledIn(in.req, t.NumberIn); !slices.Contains(all, number) {
			all = append(all, number)
		}
	}
	return all
}
