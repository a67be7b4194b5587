package route

import (
	"errors"
	"testing"
)

func TestParseReadsNumbersAsPeopleWriteThem(t *testing.T) {
	n := NewNumbers("ru", nil)
	for raw, want := range map[string]string{
		"8 (999) 000-00-01":            "+79990000001",
		"+7 999 000 00 01":             "+79990000001",
		"79990000001":                  "+79990000001",
		"9990000001":                   "+79990000001",
		"tel:+7-999-000-00-01":         "+79990000001",
		"TEL:+79990000001;ext=5":       "+79990000001",
		" +7\u00a0999\u2011000-00-01 ": "+79990000001",
		"(+7) 999 0000001":             "+79990000001",
		"8 495 000-00-00":              "+74950000000",
		"+74950000000":                 "+74950000000",
		"8 800 555-35-35":              "+78005553535",
		"+442079460000":                "+442079460000",
		"8~10 44 20 7946 0000":         "+442079460000",
		"８９９９００００００１":                  "+79990000001",
	} {
		got, err := n.Parse(raw)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	n := NewNumbers("RU", nil)
	for raw, rule := range map[string]string{
		"":                                "empty",
		"  -- ":                           "empty",
		"+":                               "empty",
		"1":                               "unparseable",
		"12345":                           "too_short",
		"+7999000":                        "too_short",
		"+7999000000123456":               "too_long",
		"+999 123 456 789":                "country_code",
		"112":                             "emergency",
		"8 999 000 00 01 ext. 5":          "characters",
		"call me":                         "characters",
		"+7999000+0001":                   "characters",
		"+79990000001\r\nX: y":            "characters",
		"8 809 505 12 34":                 "premium",
		"+7 999 000 00 01, 8 999 0000002": "characters",
		"99999999999999999999999999999999999999999999999999999999999999999": "too_long",
	} {
		got, err := n.Parse(raw)
		var ne *NumberError
		if !errors.As(err, &ne) {
			t.Errorf("Parse(%q) = %q, %v; want a NumberError", raw, got, err)
			continue
		}
		if ne.Code != InvalidNumber || ne.Rule != rule || ne.Detail == "" {
			t.Errorf("Parse(%q): %s %s %q; want rule %s", raw, ne.Code, ne.Rule, ne.Detail, rule)
		}
	}
}
