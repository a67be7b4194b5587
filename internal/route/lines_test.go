package route

import (
	"errors"
	"testing"

	"perezvon/configs"
)

func TestMatchLineFindsTheLineOfADialledNumber(t *testing.T) {
	lines := []configs.Line{
		{ID: "rest", Number: "*", Trunks: []string{"pbx"}},
		{ID: "nine", Number: "9*", Trunks: []string{"pbx"}},
		{ID: "main", Number: "+74950000000", Trunks: []string{"provider", "backup"}},
		{ID: "ninety", Number: "91*", Trunks: []string{"pbx", "provider"}},
		{ID: "short", Number: "000", Trunks: []string{"pbx"}},
		{ID: "twin", Number: "000", Trunks: []string{"twin"}},
		{ID: "range", Number: "+7499*", Trunks: []string{"provider"}},
	}
	for _, tt := range []struct {
		trunks      []string
		called      string
		line, trunk string
	}{
		{[]string{"provider"}, "+74950000000", "main", "provider"},
		{[]string{"provider"}, "74950000000", "main", "provider"},
		{[]string{"provider"}, "84950000000", "main", "provider"},
		{[]string{"provider"}, "+7 (495) 000-00-00", "main", "provider"},
		{[]string{"provider"}, "tel:+74950000000;phone-context=x", "main", "provider"},
		{[]string{"backup", "provider"}, "+74950000000", "main", "backup"},
		{[]string{"pbx", "backup"}, "+74950000000", "main", "backup"},
		{[]string{"provider"}, "4950000000", "", ""},
		{[]string{"provider"}, "0000", "", ""},
		{[]string{"provider"}, "+74950000001", "", ""},
		{[]string{"stranger"}, "+74950000000", "", ""},
		{nil, "+74950000000", "", ""},
		{[]string{"pbx"}, "9", "nine", "pbx"},
		{[]string{"pbx"}, "9012", "nine", "pbx"},
		{[]string{"pbx"}, "9112", "ninety", "pbx"},
		{[]string{"provider"}, "9112", "ninety", "provider"},
		{[]string{"pbx"}, "000", "short", "pbx"},
		{[]string{"pbx", "twin"}, "000", "short", "pbx"},
		{[]string{"twin", "pbx"}, "000", "twin", "twin"},
		{[]string{"pbx"}, "anna", "rest", "pbx"},
		{[]string{"pbx"}, "", "", ""},
		{[]string{"pbx"}, "+", "", ""},
		{[]string{"pbx"}, ";x", "", ""},
		{[]string{"provider"}, "74991234567", "range", "provider"},
	} {
		line, trunk, ok := MatchLine(lines, tt.trunks, tt.called)
		id := ""
		if line != nil {
			id = line.ID
		}
		if id != tt.line || trunk != tt.trunk || ok != (tt.line != "") {
			t.Errorf("%v %q: line %q trunk %q %t, want %q %q", tt.trunks, tt.called, id, trunk, ok, tt.line, tt.trunk)
		}
	}
}

func TestMatchLineReturnsTheConfiguredLineItself(t *testing.T) {
	lines := []configs.Line{{ID: "a", Number: "1", Trunks: []string{"t"}}}
	if line, _, _ := MatchLine(lines, []string{"t"}, "1"); line != &lines[0] {
		t.Error("a copy")
	}
}

func TestDialableReadsNumbersByTheTrunksOfTheLine(t *testing.T) {
	cfg := &configs.Config{
		Region: "RU",
		Trunks: []configs.Trunk{{Name: "provider", Format: "plus"}, {Name: "pbx", Format: "raw"}},
		Lines: []configs.Line{
			{ID: "main", Number: "+74950000000", Trunks: []string{"provider", "pbx"}},
			{ID: "inner", Number: "200", Trunks: []string{"pbx"}},
			{ID: "other", Number: "300", Trunks: []string{"pbx"}},
		},
	}
	n := NewNumbers("RU", nil)
	for _, tt := range []struct {
		line      int
		raw, want string
		rule      string
	}{
		{0, "8 916 000-00-00", "+79160000000", ""},
		{0, "205", "", "too_short"},
		{0, "112", "", "emergency"},
		{0, "+442079460000", "", "destination"},
		{0, "8 495 000-00-00", "", "own_number"},
		{1, "101", "101", ""},
		{1, " 8916 ", "8916", ""},
		{1, "*98#", "*98#", ""},
		{1, "", "", "empty"},
		{1, "1 01", "", "characters"},
		{1, "101\r\nX: y", "", "characters"},
		{1, "101@host", "", "characters"},
		{1, "200", "", "own_number"},
		{1, "300", "300", ""},
	} {
		got, err := n.Dialable(cfg, &cfg.Lines[tt.line], tt.raw)
		if tt.rule == "" {
			if err != nil || got != tt.want {
				t.Errorf("%s %q: %q, %v; want %q", cfg.Lines[tt.line].ID, tt.raw, got, err, tt.want)
			}
			continue
		}
		var ne *NumberError
		if !errors.As(err, &ne) || ne.Rule != tt.rule {
			t.Errorf("%s %q: %q, %v; want refused by %s", cfg.Lines[tt.line].ID, tt.raw, got, err, tt.rule)
		}
	}
}
