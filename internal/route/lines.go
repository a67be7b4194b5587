package route

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"perezvon/configs"
)

// MatchLine finds the line that an incoming call belongs to. Trunks are those
// the call may have come from, best match of its source address first; called
// is the dialled number as it came. An exact number (with +, without, or in
// its country's national form) goes before a pattern, a longer pattern before
// a shorter one, * last. Of several trunks of one line the one that the line
// lists and that stands first in trunks is the call's. An empty number
// belongs to no line.
func MatchLine(lines []configs.Line, trunks []string, called string) (line *configs.Line, trunk string, ok bool) {
	called = canonical(called)
	if called == "" {
		return nil, "", false
	}
	best, bestAt := 0, len(trunks)
	for i := range lines {
		score := matchNumber(lines[i].Number, called)
		if score == 0 || score < best {
			continue
		}
		at := slices.IndexFunc(trunks, func(t string) bool { return slices.Contains(lines[i].Trunks, t) })
		if at < 0 || (score == best && at >= bestAt) {
			continue
		}
		best, bestAt = score, at
		line, trunk, ok = &lines[i], trunks[at], true
	}
	return line, trunk, ok
}

// Scores of matchNumber: a pattern's is its length, an exact number's is above
// that of every pattern.
const exactMatch = 1 << 16

func matchNumber(number, called string) int {
	if prefix, ok := strings.CutSuffix(number, "*"); ok {
		if strings.HasPrefix(called, canonical(prefix)) {
			return 1 + len(prefix)
		}
		return 0
	}
	if own := canonical(number); own != "" && (own == called || sameNational(number, called)) {
		return exactMatch
	}
	return 0
}

// tail is how many last digits are compared before a number is taken apart.
const tail = 4

// sameNational reports whether called is the E.164 number written as it is
// dialled inside its own country, trunk prefix included. The last digits
// alone never make a match.
func sameNational(number, called string) bool {
	if !strings.HasPrefix(number, "+") || len(number) <= tail || !strings.HasSuffix(called, number[len(number)-tail:]) {
		return false
	}
	num, err := phonenumbers.Parse(number, "")
	if err != nil {
		return false
	}
	return national(number, regionOf(num)) == called
}

// canonical strips what differs between ways to write one dialled number: the
// plus, separators and parameters. Internal numbers and names stay as they are.
func canonical(s string) string {
	s = strings.TrimSpace(s)
	s, _, _ = strings.Cut(s, ";")
	if len(s) >= 4 && strings.EqualFold(s[:4], "tel:") {
		s = s[4:]
	}
	if s == "" || (s[0] != '+' && (s[0] < '0' || s[0] > '9')) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -().", r) {
			return -1
		}
		return r
	}, strings.TrimPrefix(s, "+"))
}

// Owns returns the line whose own number this is, nil where it is none. Such
// a number is never dialled: the call would come back to us.
func Owns(cfg *configs.Config, number string) *configs.Line {
	number = canonical(number)
	if number == "" {
		return nil
	}
	for i := range cfg.Lines {
		l := &cfg.Lines[i]
		if !strings.HasSuffix(l.Number, "*") && matchNumber(l.Number, number) == exactMatch {
			return l
		}
	}
	return nil
}

// rawNumber is what may stand in a SIP URI without being written differently.
var rawNumber = regexp.MustCompile(`^[0-9A-Za-z+*#_.-]{1,32}$`)

// Dialable reads a number that is to be dialled from a line and says whether
// it may be. The result is in E.164. Where all trunks of the line are raw the
// number stays as it is given and only its characters are checked. The error
// is a *NumberError.
func (n *Numbers) Dialable(cfg *configs.Config, line *configs.Line, raw string) (string, error) {
	if cfg.AllRaw(line) {
		number := strings.TrimSpace(raw)
		if number == "" {
			return "", invalid("empty", "the number is empty")
		}
		if !rawNumber.MatchString(number) {
			return "", invalid("characters", "%s is not 1 to 32 of the characters 0-9 A-Z a-z + * # _ . -", quote(raw))
		}
		return number, n.notOwn(cfg, line, number)
	}
	number, err := n.Parse(raw)
	if err != nil {
		return "", err
	}
	if err := n.notOwn(cfg, line, number); err != nil {
		return "", err
	}
	return number, n.Allowed(number)
}

// notOwn refuses a number that would call one of our own lines.
func (n *Numbers) notOwn(cfg *configs.Config, line *configs.Line, number string) error {
	own := Owns(cfg, number)
	if own == nil {
		return nil
	}
	if own.ID != line.ID && cfg.AllRaw(line) {
		// Behind raw trunks another line's number may be a phone of the PBX.
		return nil
	}
	return invalid("own_number", "%s is the number of line %s: the call would come back", number, own.ID)
}
