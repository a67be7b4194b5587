package route

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perezvon/configs"
)

const s = time.Second

func office() *configs.Config {
	no := false
	cfg := configs.Default()
	cfg.Trunks = []configs.Trunk{
		{Name: "provider", Format: "plus"},
		{Name: "old", Format: "national"},
		{Name: "pbx", Format: "raw"},
	}
	cfg.Extensions = []configs.Extension{{Number: "101"}, {Number: "102", Mobile: "+79160000002"}}
	cfg.Lines = []configs.Line{
		{
			ID: "main", Number: "+74950000000", Trunks: []string{"old", "provider"},
			Callback: &configs.Callback{Ring: 20 * s},
			Route: []configs.Step{
				{Extension: &configs.ExtensionStep{Number: "101", Ring: 15 * s}},
				{Group: &configs.GroupStep{Members: []string{"101", "102"}, Strategy: "all"}},
				{Group: &configs.GroupStep{Members: []string{"102", "101"}, Strategy: "in_order", Ring: 5 * s}},
				{Mobile: &configs.MobileStep{Number: "+79160000000"}},
				{Mobile: &configs.MobileStep{Number: "+79160000001", Confirm: &no, Ring: 30 * s}},
				{Mobile: &configs.MobileStep{Number: "+442079460000"}},
				{Forward: &configs.ForwardStep{Trunk: "pbx", Number: "200"}},
				{Forward: &configs.ForwardStep{Trunk: "old", Number: "+79160000003"}},
				{Forward: &configs.ForwardStep{Trunk: "provider", Number: "+442079460000"}},
				{Hangup: &configs.HangupStep{Code: 480}},
			},
		},
		{ID: "through", Number: "9*", Trunks: []string{"pbx"}, Route: []configs.Step{{Forward: &configs.ForwardStep{Trunk: "provider"}}}},
		{ID: "between", Number: "7*", Trunks: []string{"pbx"}, Route: []configs.Step{{Forward: &configs.ForwardStep{Trunk: "pbx", Ring: 9 * s}}}},
		{ID: "gate", Number: "+74950000009", Trunks: []string{"provider"}, Route: []configs.Step{{Forward: &configs.ForwardStep{Trunk: "pbx"}}}},
	}
	return cfg
}

func TestPlanFollowsTheRouteOfTheLine(t *testing.T) {
	cfg := office()
	want := Plan{Steps: []Step{
		{Kind: Extension, Ring: 15 * s, Targets: []Target{{Extension: "101", Display: "101"}}},
		{Kind: Group, Ring: 20 * s, Targets: []Target{{Extension: "101", Display: "101"}, {Extension: "102", Display: "102"}}},
		{Kind: Group, Strategy: InOrder, Ring: 5 * s, Targets: []Target{{Extension: "102", Display: "102"}, {Extension: "101", Display: "101"}}},
		{Kind: Mobile, Ring: 20 * s, Targets: []Target{{Number: "89160000000", Display: "+79160000000", Trunks: []string{"old", "provider"}, Confirm: true}}},
		{Kind: Mobile, Ring: 30 * s, Targets: []Target{{Number: "89160000001", Display: "+79160000001", Trunks: []string{"old", "provider"}}}},
		{Kind: Forward, Ring: 20 * s, Targets: []Target{{Number: "200", Display: "200", Trunks: []string{"pbx"}}}},
		{Kind: Forward, Ring: 20 * s, Targets: []Target{{Number: "89160000003", Display: "+79160000003", Trunks: []string{"old"}}}},
		{Kind: Hangup, Code: 480},
	}}
	if diff := cmp.Diff(want, PlanFor(cfg, cfg.Line("main"), "+74950000000")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClosedLineTakesItsOtherwiseSteps(t *testing.T) {
	cfg := office()
	line := cfg.Line("main")
	refused := Plan{Steps: []Step{{Kind: Hangup, Code: 480}}}
	if diff := cmp.Diff(refused, OtherwisePlan(cfg, line, "")); diff != "" {
		t.Errorf("without any (-want +got):\n%s", diff)
	}
	line.Otherwise = []configs.Step{{Mobile: &configs.MobileStep{Number: "+442079460000"}}}
	if diff := cmp.Diff(refused, OtherwisePlan(cfg, line, "")); diff != "" {
		t.Errorf("nobody may be rung (-want +got):\n%s", diff)
	}
	line.Otherwise = []configs.Step{
		{Group: &configs.GroupStep{Members: []string{"101", "102"}, Strategy: "longest_idle"}},
		{Forward: &configs.ForwardStep{Trunk: "pbx"}},
		{Hangup: &configs.HangupStep{Code: 486}},
	}
	want := Plan{Steps: []Step{
		{Kind: Group, Strategy: LongestIdle, Ring: 20 * s, Targets: []Target{{Extension: "101", Display: "101"}, {Extension: "102", Display: "102"}}},
		{Kind: Forward, Ring: 20 * s, Targets: []Target{{Number: "+74950000000", Display: "+74950000000", Trunks: []string{"pbx"}}}},
		{Kind: Hangup, Code: 486},
	}}
	if diff := cmp.Diff(want, OtherwisePlan(cfg, line, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNextTrunkOfALineGetsItsOwnForm(t *testing.T) {
	cfg := office()
	target := PlanFor(cfg, cfg.Line("main"), "").Steps[3].Targets[0]
	if got := Dialled(cfg, "provider", target.Display); got != "+79160000000" {
		t.Errorf("provider: %s", got)
	}
	if got := Dialled(cfg, "nobody", "x"); got != "x" {
		t.Errorf("unknown trunk: %s", got)
	}
}

func TestForwardWithoutANumberPassesTheDialledOneOn(t *testing.T) {
	cfg := office()
	forward := func(number, trunk string, ring time.Duration) Plan {
		return Plan{Steps: []Step{{Kind: Forward, Ring: ring, Targets: []Target{{Number: number, Display: number, Trunks: []string{trunk}}}}}}
	}
	refuse := func(code int) Plan { return Plan{Steps: []Step{{Kind: Hangup, Code: code}}} }
	for _, tt := range []struct {
		line, dialled string
		want          Plan
	}{
		{"through", "9160000000", forward("9160000000", "provider", 25*s)},
		{"through", "911", refuse(404)},
		{"through", "112", forward("112", "provider", 25*s)},
		{"through", "9999999999999999", refuse(404)},
		{"between", "7*9#", forward("7*9#", "pbx", 9*s)},
		{"between", "7\r\n", refuse(404)},
		{"gate", "+74950000009", forward("+74950000009", "pbx", 25*s)},
		{"gate", "", forward("+74950000009", "pbx", 25*s)},
		{"through", "", Plan{}},
	} {
		if diff := cmp.Diff(tt.want, PlanFor(cfg, cfg.Line(tt.line), tt.dialled)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.line, tt.dialled, diff)
		}
	}
	cfg.Limits.Destinations = []string{"RU", "!+7916"}
	if diff := cmp.Diff(refuse(403), PlanFor(cfg, cfg.Line("through"), "9160000000")); diff != "" {
		t.Errorf("outside limits.destinations (-want +got):\n%s", diff)
	}
}

func TestManagerOfARequestReplacesTheRoute(t *testing.T) {
	cfg := office()
	for _, tt := range []struct {
		line, manager string
		want          Plan
		rule          string
	}{
		{"main", "101", Plan{Steps: []Step{{Kind: Extension, Ring: 20 * s, Targets: []Target{{Extension: "101", Display: "101"}}}}}, ""},
		{"main", " 102 ", Plan{Steps: []Step{
			{Kind: Extension, Ring: 20 * s, Targets: []Target{{Extension: "102", Display: "102"}}},
			{Kind: Mobile, Ring: 20 * s, Targets: []Target{{Number: "89160000002", Display: "+79160000002", Trunks: []string{"old", "provider"}, Confirm: true}}},
		}}, ""},
		{"main", "8 (916) 000-00-05", Plan{Steps: []Step{
			{Kind: Mobile, Ring: 20 * s, Targets: []Target{{Number: "89160000005", Display: "+79160000005", Trunks: []string{"old", "provider"}}}},
		}}, ""},
		{"between", "205", Plan{Steps: []Step{
			{Kind: Mobile, Ring: 25 * s, Targets: []Target{{Number: "205", Display: "205", Trunks: []string{"pbx"}}}},
		}}, ""},
		{"main", "203", Plan{}, "no_extension"},
		{"main", "anna", Plan{}, "no_extension"},
		{"main", "112", Plan{}, "emergency"},
		{"main", "891600000", Plan{}, "too_short"},
		{"main", "", Plan{}, "empty"},
		{"main", "+74950000009", Plan{}, "own_number"},
		{"main", "+442079460000", Plan{}, "destination"},
		{"between", "2 0 5", Plan{}, "characters"},
	} {
		got, err := ManagerPlan(cfg, cfg.Line(tt.line), tt.manager)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.line, tt.manager, diff)
		}
		var ne *NumberError
		if (tt.rule == "" && err != nil) || (tt.rule != "" && (!errors.As(err, &ne) || ne.Rule != tt.rule)) {
			t.Errorf("%s %q: %v, want rule %q", tt.line, tt.manager, err, tt.rule)
		}
	}
}

func TestUnknownExtensionNamesThoseThereAre(t *testing.T) {
	cfg := office()
	_, err := ManagerPlan(cfg, cfg.Line("main"), "109")
	if err == nil || err.Error() != "no extension 109; there are 101, 102" {
		t.Errorf("%v", err)
	}
	cfg.Extensions = nil
	if _, err = ManagerPlan(cfg, cfg.Line("main"), "109"); err == nil || err.Error() != "no extension 109; there are none" {
		t.Errorf("%v", err)
	}
	for i := range 12 {
		cfg.Extensions = append(cfg.Extensions, configs.Extension{Number: strconv.Itoa(200 + i)})
	}
	_, err = ManagerPlan(cfg, cfg.Line("main"), "109")
	if err == nil || !strings.HasSuffix(err.Error(), "208, 209, …") {
		t.Errorf("%v", err)
	}
}

func TestProblemsNameStepsThatAreLeftOut(t *testing.T) {
	cfg := office()
	cfg.Extensions[0].Mobile = "+442079460000"
	cfg.Lines = append(cfg.Lines, configs.Line{
		ID: "nobody", Number: "+74950000008", Trunks: []string{"provider"},
		Route:     []configs.Step{{Mobile: &configs.MobileStep{Number: "+442079460000"}}},
		Otherwise: []configs.Step{{Hangup: &configs.HangupStep{Code: 480}}, {Mobile: &configs.MobileStep{Number: "+442079460000"}}},
	})
	cfg.Extensions[0].Number, cfg.Extensions[1].Number = "201", "202" // 101 and 102 call for help
	outside := "+442079460000 (GB) is outside limits.destinations"
	want := []string{
		"lines[0].route[5]: the step is left out: " + outside,
		"lines[0].route[8]: the step is left out: " + outside,
		"lines[4].route[0]: the step is left out: " + outside,
		"lines[4]: line nobody rings nobody",
		"lines[4].otherwise[1]: the step is left out: " + outside,
		"extensions[0].mobile: not dialled: " + outside,
	}
	if diff := cmp.Diff(want, Problems(cfg)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExtensionsThatTakeTheNumbersOfEmergencyServicesAreWarnedOf(t *testing.T) {
	cfg := &configs.Config{Region: "RU", Extensions: []configs.Extension{{Number: "102"}, {Number: "202"}, {Number: "112"}}}
	said := func(number, how string) string {
		return number + " is an emergency number: a phone that dials it reaches the extension, and emergency services " + how + "; choose another number, such as 2" + number[1:]
	}
	no := "not at all, for no prefix of outgoing leads outside"
	want := []string{"extensions[0].number: " + said("102", no), "extensions[2].number: " + said("112", no)}
	if diff := cmp.Diff(want, Problems(cfg)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg.Outgoing = []configs.Outgoing{{Prefix: "3"}, {Prefix: "9", Strip: 1}}
	want = []string{
		"extensions[0].number: " + said("102", "only by 9102, with the prefix for calls outside"),
		"extensions[2].number: " + said("112", "only by 9112, with the prefix for calls outside"),
	}
	if diff := cmp.Diff(want, Problems(cfg)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg.Region = "US"
	if got := Problems(cfg); strings.Contains(strings.Join(got, "\n"), "102 is") {
		t.Errorf("%q", got)
	}
}

func TestNamesOfKindsAndStrategiesAreThoseOfTheConfiguration(t *testing.T) {
	got := []string{Extension.String(), Group.String(), Mobile.String(), Forward.String(), Hangup.String(), Kind(9).String(), All.String(), InOrder.String(), LongestIdle.String()}
	want := []string{"extension", "group", "mobile", "forward", "hangup", "Kind(9)", "all", "in_order", "longest_idle"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
