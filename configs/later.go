package configs

import "reflect"

var stepType = reflect.TypeFor[Step]()

// later are keys that the interface names and this version does not have, by
// the section they belong to. Somebody who copies them from a longer example
// is told so instead of being asked what was meant.
var later = map[reflect.Type][]string{
	reflect.TypeFor[Config]():     {"crms", "webhooks"},
	reflect.TypeFor[HTTP]():       {"tls"},
	reflect.TypeFor[Step]():       {"queue", "menu"},
	reflect.TypeFor[Trunk]():      {"dtmf"},
	reflect.TypeFor[Extension]():  {"crm_user"},
	reflect.TypeFor[Recordings](): {"keep", "format"},
}
