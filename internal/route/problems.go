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
