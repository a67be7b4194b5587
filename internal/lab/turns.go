package lab

// Turns says what happens when number is dialled for the first time, for the
// second time and so on. The last script stays.
func (c *Carrier) Turns(number string, scripts ...Script) {
	if len(scripts) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turns == nil {
		c.turns = make(map[string][]Script)
	}
	c.turns[plain(number)] = scripts[:len(scripts)-1]
	c.numbers[plain(number)] = scripts[len(scripts)-1]
}

// turn takes the next script of a number that has turns left. mu is held.
func (c *Carrier) turn(number string) (Script, bool) {
	left := c.turns[plain(number)]
	if len(left) == 0 {
		return nil, false
	}
	c.turns[plain(number)] = left[1:]
	return left[0], true
}
