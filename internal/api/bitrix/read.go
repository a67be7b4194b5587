package bitrix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// Bounds of what a request may hold.
const (
	maxBody   = 1 << 20 // bytes
	maxValues = 5000
	maxDepth  = 16 // of arrays in arrays
)

var (
	errTooMuch = &Error{Status: http.StatusRequestEntityTooLarge, Code: "INVALID_REQUEST", Text: "The request is too large"}
	errTooDeep = errors.New("arrays are nested too deeply")
	errTooMany = errors.New("there are too many values")
)

func errUnreadable(err error) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "INVALID_REQUEST", Text: "The request cannot be read: " + err.Error()}
}

// readRequest reads which method is called and its parameters, wherever they
// are. What is in the body holds against what is in the query.
func readRequest(w http.ResponseWriter, r *http.Request) (q *query, key string, bad *Error) {
	q, key, bad = readPath(r)
	if bad != nil {
		return nil, "", bad
	}
	params, err := parseForm(r.URL.RawQuery)
	if err != nil {
		return nil, "", errUnreadable(err)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	body, err := readBody(r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, "", errTooMuch
	case err != nil:
		return nil, "", errUnreadable(err)
	}
	params = params.upper()
	params.merge(body.upper())
	if key == "" {
		key = scalar(params.get("AUTH"))
	}
	q.params = params
	if keys := r.Header.Values("Idempotency-Key"); r.Method == http.MethodPost && len(keys) == 1 {
		q.key = keys[0]
	}
	return q, key, nil
}

// readPath takes the address apart: /rest/{user}/{key}/{method} or
// /rest/{method}, each with .json behind it or without, and with a slash.
func readPath(r *http.Request) (q *query, key string, bad *Error) {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), "/rest"), "/"), "/")
	for i := range parts {
		part, err := url.PathUnescape(parts[i])
		if err != nil {
			return nil, "", errUnreadable(errors.New("its address is not escaped properly"))
		}
		parts[i] = part
	}
	q = new(query)
	switch len(parts) {
	case 1:
	case 3:
		q.webhook, key = true, parts[1]
	default:
		return nil, "", errNoMethod
	}
	q.method = methodName(parts[len(parts)-1])
	return q, key, nil
}

func methodName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".json") }

// readBody reads a body in any of the encodings that Bitrix24 takes.
func readBody(r *http.Request) (*dict, error) {
	if r.Method != http.MethodPost {
		return new(dict), nil
	}
	kind, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	if kind == "multipart/form-data" {
		return parseMultipart(multipart.NewReader(r.Body, options["boundary"]))
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	// Many clients send JSON and call it something else, or nothing.
	if trimmed := bytes.TrimSpace(raw); kind == "application/json" || len(trimmed) > 0 && trimmed[0] == '{' {
		return parseJSON(trimmed)
	}
	return parseForm(string(raw))
}

// parseMultipart reads the fields of a form; files are passed over.
func parseMultipart(form *multipart.Reader) (*dict, error) {
	out, count := new(dict), 0
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		if count++; count > maxValues {
			return nil, errTooMany
		}
		if part.FormName() == "" || part.FileName() != "" {
			continue
		}
		if err := out.put(part.FormName(), string(value)); err != nil {
			return nil, err
		}
	}
}

// parseForm reads a=1&b[c][]=2 in the order in which it is written.
func parseForm(s string) (*dict, error) {
	out, count := new(dict), 0
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		if count++; count > maxValues {
			return nil, errTooMany
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errors.New("a name is not escaped properly")
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("the value of %.40q is not escaped properly", name)
		}
		if err := out.put(name, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// put sets a value by a name with brackets, as PHP does.
func (d *dict) put(name, value string) error {
	base, rest, _ := strings.Cut(name, "[")
	if base == "" {
		return nil // PHP passes over it, too
	}
	steps := []string{base}
	if closing := strings.LastIndexByte(rest, ']'); closing >= 0 {
		steps = append(steps, strings.Split(rest[:closing], "][")...)
	}
	if len(steps) > maxDepth {
		return errTooDeep
	}
	for _, step := range steps[:len(steps)-1] {
		step = d.place(step)
		inner, ok := d.values[step].(*dict)
		if !ok {
			inner = new(dict)
			d.set(step, inner)
		}
		d = inner
	}
	d.set(d.place(steps[len(steps)-1]), value)
	return nil
}

// place is the key that a step names: the empty one is the next of a list.
func (d *dict) place(step string) string {
	if step != "" {
		return step
	}
	return fmt.Sprint(d.next)
}

// parseJSON reads an object and keeps the order of its members.
func parseJSON(raw []byte) (*dict, error) {
	if len(raw) == 0 {
		return new(dict), nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	r := jsonReader{dec: dec}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the JSON")
	}
	d, ok := v.(*dict)
	if !ok {
		return nil, errors.New("the JSON is no object")
	}
	return d, nil
}

type jsonReader struct {
	dec   *json.Decoder
	count int
}

func (r *jsonReader) value(depth int) (any, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, errors.New("it is no JSON")
	}
	if r.count++; r.count > maxValues {
		return nil, errTooMany
	}
	if depth > maxDepth {
		return nil, errTooDeep
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
	default:
		return token, nil
	}
	out := new(dict)
	for r.dec.More() {
		key := fmt.Sprint(out.next)
		if token == json.Delim('{') {
			name, err := r.dec.Token()
			if err != nil {
				return nil, errors.New("it is no JSON")
			}
			key, _ = name.(string) // members are named by strings
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out.set(key, v)
	}
	if _, err := r.dec.Token(); err != nil { // the closing delimiter
		return nil, errors.New("it is no JSON")
	}
	return out, nil
}
