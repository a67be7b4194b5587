package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"perezvon/configs"
)

// Kind says what a step of a plan does.
type Kind uint8

// Kinds of steps.
const (
	Extension   Kind = iota + 1 // ring one phone
	Group                       // ring several phones
	Mobile                      // ring a number through the line's trunks
	Forward                     // pass the call to another trunk
	Hangup                      // refuse the call
	Responsible                 // ring whoever is responsible for the caller, see PersonSteps
	Announce                    // answer the call and play something
	Voicemail                   // answer the call and record a message
)

// String returns the step's name in the configuration.
func (k Kind) String() string {
	switch k {
	case Extension:
		return "extension"
	case Group:
		return "group"
	case Mobile:
		return "mobile"
	case Forward:
		return "forward"
	case Hangup:
		return "hangup"
	case Responsible:
		return "responsible"
	case Announce:
		return "announce"
	case Voicemail:
		return "voicemail"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Strategy says how several targets of a step are rung.
type Strategy uint8

// Strategies of a step.
const (
	All         Strategy = iota // together, the first who accepts wins
	InOrder                     // one after the other, each for the step's ring time
	LongestIdle                 // as InOrder, but first who has not talked for longest
)

// String returns the strategy's name in the configuration.
func (s Strategy) String() string {
	switch s {
	case InOrder:
		return "in_order"
	case LongestIdle:
		return "longest_idle"
	}
	return "all"
}

func strategyOf(name string) Strategy {
	for _, s := range []Strategy{InOrder, LongestIdle} {
		if s.String() == name {
			return s
		}
	}
	return All
}

// Plan is who is rung for a call, step after step.
type Plan struct{ Steps []Step }

// Step is one stage of a plan.
type Step struct {
	Kind     Kind
	Strategy Strategy
	Targets  []Target      // of the kinds that ring somebody
	Ring     time.Duration // counted from the first 18x
	Code     int           // SIP status of a Hangup
	Text     string        // what an Announce says, or a Voicemail first; empty: Sound, or a stock sentence
	Voice    string        // of Text; empty: the default one
	Sound    string        // path of the WAV file that an Announce plays
	Max      time.Duration // longest message of a Voicemail
}

// Rings reports whether the step rings somebody, or may.
func (s Step) Rings() bool { return len(s.Targets) > 0 || s.Kind == Responsible }

// ForCallback is the plan as a callback takes it, where nobody listens to an
// announcement or would leave a message yet.
func (p Plan) ForCallback() Plan {
	return Plan{Steps: slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool {
		return s.Kind == Announce || s.Kind == Voicemail
	})}
}

// Target is one phone to ring: an extension, or a number through trunks.
type Target struct {
	Extension string
	Number    string   // as dialled on the first trunk; Dialled gives it for the others
	Display   string   // the number for people: E.164, internal, or as it was dialled
	Trunks    []string // in order of preference
	Confirm   bool     // a key must be pressed to accept
}

// PlanFor returns the plan of a line's route for a call to the dialled number;
// a callback passes an empty one and gets the plan of an inbound call to the
// line's own number. A forward without a number passes the dialled one on as
// it is; through a trunk that is not raw it must be a number that may be
// dialled or an emergency number, which somebody at a phone has chosen
// themselves, else the step becomes a hangup. Steps that have nobody to ring,
// such as a mobile outside limits.destinations, are left out: Problems names
// them.
func PlanFor(cfg *configs.Config, line *configs.Line, dialled string) Plan {
	return planOf(cfg, line, line.Route, dialled)
}

// closedCode is the SIP status for callers of a closed line that says nothing
// else: 480 Temporarily Unavailable.
const closedCode = 480

// OtherwisePlan returns the plan of a call that comes in while the line is
// closed, made of its otherwise steps as PlanFor makes one of its route. Where
// they leave nobody to ring, the call is refused with 480.
func OtherwisePlan(cfg *configs.Config, line *configs.Line, dialled string) Plan {
	plan := planOf(cfg, line, line.Otherwise, dialled)
	if len(plan.Steps) == 0 {
		plan.Steps = []Step{{Kind: Hangup, Code: closedCode}}
	}
	return plan
}

func planOf(cfg *configs.Config, line *configs.Line, steps []configs.Step, dialled string) Plan {
	if dialled == "" && !strings.HasSuffix(line.Number, "*") {
		dialled = line.Number
	}
	p := planner{cfg: cfg, line: line, ring: cfg.CallbackOf(line).Ring, dialled: dialled}
	var plan Plan
	for i := range steps {
		if s, err := p.step(&steps[i]); err == nil {
			plan.Steps = append(plan.Steps, s)
		}
	}
	return plan
}

// ManagerPlan returns the plan that replaces a line's route where a request
// names the manager: an extension, followed by its mobile if it has one, or a
// number dialled through the line's trunks. A number given so is not asked to
// confirm. The error is a *NumberError; for what reads like an internal number
// it lists the extensions there are.
func ManagerPlan(cfg *configs.Config, line *configs.Line, manager string) (Plan, error) {
	manager = strings.TrimSpace(manager)
	p := planner{cfg: cfg, line: line, ring: cfg.CallbackOf(line).Ring}
	if ext := cfg.Extension(manager); ext != nil {
		return Plan{Steps: p.person(ext, ext.Mobile, 0)}, nil
	}
	s, err := p.mobile(manager, false, 0)
	if ne, ok := errors.AsType[*NumberError](err); ok && ne.Code == InvalidNumber && ne.Rule != "emergency" && internal.MatchString(manager) {
		return Plan{}, NoExtension(cfg, manager)
	}
	if err != nil {
		return Plan{}, err
	}
	return Plan{Steps: []Step{s}}, nil
}

// PersonSteps are the steps that ring one person of the office in place of a
// Responsible step: the extension, then with confirmation the mobile, by
// default the extension's own. Either may be empty. There are no steps where
// neither can be rung.
func PersonSteps(cfg *configs.Config, line *configs.Line, extension, mobile string, ring time.Duration) []Step {
	p := planner{cfg: cfg, line: line, ring: ring}
	ext := cfg.Extension(extension)
	if ext != nil && mobile == "" {
		mobile = ext.Mobile
	}
	return p.person(ext, mobile, ring)
}

// person rings an extension, which may be nil, then a mobile, if there is one.
func (p *planner) person(ext *configs.Extension, mobile string, ring time.Duration) []Step {
	var steps []Step
	if ext != nil {
		steps = append(steps, p.phone(ext.Number, ring))
	}
	if mobile != "" {
		if s, err := p.mobile(mobile, true, ring); err == nil {
			steps = append(steps, s)
		}
	}
	return steps
}

// internal is what reads like the number of an extension, or a name, and not
// like a telephone number.
var internal = regexp.MustCompile(`^([0-9]{1,6}|[A-Za-z][0-9A-Za-z_.-]{0,31})$`)

// NoExtension says that a number is no extension and which ones there are, the
// first of them.
func NoExtension(cfg *configs.Config, number string) *NumberError {
	const most = 10
	known := make([]string, 0, most+1)
	for i := range cfg.Extensions {
		if i == most {
			known = append(known, "…")
			break
		}
		known = append(known, cfg.Extensions[i].Number)
	}
	if len(known) == 0 {
		return invalid("no_extension", "no extension %s; there are none", number)
	}
	return invalid("no_extension", "no extension %s; there are %s", number, strings.Join(known, ", "))
}

// planner turns steps of one line's route into steps of a plan.
type planner struct {
	cfg     *configs.Config
	line    *configs.Line
	ring    time.Duration // where a step has none of its own
	dialled string
}

var errNobody = errors.New("nobody to ring")

func (p *planner) step(s *configs.Step) (Step, error) {
	switch {
	case s.Responsible != nil:
		return Step{Kind: Responsible, Ring: p.ringOr(s.Responsible.Ring)}, nil
	case s.Extension != nil:
		return p.phone(s.Extension.Number, s.Extension.Ring), nil
	case s.Group != nil:
		return p.group(s.Group)
	case s.Mobile != nil:
		confirm := s.Mobile.Confirm == nil || *s.Mobile.Confirm
		return p.mobile(s.Mobile.Number, confirm, s.Mobile.Ring)
	case s.Forward != nil:
		return p.forward(s.Forward)
	case s.Announce != nil:
		return Step{Kind: Announce, Text: s.Announce.Text, Voice: s.Announce.Voice, Sound: s.Announce.Sound}, nil
	case s.Voicemail != nil:
		return Step{Kind: Voicemail, Text: s.Voicemail.Text, Voice: s.Voicemail.Voice, Max: s.Voicemail.Max}, nil
	case s.Hangup != nil:
		return Step{Kind: Hangup, Code: s.Hangup.Code}, nil
	}
	return Step{}, errNobody
}

func (p *planner) ringOr(own time.Duration) time.Duration {
	if own > 0 {
		return own
	}
	return p.ring
}

func (p *planner) phone(number string, ring time.Duration) Step {
	return Step{Kind: Extension, Targets: []Target{{Extension: number, Display: number}}, Ring: p.ringOr(ring)}
}

func (p *planner) group(g *configs.GroupStep) (Step, error) {
	s := Step{Kind: Group, Ring: p.ringOr(g.Ring), Strategy: strategyOf(g.Strategy)}
	for _, m := range g.Members {
		s.Targets = append(s.Targets, Target{Extension: m, Display: m})
	}
	if len(s.Targets) == 0 {
		return Step{}, errNobody
	}
	return s, nil
}

func (p *planner) mobile(raw string, confirm bool, ring time.Duration) (Step, error) {
	if len(p.line.Trunks) == 0 {
		return Step{}, errNobody
	}
	number, err := p.numbers().Dialable(p.cfg, p.line, raw)
	if err != nil {
		return Step{}, err
	}
	return Step{Kind: Mobile, Targets: []Target{p.outside(number, confirm, p.line.Trunks)}, Ring: p.ringOr(ring)}, nil
}

func (p *planner) outside(number string, confirm bool, trunks []string) Target {
	return Target{
		Number:  Dialled(p.cfg, trunks[0], number),
		Display: number, Trunks: trunks, Confirm: confirm,
	}
}

func (p *planner) numbers() *Numbers { return NewNumbers(p.cfg.Region, p.cfg.Limits.Destinations) }

func (p *planner) forward(f *configs.ForwardStep) (Step, error) {
	t := p.cfg.Trunk(f.Trunk)
	if t == nil {
		return Step{}, errNobody
	}
	ring := p.ringOr(f.Ring)
	number, asDialled := f.Number, f.Number == ""
	if asDialled {
		number = p.dialled
	}
	if number == "" {
		return Step{}, errNobody
	}
	target := Target{Number: number, Display: number, Trunks: []string{t.Name}}
	if t.Format == "raw" {
		if !rawNumber.MatchString(number) {
			return Step{Kind: Hangup, Code: 404}, nil
		}
		return Step{Kind: Forward, Targets: []Target{target}, Ring: ring}, nil
	}
	if help, ok := forHelp(number, p.cfg.Region); ok && asDialled {
		target.Number, target.Display = help, help
		return Step{Kind: Forward, Targets: []Target{target}, Ring: ring}, nil
	}
	e164, err := p.numbers().Parse(number)
	if err == nil {
		err = p.numbers().Allowed(e164)
	}
	if err != nil {
		if !asDialled {
			return Step{}, err
		}
		return Step{Kind: Hangup, Code: refusal(err)}, nil
	}
	if !asDialled {
		target = p.outside(e164, false, []string{t.Name})
	}
	return Step{Kind: Forward, Targets: []Target{target}, Ring: ring}, nil
}

// refusal returns the SIP status for a number that is not dialled.
func refusal(err error) int {
	if ne, ok := errors.AsType[*NumberError](err); ok && ne.Code == NotAllowed {
		return 403
	}
	return 404
}
