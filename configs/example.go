package configs

import _ "embed" // of the example

// Example is a commented configuration that shows every key.
//
//go:embed perezvon.example.yaml
var Example string
