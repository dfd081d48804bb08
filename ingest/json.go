package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decodeJSON reads exactly one JSON value; unknown fields are ignored.
func decodeJSON(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	err := dec.Decode(v)
	if err == nil {
		if _, err := dec.Token(); err != io.EOF {
			return refuse(http.StatusBadRequest, "something follows the JSON value at byte %d", dec.InputOffset())
		}
		return nil
	}
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return refuse(http.StatusBadRequest, "the body is not JSON: %v at byte %d", err, syntax.Offset)
	case errors.As(err, &typ):
		return refuse(http.StatusBadRequest, "the field %s is a JSON %s at byte %d, which does not fit", strconv.Quote(typ.Field), typ.Value, typ.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "the JSON ends early, after %d bytes", len(body))
	}
	return refuse(http.StatusBadRequest, "the body cannot be read: %v", err)
}

// answerJSON says how many were taken. When none of several was, it is 400.
func answerJSON(w http.ResponseWriter, _ string, res result) {
	writeJSON(w, typeJSON, http.StatusOK, struct {
		Accepted int      `json:"accepted"`
		Rejected int      `json:"rejected"`
		Errors   []string `json:"errors,omitempty"`
	}{len(res.signals), res.refused(), res.examples})
}

// failJSON writes a problem document (RFC 9457).
func failJSON(w http.ResponseWriter, _ string, status int, text string) {
	writeJSON(w, "application/problem+json", status, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, text})
}

func writeJSON(w http.ResponseWriter, mediaType string, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// explain makes one text of the first few rejections.
func (r *result) explain() string {
	text := strings.Join(r.examples, "; ")
	if more := r.refused() - len(r.examples); more > 0 {
		text += "; and " + strconv.Itoa(more) + " more"
	}
	return strings.ToValidUTF8(text, "�")
}

// allRefused turns a request of which nothing is left into an error.
func (r *result) allRefused() error {
	if len(r.signals) > 0 || r.refused() == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "%s", r.explain())
}

// storable says whether a time can be kept: nanoseconds since 1970 in 64 bits.
func storable(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2262 }

// beyond returns the keys of m after the first n in their order.
func beyond(m map[string]string, n int) []string {
	if len(m) <= n {
		return nil
	}
	return slices.Sorted(maps.Keys(m))[n:]
}
