// Package route makes the decisions of a call that need nothing but the
// configuration: how a number is read and whether it may be dialled, which
// line an incoming call belongs to, and who is rung in what order. It does no
// I/O and keeps no state; a decision comes back as data.
package route

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// Codes of a NumberError, as the API shows them.
const (
	InvalidNumber = "invalid_number" // cannot be a number, or never one to call back
	NotAllowed    = "not_allowed"    // a number outside limits.destinations
)

// NumberError says why a number is not dialled.
type NumberError struct {
	Code   string // InvalidNumber or NotAllowed
	Rule   string // the rule that refused: empty, characters, too_short, too_long, emergency, premium, own_number, destination, no_extension, …
	Detail string // a sentence for people, without a full stop
}

// Error returns the sentence.
func (e *NumberError) Error() string { return e.Detail }

// maxRaw bounds what is read as a number: a written number with all its
// punctuation is far shorter.
const maxRaw = 64

// maxDigits is the longest number of E.164, country code included.
const maxDigits = 15

// Numbers reads numbers and knows which of them may be dialled. It does not
// change after NewNumbers and may be used from any goroutine.
type Numbers struct {
	region string
	rules  []rule
}

// NewNumbers returns the reader of numbers for a region (ISO 3166-1 alpha-2)
// and the rules of limits.destinations: regions (RU), prefixes (+7495), both
// excluded by a leading !, and * for everything. The most specific rule wins:
// a longer prefix before a shorter one, a prefix before a region, a region
// before *; of two equal ones the exclusion. No rules mean the region's own
// numbers. Rules that cannot be read match nothing; configs refuses them.
func NewNumbers(region string, destinations []string) *Numbers {
	region = strings.ToUpper(region)
	if len(destinations) == 0 {
		destinations = []string{region}
	}
	n := &Numbers{region: region, rules: make([]rule, 0, len(destinations))}
	for _, d := range destinations {
		n.rules = append(n.rules, parseRule(d))
	}
	return n
}

// Parse reads a number as people write it ("8 (999) 000-00-01", "+7 999…",
// "tel:+7999…") and returns it in E.164. The error is a *NumberError with the
// code InvalidNumber.
//
// A number counts as good when its length is possible in its country. Whether
// its range is already in use is not asked: numbering plans change faster than
// programs are updated, and the network knows better. Emergency numbers are
// always refused, premium ones unless a destination prefix names them.
func (n *Numbers) Parse(raw string) (string, error) {
	s, err := clean(raw)
	if err != nil {
		return "", err
	}
	if emergency(s, n.region) {
		return "", invalid("emergency", "%s is an emergency number, which is never dialled from here", quote(raw))
	}
	num, perr := phonenumbers.Parse(s, n.region)
	if errors.Is(perr, phonenumbers.ErrInvalidCountryCode) {
		return "", invalid("country_code", "%s begins with a country code that does not exist", quote(raw))
	}
	if perr != nil {
		return "", invalid("unparseable", "%s cannot be read as a telephone number of %s: %s",
			quote(raw), n.region, strings.ToLower(perr.Error()))
	}
	if num.GetExtension() != "" {
		return "", invalid("extension", "%s has an extension, which cannot be dialled: give the number alone", quote(raw))
	}
	e164 := phonenumbers.Format(num, phonenumbers.E164)
	if err := n.possible(raw, e164, num); err != nil {
		return "", err
	}
	if again, err := phonenumbers.Parse(e164, n.region); err != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		// Prefixes behind the country code, peeled off one at a time: whoever
		// reads the result would dial yet another number.
		return "", invalid("unparseable", "%s can be read as several numbers; leave out what is dialled before the area code", quote(raw))
	}
	if phonenumbers.GetNumberType(num) == phonenumbers.PREMIUM_RATE && !n.named(e164, num) {
		return "", invalid("premium", "%s is a premium rate number, which is dialled only if limits.destinations names its prefix", e164)
	}
	return e164, nil
}

// possible checks the length of a number that could be read.
func (n *Numbers) possible(raw, e164 string, num *phonenumbers.PhoneNumber) error {
	where := phonenumbers.GetRegionCodeForCountryCode(int(num.GetCountryCode()))
	switch phonenumbers.IsPossibleNumberWithReason(num) {
	case phonenumbers.IS_POSSIBLE:
		if len(e164)-1 > maxDigits {
			return invalid("too_long", "%s has more than %d digits", quote(raw), maxDigits)
		}
		return nil
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return invalid("too_short", "%s lacks the area code", quote(raw))
	case phonenumbers.TOO_SHORT:
		return invalid("too_short", "%s is too short for a number in %s", quote(raw), where)
	case phonenumbers.TOO_LONG:
		return invalid("too_long", "%s is too long for a number in %s", quote(raw), where)
	case phonenumbers.INVALID_COUNTRY_CODE:
		return invalid("country_code", "%s begins with a country code that does not exist", quote(raw))
	default:
		return invalid("length", "%s has a length that no number in %s has", quote(raw), where)
	}
}

// emergency reports whether the number calls for help when dialled in a region.
func emergency(number, region string) bool {
	return !strings.HasPrefix(number, "+") && phonenumbers.IsEmergencyNumber(number, strings.ToUpper(region))
}

// forHelp returns the emergency number that is dialled, as networks know it:
// in digits alone. What has anything else in it but separators is none, since a
// network could read something else into it.
func forHelp(dialled, region string) (number string, ok bool) {
	number = canonical(dialled)
	ok = !strings.HasPrefix(strings.TrimSpace(dialled), "+") && strings.Trim(number, "0123456789") == "" && emergency(number, region)
	return number, ok
}

// clean takes the number out of a tel: URI and refuses what no written number
// contains. Digits of other scripts are left to the parser.
func clean(raw string) (string, error) {
	if len(raw) > 4*maxRaw || utf8.RuneCountInString(raw) > maxRaw {
		return "", invalid("too_long", "the number has more than %d characters", maxRaw)
	}
	s := strings.TrimSpace(raw)
	if len(s) >= 4 && strings.EqualFold(s[:4], "tel:") {
		s, _, _ = strings.Cut(s[4:], ";")
	}
	digits := 0
	for i, r := range s {
		switch {
		case unicode.IsDigit(r):
			digits++
		case r == '+' || r == '＋':
			if strings.TrimLeft(s[:i], " (") != "" {
				return "", invalid("characters", "%s has a + that is not at its beginning", quote(raw))
			}
		case strings.ContainsRune("-()./~ \u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2212", r):
		default:
			return "", invalid("characters", "%s contains %q, which no telephone number does", quote(raw), r)
		}
	}
	if digits == 0 {
		return "", invalid("empty", "the number is empty")
	}
	return s, nil
}

func invalid(rule, format string, args ...any) *NumberError {
	return &NumberError{Code: InvalidNumber, Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// quote shows what somebody sent without letting it grow or break a line.
func quote(raw string) string {
	const most = 32
	if r := []rune(raw); len(r) > most {
		raw = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", raw)
}
