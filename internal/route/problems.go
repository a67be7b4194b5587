package route

import (
	"fmt"

	"perezvon/configs"
)

// Problems names what the routes of a valid configuration cannot do: numbers
// that are never dialled, lines that ring nobody. Each is a sentence that
// begins with the path of the key.
func Problems(cfg *configs.Config) []string {
	var out []string
	for i := range cfg.Lines {
		line := &cfg.Lines[i]
		p := planner{cfg: cfg, line: line}
		rings, problems := p.problems(fmt.Sprintf("lines[%d].route", i), line.Route)
		out = append(out, problems...)
		if !rings && len(line.Route) > 0 && line.Route[0].Hangup == nil {
			out = append(out, fmt.Sprintf("lines[%d]: line %s rings nobody", i, line.ID))
		}
		_, problems = p.problems(fmt.Sprintf("lines[%d].otherwise", i), line.Otherwise)
		out = append(out, problems...)
	}
	for i := range cfg.Extensions {
		e := &cfg.Extensions[i]
		if emergency(e.Number, cfg.Region) {
			out = append(out, fmt.Sprintf("extensions[%d].number: %s is an emergency number: a phone that dials it reaches the extension, and emergency services %s; choose another number, such as 2%s",
				i, e.Number, helpBehind(cfg, e.Number), e.Number[1:]))
		}
		if e.Mobile == "" {
			continue
		}
		n := NewNumbers(cfg.Region, cfg.Limits.Destinations)
		number, err := n.Parse(e.Mobile)
		if err == nil {
			err = n.Allowed(number)
		}
		if err != nil {
			out = append(out, fmt.Sprintf("extensions[%d].mobile: not dialled: %v", i, err))
		}
	}
	return out
}

// helpBehind says how phones call for help where an extension has that number.
func helpBehind(cfg *configs.Config, number string) string {
	for i := range cfg.Outgoing {
		if o := &cfg.Outgoing[i]; o.Prefix != "" && o.Strip == len(o.Prefix) && len(o.Extensions) == 0 {
			return "only by " + o.Prefix + number + ", with the prefix for calls outside"
		}
	}
	return "not at all, for no prefix of outgoing leads outside"
}

// problems names the steps that are left out, and reports whether any of the
// others rings somebody.
func (p *planner) problems(path string, steps []configs.Step) (rings bool, out []string) {
	for i := range steps {
		step := &steps[i]
		if step.Forward != nil && step.Forward.Number == "" {
			rings = true
			continue
		}
		s, err := p.step(step)
		if err != nil {
			out = append(out, fmt.Sprintf("%s[%d]: the step is left out: %v", path, i, err))
			continue
		}
		rings = rings || s.Rings()
	}
	return rings, out
}
