package route

import (
	"slices"
	"strings"

	"perezvon/configs"
)

// Outside is where the call of a phone to a number outside goes.
type Outside struct {
	Line   *configs.Line
	Target Target // the number through the line's trunks
}

// NoRule is the Rule of a NumberError that no rule of outgoing fits.
const NoRule = "outgoing"

// OutsideFor decides where a number goes that is dialled at a phone: by the
// first rule of outgoing that fits the number and the extension, without rules
// through the extension's line, else through the first one.
//
// The number must be one that may be dialled from that line; an emergency
// number may always, with the prefix of its rule or without. The error is a
// *NumberError.
func OutsideFor(cfg *configs.Config, from *configs.Extension, dialled string) (Outside, error) {
	dialled = strings.TrimSpace(dialled)
	rule := ruleFor(cfg, from, dialled)
	line := exitLine(cfg, from, rule)
	if line == nil {
		return Outside{}, denied("line", "there is no line to call out through")
	}
	number := dialled
	if rule != nil {
		number = dialled[min(rule.Strip, len(dialled)):]
	}
	for _, n := range []string{number, dialled} {
		if help, ok := forHelp(n, cfg.Region); ok {
			return through(cfg, line, help), nil
		}
	}
	if rule == nil && len(cfg.Outgoing) > 0 {
		return Outside{}, denied(NoRule, "no rule of outgoing lets extension %s dial %s", from.Number, quote(dialled))
	}
	number, err := NewNumbers(cfg.Region, cfg.Limits.Destinations).Dialable(cfg, line, number)
	if err != nil {
		return Outside{}, err
	}
	return through(cfg, line, number), nil
}

func through(cfg *configs.Config, line *configs.Line, number string) Outside {
	return Outside{Line: line, Target: Target{
		Number: Dialled(cfg, line.Trunks[0], number), Display: number, Trunks: line.Trunks,
	}}
}

// ruleFor returns the rule that a call of an extension falls under, nil where
// none does.
func ruleFor(cfg *configs.Config, from *configs.Extension, dialled string) *configs.Outgoing {
	for i := range cfg.Outgoing {
		r := &cfg.Outgoing[i]
		if strings.HasPrefix(dialled, r.Prefix) && (len(r.Extensions) == 0 || slices.Contains(r.Extensions, from.Number)) {
			return r
		}
	}
	return nil
}

// exitLine is the line that a rule names, else that of the extension, else the
// first one; nil where there is none.
func exitLine(cfg *configs.Config, from *configs.Extension, rule *configs.Outgoing) *configs.Line {
	if rule != nil && rule.Line != "" {
		return cfg.Line(rule.Line)
	}
	if from.Line != "" {
		return cfg.Line(from.Line)
	}
	if len(cfg.Lines) == 0 {
		return nil
	}
	return &cfg.Lines[0]
}

// Status is the SIP status that tells a phone why its number is not dialled:
// 403 where it may not be, 484 where digits are missing, else 404.
func (e *NumberError) Status() int {
	switch {
	case e.Code == NotAllowed, e.Rule == "premium":
		return 403
	case e.Rule == "too_short", e.Rule == "empty":
		return 484
	}
	return 404
}
