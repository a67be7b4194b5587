package route

import (
	"errors"
	"testing"
)

func TestAllowedFollowsTheMostSpecificDestination(t *testing.T) {
	const (
		moscow   = "+74950000000"
		mobile   = "+79990000001"
		abkhazia = "+78400000001"
		almaty   = "+77272000001"
		london   = "+442079460000"
		iridium  = "+881612345678"
		premium  = "+78095051234"
		jamaica  = "+18765550123"
		usa      = "+12015550123"
	)
	for _, tt := range []struct {
		rules   []string
		allowed []string
		refused map[string]string // number -> rule
	}{
		{
			rules:   nil,
			allowed: []string{moscow, mobile},
			refused: map[string]string{london: "destination", almaty: "destination", iridium: "destination", premium: "premium"},
		},
		{
			rules:   []string{"RU", "!+7840", "!+7940"},
			allowed: []string{moscow, mobile},
			refused: map[string]string{abkhazia: "destination", london: "destination"},
		},
		{
			rules:   []string{"!+7840", "+784000", "RU"},
			allowed: []string{abkhazia},
			refused: map[string]string{"+78401000001": "destination"},
		},
		{
			rules:   []string{"*"},
			allowed: []string{moscow, london, almaty, usa, jamaica},
			refused: map[string]string{iridium: "satellite", premium: "premium"},
		},
		{
			rules:   []string{"*", "!GB", "+881", "+7809"},
			allowed: []string{iridium, premium},
			refused: map[string]string{london: "destination"},
		},
		{
			rules:   []string{"+7"},
			allowed: []string{moscow, almaty},
			refused: map[string]string{premium: "premium"},
		},
		{
			rules:   []string{"US"},
			allowed: []string{usa},
			refused: map[string]string{jamaica: "destination"},
		},
		{
			rules:   []string{"+7495", "!+7495"},
			refused: map[string]string{moscow: "destination", "": "destination", "101": "destination", "*": "destination"},
		},
		{
			rules:   []string{"", "!", "+", "nonsense"},
			refused: map[string]string{london: "destination"},
		},
	} {
		n := NewNumbers("RU", tt.rules)
		for _, number := range tt.allowed {
			if err := n.Allowed(number); err != nil {
				t.Errorf("%q: %s: %v", tt.rules, number, err)
			}
		}
		for number, rule := range tt.refused {
			var ne *NumberError
			if err := n.Allowed(number); !errors.As(err, &ne) || ne.Code != NotAllowed || ne.Rule != rule {
				t.Errorf("%q: %s: %v, want refused by %s", tt.rules, number, err, rule)
			}
		}
	}
}

func TestPremiumIsReadOnlyWhereItsPrefixIsListed(t *testing.T) {
	if got, err := NewNumbers("RU", []string{"RU", "+7809"}).Parse("8 809 505-12-34"); err != nil || got != "+78095051234" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := NewNumbers("RU", []string{"RU", "!+7809"}).Parse("8 809 505-12-34"); err == nil {
		t.Error("an exclusion names nothing")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"8 (999) 000-00-01", "+7 999 000-00-01", "tel:+7999;ext=1", "112", "+881612345678", "\x00", "＋７９", "+", "8~10 44 20 7946 0000", "+88000000000"} {
		f.Add(s)
	}
	n := NewNumbers("RU", []string{"*"})
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := n.Parse(raw)
		if err != nil {
			var ne *NumberError
			if got != "" || !errors.As(err, &ne) || ne.Detail == "" || len(ne.Detail) > 512 {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		if len(got) < 3 || len(got) > 1+maxDigits || got[0] != '+' || onlyDigits(got) != got[1:] {
			t.Fatalf("Parse(%q) = %q", raw, got)
		}
		if again, err := n.Parse(got); err != nil || again != got {
			t.Fatalf("Parse(%q) = %q, and that again %q, %v", raw, got, again, err)
		}
	})
}
