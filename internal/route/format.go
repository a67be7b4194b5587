package route

import (
	"strings"

	"github.com/nyaruka/phonenumbers"

	"perezvon/configs"
)

// Format writes a number in E.164 the way a trunk wants it dialled: plus
// (+7916…), digits (7916…), national (8916… in RU; another country's number
// with the region's international prefix, 81044…) or raw (unchanged). What is
// not in E.164 stays as it is.
func Format(e164, format, region string) string {
	if !strings.HasPrefix(e164, "+") {
		return e164
	}
	switch format {
	case "digits":
		return e164[1:]
	case "national":
		return national(e164, region)
	default:
		return e164
	}
}

// national writes a number as it is dialled inside a region.
func national(e164, region string) string {
	num, err := phonenumbers.Parse(e164, region)
	if err != nil {
		return e164
	}
	region = strings.ToUpper(region)
	if int(num.GetCountryCode()) == phonenumbers.GetCountryCodeForRegion(region) {
		return phonenumbers.GetNddPrefixForRegion(region, true) + phonenumbers.GetNationalSignificantNumber(num)
	}
	return onlyDigits(phonenumbers.FormatOutOfCountryCallingNumber(num, region))
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// Dialled writes a number as it is dialled on one trunk of the configuration.
// A flow that tries the next trunk of a line asks again: trunks of one line
// may want different forms.
func Dialled(cfg *configs.Config, trunk, number string) string {
	t := cfg.Trunk(trunk)
	if t == nil {
		return number
	}
	return Format(number, t.Format, cfg.Region)
}
