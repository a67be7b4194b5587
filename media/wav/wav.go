// Package wav reads the WAV files that people and speech engines produce and
// writes the stereo recordings of calls.
package wav

import "errors"

// Errors that Read and Repair wrap; the message around them says what exactly
// is wrong.
var (
	ErrFormat   = errors.New("not a usable WAV file")
	ErrTooLarge = errors.New("WAV file too large")
)

// Encodings of the fmt chunk.
const (
	formatPCM        = 1
	formatFloat      = 3
	formatALaw       = 6
	formatULaw       = 7
	formatExtensible = 0xFFFE // the true one stands in the extension
)

// unknownLength in a length field says that the writer could not know it yet.
const unknownLength = 0xFFFFFFFF

// leastUnknown is the least length that no file has: streaming writers put
// this one, a little less than 2 GiB or unknownLength where they know none.
const leastUnknown = 0x7FFF0000
