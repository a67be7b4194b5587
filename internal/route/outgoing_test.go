package route

import (
	"errors"
	"testing"

	"perezvon/configs"
)

func exits() *configs.Config {
	cfg := configs.Default()
	cfg.Trunks = []configs.Trunk{
		{Name: "provider", Format: "plus"}, {Name: "second", Format: "national"}, {Name: "pbx", Format: "raw"},
	}
	cfg.Lines = []configs.Line{
		{ID: "main", Number: "+74950000000", Trunks: []string{"provider"}},
		{ID: "shop", Number: "+74950000009", Trunks: []string{"second", "provider"}},
		{ID: "inner", Number: "9*", Trunks: []string{"pbx"}},
	}
	cfg.Extensions = []configs.Extension{{Number: "101"}, {Number: "102", Line: "shop"}}
	return cfg
}

func TestNumberGoesOutByTheFirstRuleThatFits(t *testing.T) {
	rules := []configs.Outgoing{
		{Prefix: "9", Strip: 1},
		{Prefix: "77", Strip: 1, Line: "shop"},
		{Prefix: "2", Line: "inner", Extensions: []string{"102"}},
		{Prefix: "*0", Strip: 2, Line: "inner"},
	}
	for name, c := range map[string]struct {
		rules          []configs.Outgoing
		from, dialled  string
		line, as, show string
	}{
		"no rules":                         {nil, "101", "8 (999) 000-00-01", "main", "+79990000001", "+79990000001"},
		"no rules, the extension's line":   {nil, "102", "+79990000001", "shop", "89990000001", "+79990000001"},
		"the prefix is taken off":          {rules, "101", "989990000001", "main", "+79990000001", "+79990000001"},
		"a rule without a line":            {rules, "102", "989990000001", "shop", "89990000001", "+79990000001"},
		"a rule's line before the phone's": {rules, "101", "779990000001", "shop", "89990000001", "+79990000001"},
		"a raw line takes it as it is":     {rules, "102", "205", "inner", "205", "205"},
		"signs of a phone's keys":          {rules, "101", "*0#31", "inner", "#31", "#31"},
		"emergency":                        {nil, "102", "112", "shop", "112", "112"},
		"emergency that no rule fits":      {rules, "101", "112", "main", "112", "112"},
		"emergency with the prefix":        {rules, "101", "9112", "main", "112", "112"},
		"emergency begins with a prefix":   {[]configs.Outgoing{{Prefix: "1", Strip: 1, Line: "shop"}}, "101", "112", "shop", "112", "112"},
		"emergency with separators":        {rules, "101", "1-1 2", "main", "112", "112"},
		"emergency in a code of the net's": {rules, "101", "*112#", "", "", ""},
		"emergency among letters":          {nil, "101", "a112b", "", "", ""},
		"a rule for everything":            {append(rules[:1:1], configs.Outgoing{}), "101", "89990000001", "main", "+79990000001", "+79990000001"},
		"only some phones, others fall on": {[]configs.Outgoing{{Extensions: []string{"102"}, Line: "inner"}, {Line: "shop"}}, "101", "89990000001", "shop", "89990000001", "+79990000001"},
		"the other trunk's way of writing": {[]configs.Outgoing{{Line: "shop"}}, "101", "+442079460000", "", "", ""},
		"the number of one of our lines":   {nil, "101", "84950000009", "", "", ""},
		"a premium number":                 {nil, "101", "88091234567", "", "", ""},
		"a rule for others only":           {rules, "101", "205", "", "", ""},
		"nothing but the prefix":           {rules, "101", "9", "", "", ""},
		"no telephone number":              {nil, "101", "anna", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := exits()
			cfg.Outgoing = c.rules
			out, err := OutsideFor(cfg, cfg.Extension(c.from), c.dialled)
			if c.line == "" {
				if ne, ok := errors.AsType[*NumberError](err); !ok || ne.Status() < 400 {
					t.Fatalf("got %+v, %v", out.Target, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out.Line.ID != c.line || out.Target.Number != c.as || out.Target.Display != c.show {
				t.Errorf("goes through %s as %s, shown as %s", out.Line.ID, out.Target.Number, out.Target.Display)
			}
		})
	}
}

func TestPhoneIsToldWhyItsNumberIsNotDialled(t *testing.T) {
	cfg := exits()
	for dialled, want := range map[string]int{
		"+442079460000": 403, // not a destination
		"88091234567":   403, // premium
		"8999":          484,
		"":              484,
		"84950000000":   404, // our own
		"anna":          404,
	} {
		_, err := OutsideFor(cfg, cfg.Extension("101"), dialled)
		ne, ok := errors.AsType[*NumberError](err)
		if !ok || ne.Status() != want {
			t.Errorf("%q: %v, want %d", dialled, err, want)
		}
	}
	cfg.Outgoing = []configs.Outgoing{{Prefix: "9"}}
	_, err := OutsideFor(cfg, cfg.Extension("101"), "89990000001")
	if ne, ok := errors.AsType[*NumberError](err); !ok || ne.Status() != 403 || ne.Rule != NoRule {
		t.Errorf("without a rule that fits: %v", err)
	}
}
