package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
)

// Codes of problems that the API itself finds. They are stable; those of
// refused calls are in internal/call.
const (
	CodeBadJSON           = "bad_json"
	CodeBadRequest        = "bad_request"
	CodeKeyMissing        = "key_missing"
	CodeKeyUnknown        = "key_unknown"
	CodeScopeMissing      = "scope_missing"
	CodeLineNotAllowed    = call.CodeLineNotAllowed
	CodeLoopbackOnly      = "loopback_only"
	CodeForwarded         = "forwarded"
	CodeCrossOrigin       = "cross_origin"
	CodeNotFound          = "not_found"
	CodeCallNotFound      = "call_not_found"
	CodeExtensionNotFound = "extension_not_found"
	CodeRecordingNotFound = "recording_not_found"
	CodeRecordingRemoved  = "recording_removed"
	CodeBanNotFound       = "ban_not_found"
	CodeBlockNotFound     = "block_not_found"
	CodeTraceNotFound     = "trace_not_found"
	CodeMethodNotAllowed  = "method_not_allowed"
	CodeTimeout           = "timeout"
	CodeBodyTooLarge      = "body_too_large"
	CodeMediaType         = "unsupported_media_type"
	CodeRange             = "range_not_satisfiable"
	CodeInvalidRequest    = call.CodeInvalidRequest
	CodeKeyReused         = call.CodeKeyReused
	CodeInProgress        = "in_progress"
	CodeDraining          = call.CodeDraining
	CodeNotReady          = call.CodeNotReady
	CodeStoreAway         = "store_away"
	CodeTooManyStreams    = "too_many_streams"
	CodeTooManySpeeches   = "too_many_speeches"
	CodeInternal          = "internal"

	CodeInvalidConfiguration = "invalid_configuration"
	CodeRestartNeeded        = "restart_needed"
)

// codeInfo says what a code means.
type codeInfo struct {
	Code   string
	Status int // that it comes with
	Text   string
}

// codes are all that there are, by status.
func codes() []codeInfo {
	return []codeInfo{
		{CodeBadJSON, 400, "the body is not JSON"},
		{CodeBadRequest, 400, "a header that may come once came several times"},
		{CodeKeyMissing, 401, "no key was sent"},
		{CodeKeyUnknown, 401, "there is no such key"},
		{CodeScopeMissing, 403, "the key may not do this"},
		{CodeLineNotAllowed, 403, "the key is limited to other lines"},
		{CodeLoopbackOnly, 403, "there are no keys, and the request is from another machine"},
		{CodeForwarded, 403, "there are no keys, and a proxy forwarded the request"},
		{CodeCrossOrigin, 403, "there are no keys, and a web page of another origin asks"},
		{CodeNotFound, 404, "there is nothing at this path"},
		{CodeCallNotFound, 404, "there is no such call, or the key may not know of it"},
		{CodeTraceNotFound, 404, "nothing is known of what went over the wire in the call; the detail says why"},
		{CodeExtensionNotFound, 404, "there is no such extension"},
		{CodeRecordingNotFound, 404, "the call has no recording; the detail says why"},
		{CodeBanNotFound, 404, "the address is not banned"},
		{CodeBlockNotFound, 404, "the number is not blocked"},
		{CodeMethodNotAllowed, 405, "the path has other methods; Allow lists them"},
		{CodeTimeout, 408, "the body came too slowly"},
		{call.CodeAlreadyEnded, 409, "the call is over"},
		{CodeInvalidConfiguration, 409, "the configuration file has mistakes; errors names them"},
		{CodeRestartNeeded, 409, "a change of the configuration needs a restart of the server"},
		{call.CodeNotTalking, 409, "the two sides of the call are not connected"},
		{call.CodeNotTransferred, 409, "nobody took the call; the detail says why"},
		{CodeInProgress, 409, "the request with this idempotency key is still being carried out"},
		{CodeRecordingRemoved, 410, "the call was recorded, and the recording has been removed; the detail says when"},
		{CodeBodyTooLarge, 413, "the body is larger than it may be: 64 KiB, 32 MiB for a sound"},
		{CodeMediaType, 415, "the body is not sent as application/json, or a sound not as multipart/form-data"},
		{CodeRange, 416, "the recording has no such range"},
		{CodeInvalidRequest, 422, "several fields are wrong, or one has the wrong form; errors names them"},
		{call.CodeUnknownLine, 422, "there is no such line"},
		{call.CodeUnknownExtension, 422, "there is no such extension"},
		{call.CodeLineClosed, 422, "the working hours of the line never come"},
		{call.CodeInvalidNumber, 422, "the number cannot be dialled"},
		{call.CodeNotAllowed, 422, "limits.destinations does not allow the number"},
		{call.CodeInvalidText, 422, "the text cannot be spoken"},
		{call.CodeUnknownVoice, 422, "there is no such voice"},
		{call.CodeInvalidSound, 422, "the sound cannot be played, or there is none of that name"},
		{call.CodeInvalidManager, 422, "the manager is no extension and no number"},
		{call.CodeInvalidMode, 422, "there is no such mode"},
		{call.CodeInvalidKeys, 422, "these are no keys of a telephone"},
		{call.CodeInvalidSide, 422, "there is no such side of a call"},
		{call.CodeInvalidTime, 422, "not_before is too far ahead"},
		{CodeKeyReused, 422, "the idempotency key came with another request before"},
		{call.CodeLoop, 429, "the same message to the same number too often"},
		{call.CodeTooMany, 429, "too many calls to this number"},
		{CodeTooManyStreams, 429, "too many event streams are open"},
		{CodeTooManySpeeches, 429, "other texts are being rendered"},
		{CodeInternal, 500, "a fault of the server; its log says more"},
		{CodeDraining, 503, "the server is shutting down"},
		{CodeNotReady, 503, "a part of the server does not work; the detail says which"},
		{CodeStoreAway, 503, "Redis does not answer, and this machine alone does not know; calls go on"},
	}
}

// fails names the problems that an operation may answer with, beyond those
// that all have.
func fails(codes ...string) map[string]any { return map[string]any{metaCodes: codes} }

// failsWithBody are the problems of operations that take a body.
func failsWithBody(codes ...string) map[string]any {
	return fails(append(codes, CodeBadJSON, CodeBadRequest, CodeTimeout, CodeBodyTooLarge, CodeMediaType, CodeKeyReused)...)
}

// Keys of an operation's metadata.
const (
	metaScopes = "scopes" // []string, one of which a key needs
	metaCodes  = "codes"  // []string, codes of problems
)

func metadata(op *huma.Operation, key string) []string {
	list, _ := op.Metadata[key].([]string)
	return list
}

// problems are those that an operation may answer with, by status.
func problems(op *huma.Operation) (list []codeInfo) {
	named := map[string]bool{CodeInvalidRequest: true, CodeInternal: true}
	for _, c := range metadata(op, metaCodes) {
		named[c] = true
	}
	if len(metadata(op, metaScopes)) > 0 {
		for _, c := range []string{CodeKeyMissing, CodeKeyUnknown, CodeScopeMissing, CodeLoopbackOnly, CodeForwarded, CodeCrossOrigin} {
			named[c] = true
		}
	}
	for _, c := range codes() {
		if named[c.Code] {
			list = append(list, c)
		}
	}
	return list
}

// example is a problem with the code.
func (c codeInfo) example() map[string]any {
	return map[string]any{"title": http.StatusText(c.Status), "status": c.Status, "code": c.Code, "detail": c.Text}
}
