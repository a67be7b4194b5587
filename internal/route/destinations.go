package route

import (
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// world is the region that numbers of no country have: satellite phones and
// other international networks.
const world = "001"

// rule is one entry of limits.destinations. Exactly one of prefix, region and
// all is set in a rule that can match.
type rule struct {
	deny   bool
	prefix string // with its +
	region string
	all    bool
}

func parseRule(text string) rule {
	var r rule
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		r.deny, text = true, rest
	}
	switch {
	case text == "*":
		r.all = true
	case strings.HasPrefix(text, "+"):
		r.prefix = text
	default:
		r.region = strings.ToUpper(text)
	}
	return r
}

// weight says how specific a match is, 0 for none. Prefixes of up to 15 digits
// lie above a region, a region above *; a denial wins a tie.
func (r rule) weight(e164, region string) int {
	w := 0
	switch {
	case len(r.prefix) > 1 && strings.HasPrefix(e164, r.prefix):
		w = 2 + len(r.prefix)
	case r.region != "" && r.region == region:
		w = 2
	case r.all:
		w = 1
	default:
		return 0
	}
	w *= 2
	if r.deny {
		w++
	}
	return w
}

// Allowed says whether a number in E.164 may be dialled. The error is a
// *NumberError with the code NotAllowed. Premium numbers and those of
// satellite and other international networks need a prefix that names them:
// neither a region nor * is enough.
func (n *Numbers) Allowed(e164 string) error {
	num, err := phonenumbers.Parse(e164, n.region)
	if err != nil {
		return denied("destination", "%s is not a number in international form", quote(e164))
	}
	region := regionOf(num)
	var won rule
	best := 0
	for _, r := range n.rules {
		if w := r.weight(e164, region); w > best {
			best, won = w, r
		}
	}
	switch {
	case best == 0:
		return denied("destination", "%s (%s) is outside limits.destinations", e164, place(region))
	case won.deny:
		return denied("destination", "%s is excluded by limits.destinations", e164)
	case n.named(e164, num):
		return nil
	case phonenumbers.GetNumberType(num) == phonenumbers.PREMIUM_RATE:
		return denied("premium", "%s is a premium rate number, which is dialled only if limits.destinations names its prefix", e164)
	case region == world:
		return denied("satellite", "%s belongs to a satellite or international network, which is dialled only if limits.destinations names its prefix", e164)
	}
	return nil
}

// named reports whether a prefix that is more than a country's code allows the
// number. The codes of international networks name themselves.
func (n *Numbers) named(e164 string, num *phonenumbers.PhoneNumber) bool {
	code := len(fmt.Sprintf("+%d", num.GetCountryCode()))
	if regionOf(num) == world {
		code--
	}
	for _, r := range n.rules {
		if !r.deny && len(r.prefix) > code && strings.HasPrefix(e164, r.prefix) {
			return true
		}
	}
	return false
}

// regionOf returns the region a number belongs to. A number that lies in no
// known range counts as one of its country code's main region.
func regionOf(num *phonenumbers.PhoneNumber) string {
	if r := phonenumbers.GetRegionCodeForNumber(num); r != "" && r != "ZZ" {
		return r
	}
	return phonenumbers.GetRegionCodeForCountryCode(int(num.GetCountryCode()))
}

func place(region string) string {
	if region == world {
		return "an international network"
	}
	return region
}

func denied(rule, format string, args ...any) *NumberError {
	return &NumberError{Code: NotAllowed, Rule: rule, Detail: fmt.Sprintf(format, args...)}
}
