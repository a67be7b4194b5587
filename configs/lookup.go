package configs

import "slices"

// Trunk returns the trunk of that name, nil where there is none.
func (c *Config) Trunk(name string) *Trunk {
	for i := range c.Trunks {
		if c.Trunks[i].Name == name {
			return &c.Trunks[i]
		}
	}
	return nil
}

// Line returns the line with that id, nil where there is none.
func (c *Config) Line(id string) *Line {
	for i := range c.Lines {
		if c.Lines[i].ID == id {
			return &c.Lines[i]
		}
	}
	return nil
}

// Extension returns the extension with that number, nil where there is none.
func (c *Config) Extension(number string) *Extension {
	for i := range c.Extensions {
		if c.Extensions[i].Number == number {
			return &c.Extensions[i]
		}
	}
	return nil
}

// CallbackOf returns the callback timers of a line: its own where it has any,
// else the file's.
func (c *Config) CallbackOf(line *Line) Callback {
	if line != nil && line.Callback != nil {
		return *line.Callback
	}
	return c.Callback
}

// AllRaw reports whether every trunk of the line dials numbers as they are
// given. Numbers of such a line are not validated: a PBX behind it has
// internal ones.
func (c *Config) AllRaw(line *Line) bool {
	for _, name := range line.Trunks {
		if t := c.Trunk(name); t == nil || t.Format != formatRaw {
			return false
		}
	}
	return len(line.Trunks) > 0
}

// Uses reports whether calls of the line go through the trunk: as one of its own,
// or because a step of its routes forwards them there.
func (l *Line) Uses(trunk string) bool {
	forwards := func(s Step) bool { return s.Forward != nil && s.Forward.Trunk == trunk }
	return slices.Contains(l.Trunks, trunk) || slices.ContainsFunc(l.Route, forwards) || slices.ContainsFunc(l.Otherwise, forwards)
}
