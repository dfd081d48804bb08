package ingest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"prunella"
)

// Bounds of one signal; longer text is cut and marked with attrCut.
const (
	maxText       = 64 << 10 // body, bytes
	maxAttribute  = 4 << 10  // attribute value, bytes
	maxAttributes = 128
	maxNesting    = 6 // of attribute maps; deeper ones become JSON text

	attrCut = "prunella.cut" // "body", "attributes" or both: the signal was longer
)

// aliases are older or common names of attributes that other packages read.
var aliases = map[string]string{
	"http.status_code": prunella.AttrStatus,
	"jwt.kid":          prunella.AttrKid,
	"jwk.kid":          prunella.AttrKid,
}

// maxParts bounds the messages within a request: an empty record is two bytes
// as sent and hundreds in memory.
const maxParts = 250_000

// unmarshalOTLP reads a message in the request's encoding. levels are the
// fields that lead from the request to its records.
func unmarshalOTLP(r request, m proto.Message, what string, levels ...[]protowire.Number) error {
	parts := 0
	if r.mediaType == typeProtobuf {
		parts = countParts(r.body, levels)
	} else {
		parts = bytes.Count(r.body, []byte("{")) / 2 // an attribute is two objects
	}
	if parts > maxParts {
		return refuse(http.StatusRequestEntityTooLarge, "the body has more than %d parts: send smaller batches", maxParts)
	}
	if r.mediaType == typeProtobuf {
		if err := proto.Unmarshal(r.body, m); err != nil {
			return refuse(http.StatusBadRequest, "the body is not a protobuf %s: %v", what, err)
		}
		return nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(r.body, m); err != nil {
		// The decoder varies its spaces so that nobody parses its errors.
		return refuse(http.StatusBadRequest, "the body is not a JSON %s: %s", what, strings.ReplaceAll(err.Error(), "\u00a0", " "))
	}
	return nil
}

// countParts counts the messages along levels. What cannot be read ends the
// count; the decoder will say so.
func countParts(b []byte, levels [][]protowire.Number) (n int) {
	if len(levels) == 0 {
		return 0
	}
	for len(b) > 0 {
		field, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return n
		}
		b = b[size:]
		if typ != protowire.BytesType || !slices.Contains(levels[0], field) {
			if size = protowire.ConsumeFieldValue(field, typ, b); size < 0 {
				return n
			}
			b = b[size:]
			continue
		}
		inner, size := protowire.ConsumeBytes(b)
		if size < 0 {
			return n
		}
		n += 1 + countParts(inner, levels[1:])
		b = b[size:]
	}
	return n
}

// answerOTLP writes a response message in the request's encoding.
func answerOTLP(w http.ResponseWriter, mediaType string, status int, m proto.Message) {
	marshal := proto.Marshal
	if mediaType == typeJSON {
		marshal = protojson.Marshal
	}
	b, err := marshal(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	w.Write(b) // the client's loss when it has gone
}

// gRPC codes of an OTLP refusal, by HTTP status.
var rpcCodes = map[int]int32{
	http.StatusBadRequest: 3, http.StatusUnsupportedMediaType: 3, http.StatusRequestEntityTooLarge: 8,
	http.StatusUnauthorized: 16, http.StatusMethodNotAllowed: 12, http.StatusTooManyRequests: 8, http.StatusServiceUnavailable: 14,
}

func failOTLP(w http.ResponseWriter, mediaType string, code int, text string) {
	rpc, ok := rpcCodes[code]
	if !ok {
		rpc = 13 // internal
	}
	answerOTLP(w, mediaType, code, &status.Status{Code: rpc, Message: strings.ToValidUTF8(text, "�")})
}

// hexID returns a trace or span id of size bytes in lower-case hex, or "". OTLP
// writes ids in JSON as hex where protobuf's own JSON has base64. Every hex
// digit is a base64 digit too, so the decoder took the text for base64, and
// encoding it again gives the text back.
func hexID(id []byte, size int, mediaType string) string {
	if mediaType == typeJSON {
		text := strings.ToLower(base64.RawStdEncoding.EncodeToString(id))
		var err error
		if id, err = hex.DecodeString(text); err != nil {
			return ""
		}
	}
	if len(id) != size || strings.Trim(string(id), "\x00") == "" {
		return ""
	}
	return hex.EncodeToString(id)
}

// nanoTime returns a time of nanoseconds since 1970, zero when there is none
// or when it is none that can be.
func nanoTime(n uint64) time.Time {
	if n == 0 || n > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC()
}

// resourceOf returns the service and the attributes that every signal of a
// resource carries.
func resourceOf(r *resourcepb.Resource) (service string, attrs map[string]string) {
	all := flatten(r.GetAttributes())
	for k := range all {
		if strings.HasPrefix(k, "telemetry.") || strings.HasPrefix(k, "process.") {
			delete(all, k) // about the sender's build, the same on every record
		}
	}
	service = all["service.name"]
	delete(all, "service.name")
	return service, all
}

// otlpSource names the Monitor of a service's stream.
func otlpSource(service string) string {
	if service == "" {
		return "otlp"
	}
	return "otlp/" + service
}

// attributes joins a resource's attributes with a record's, which win, and
// bounds them.
func attributes(resource map[string]string, record []*commonpb.KeyValue) (attrs map[string]string, cut bool) {
	attrs = flatten(record)
	for k, v := range resource {
		if _, ok := attrs[k]; !ok {
			attrs[k] = v
		}
	}
	for from, to := range aliases {
		if v, ok := attrs[from]; ok && attrs[to] == "" {
			attrs[to] = v
		}
	}
	return bounded(attrs)
}

// flatten turns attributes into text: nested maps into dotted keys, lists into JSON.
func flatten(list []*commonpb.KeyValue) map[string]string {
	out := make(map[string]string, len(list))
	flattenInto(out, "", list, maxNesting)
	return out
}

func flattenInto(out map[string]string, prefix string, list []*commonpb.KeyValue, depth int) {
	for _, kv := range list {
		if kv.GetKey() == "" {
			continue
		}
		key := prefix + kv.GetKey()
		if m := kv.GetValue().GetKvlistValue(); m != nil && depth > 0 {
			flattenInto(out, key+".", m.GetValues(), depth-1)
			continue
		}
		out[key] = textOf(kv.GetValue())
	}
}

// textOf returns a value as text: a string as it is, a structure as JSON.
func textOf(v *commonpb.AnyValue) string {
	switch x := v.GetValue().(type) {
	case nil:
		return ""
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(x.IntValue, 10)
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(x.BoolValue)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(x.DoubleValue, 'g', -1, 64)
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(x.BytesValue)
	}
	b, err := json.Marshal(plain(v, 64))
	if err != nil {
		return ""
	}
	return string(b)
}

// plain returns a value as encoding/json takes it.
func plain(v *commonpb.AnyValue, depth int) any {
	if depth == 0 {
		return "…"
	}
	switch x := v.GetValue().(type) {
	case nil:
		return nil
	case *commonpb.AnyValue_IntValue:
		return x.IntValue
	case *commonpb.AnyValue_BoolValue:
		return x.BoolValue
	case *commonpb.AnyValue_DoubleValue:
		if !math.IsNaN(x.DoubleValue) && !math.IsInf(x.DoubleValue, 0) {
			return x.DoubleValue
		}
	case *commonpb.AnyValue_ArrayValue:
		list := []any{}
		for _, e := range x.ArrayValue.GetValues() {
			list = append(list, plain(e, depth-1))
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		m := map[string]any{}
		for _, kv := range x.KvlistValue.GetValues() {
			m[kv.GetKey()] = plain(kv.GetValue(), depth-1)
		}
		return m
	}
	return textOf(v)
}

// bounded cuts attributes to their bounds. Which ones go when there are too
// many is arbitrary but the same each time: the last in the order of keys.
func bounded(attrs map[string]string) (_ map[string]string, cut bool) {
	for k, v := range attrs {
		if len(v) > maxAttribute {
			attrs[k], cut = cutText(v, maxAttribute), true
		}
		if len(k) > 256 {
			delete(attrs, k)
			cut = true
		}
	}
	for _, k := range beyond(attrs, maxAttributes) {
		delete(attrs, k)
		cut = true
	}
	return attrs, cut
}

// finish bounds a signal's body and says on it what was cut.
func finish(s *prunella.Signal, attrsCut bool) {
	var marks []string
	if len(s.Body) > maxText {
		s.Body = cutText(s.Body, maxText)
		marks = append(marks, "body")
	}
	if attrsCut {
		marks = append(marks, "attributes")
	}
	if len(marks) == 0 {
		return
	}
	if s.Attributes == nil {
		s.Attributes = map[string]string{}
	}
	s.Attributes[attrCut] = strings.Join(marks, ",")
}

// cutText cuts at a rune's edge.
func cutText(s string, max int) string {
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
