package selftest

import (
	"cmp"
	"slices"
	"strconv"
)

// scenarios is the whole matrix: the numbered branches of a callback, the
// rules that have no number, then the calls that come in.
func scenarios() []scenario {
	all := slices.Concat(
		requestScenarios(), managerScenarios(), leavingScenarios(), customerScenarios(), trunkScenarios(),
		talkScenarios(), restartScenarios(), cancelScenarios(), limitScenarios(), modeScenarios(), inboundScenarios(), spokenScenarios(), officeScenarios(), infocallScenarios(),
	)
	slices.SortStableFunc(all, func(a, b scenario) int { return cmp.Compare(place(a.branch), place(b.branch)) })
	return all
}

// place is where a branch stands: by its number, and behind all numbers
// without one.
func place(branch string) int {
	if n, err := strconv.Atoi(branch); err == nil {
		return n
	}
	return 1000
}

// Facts that many scenarios share.

func completed() Facts { return ended("completed", "200", "") }

// talked is a callback that went as it should, with one manager.
func talked(manager string) Facts {
	return completed().rung(manager + ", " + customer).heard(manager + " and " + customer + " each other")
}
