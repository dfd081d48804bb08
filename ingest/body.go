package ingest

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

var (
	otlpTypes = []string{typeProtobuf, typeJSON}
	jsonTypes = []string{typeJSON}
)

// mediaTypeOf returns the request's media type when it is one of types, else
// the first of them, in which the refusal is written.
func mediaTypeOf(r *http.Request, types []string) (string, bool) {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, t) {
		return types[0], false
	}
	return t, true
}

// readBody reads a body, decompressing gzip; neither form may be longer than max.
func readBody(w http.ResponseWriter, r *http.Request, max int64) ([]byte, error) {
	tooLarge := func(form string) error {
		return refuse(http.StatusRequestEntityTooLarge, "the %s is larger than %d bytes: send smaller batches, or raise ingest.max_body", form, max)
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, max)
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, bodyError(err, tooLarge)
		}
		defer z.Close()
		body = z
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, "the content encoding is %q: send gzip or none", enc)
	}
	b, err := io.ReadAll(io.LimitReader(body, max+1))
	if err != nil {
		return nil, bodyError(err, tooLarge)
	}
	if int64(len(b)) > max {
		return nil, tooLarge("decompressed body")
	}
	return b, nil
}

func bodyError(err error, tooLarge func(string) error) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge("body")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return refuse(http.StatusBadRequest, "the body is not gzip, though Content-Encoding says so: %v", err)
	}
	return refuse(http.StatusBadRequest, "the body ends early or is damaged: %v", err)
}
